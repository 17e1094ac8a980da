package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slotbook/slotbook/adapters/postgres/postgrestest"
)

func TestReferenceDataIsLoadedFromFiles(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	load := func(args ...string) executed {
		return execute(t, append([]string{"reference", "load", "--database-url", url}, args...)...)
	}
	skins := file("skins.csv", "kind,code,en\nspecialty,dermatology,Dermatology\nspecialty,trichology,Trichology\n")
	first := load(skins)
	require.Zero(t, first.status, first.err)
	require.Contains(t, first.out, "added      specialty      dermatology  Dermatology\n")
	require.Contains(t, first.out, "2 added, 0 changed, 0 withdrawn, 0 unchanged\n")
	require.Equal(t, "0 added, 0 changed, 0 withdrawn, 2 unchanged\n", load(skins).out, "twice is once")

	other := file("other.json", `[{"kind": "specialty", "code": "dermatology", "names": {"en": "Skin", "ru": "Дерматология"}}]`)
	again := load("--json", other)
	require.Zero(t, again.status, again.err)
	require.JSONEq(t, `{"added": [], "changed": [{"kind": "specialty", "code": "dermatology", "name": "Skin"}],
		"withdrawn": [{"kind": "specialty", "code": "trichology", "name": "Trichology"}], "unchanged": 0}`, again.out)

	wrong := load(file("wrong.csv", "kind,code,en\nspecialty,dermatology,\nspecialty,a,A\ntown,b,B\n"))
	require.Equal(t, 2, wrong.status)
	require.Contains(t, wrong.err, "wrong.csv line 2, names.en: the English name is missing\n")
	require.Contains(t, wrong.err, "wrong.csv line 4, country: ")
	require.Contains(t, wrong.err, "slotbook: nothing was loaded\n")
	require.Equal(t, 2, load(filepath.Join(folder, "missing.csv")).status)
	require.Equal(t, "0 added, 0 changed, 0 withdrawn, 1 unchanged\n", load(other).out, "nothing of a file with a fault is loaded")

	s := serve(t, "--database-url", url)
	list := s.get("/v1/specialties?withdrawn=true")
	require.Contains(t, list.text, `"code":"trichology"`)
	require.NotContains(t, list.text, "cardiology", "what is there is not mixed with what comes with the program")
	require.Zero(t, s.stop(), s.logs)
}

func TestAFreshSystemKnowsItsTowns(t *testing.T) {
	t.Parallel()
	s := serve(t, "--database-url", postgrestest.Database(t))
	require.Contains(t, s.get("/v1/towns?country=PT&q=lisboa").text, `"code":"pt-lisboa-belem"`)
	require.Contains(t, s.get("/v1/specialties?lang=ko&q=cardiology").text, "순환기내과")
	require.Contains(t, s.get("/v1/qualifications?lang=ru&q=mph").text, "здравоохранения")
	require.Zero(t, s.stop(), s.logs)
}
