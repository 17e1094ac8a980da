// Package referencedata reads the files of authorities: specialties,
// qualifications, towns and districts, as CSV or JSON. It holds the ones that
// come with the program.
//
// A CSV file is UTF-8 and begins with the names of its columns: kind, code, en;
// ko, pt, ru, country, town, latitude and longitude where they are needed. A
// JSON file is one array of objects with the fields of [reference.Entry].
package referencedata

import (
	"bytes"
	"embed"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/slotbook/slotbook/domain/reference"
)

//go:embed builtin/*.csv
var builtin embed.FS

// Builtin returns what comes with the program.
func Builtin() ([]reference.Entry, error) {
	var files []File
	for _, name := range []string{"specialties.csv", "qualifications.csv", "towns.csv"} {
		data, err := builtin.ReadFile("builtin/" + name)
		if err != nil {
			return nil, err
		}
		files = append(files, File{name, data})
	}
	return Read(files...)
}

// File is a file with its name, which says by its ending how it is written.
type File struct {
	Name string
	Data []byte
}

// Fault is what is wrong in a file.
type Fault struct {
	File  string
	Line  int    // counted from 1
	Field string // such as "code" or "names.en"; "" = the whole line
	Text  string
}

// Error returns the place and what is wrong there.
func (f Fault) Error() string {
	place := fmt.Sprintf("%s line %d", f.File, f.Line)
	if f.Field != "" {
		place += ", " + f.Field
	}
	return place + ": " + f.Text
}

// line is an entry with where it is from.
type line struct {
	file   string
	number int
	reference.Entry
}

// Read returns the entries of all files, which belong together, or a [Fault]
// for each line that is wrong, joined.
func Read(files ...File) ([]reference.Entry, error) {
	var lines []line
	var faults []error
	for _, f := range files {
		read := readCSV
		switch strings.ToLower(filepath.Ext(f.Name)) {
		case ".csv":
		case ".json":
			read = readJSON
		default:
			return nil, fmt.Errorf("%s is neither a .csv nor a .json file", f.Name)
		}
		if !utf8.Valid(f.Data) {
			return nil, fmt.Errorf("%s is not in UTF-8", f.Name)
		}
		some, err := read(f)
		if err != nil {
			faults = append(faults, err)
		}
		lines = append(lines, some...)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	entries := make([]reference.Entry, len(lines))
	for i, l := range lines {
		entries[i] = l.Entry
	}
	for _, f := range reference.Check(entries) {
		faults = append(faults, Fault{lines[f.Entry].file, lines[f.Entry].number, f.Field, f.Text})
	}
	return entries, errors.Join(faults...)
}

func readCSV(f File) ([]line, error) {
	reader := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(f.Data, []byte("\ufeff"))))
	header, err := reader.Read()
	if err != nil {
		return nil, csvFault(f, err)
	}
	if err := checkHeader(f, header); err != nil {
		return nil, err
	}
	var lines []line
	var faults []error
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return lines, errors.Join(faults...)
		}
		if err != nil {
			return nil, errors.Join(append(faults, csvFault(f, err))...)
		}
		number, _ := reader.FieldPos(0)
		entry, column, err := entryOf(header, record)
		if err != nil {
			faults = append(faults, Fault{f.Name, number, column, err.Error()})
		}
		lines = append(lines, line{f.Name, number, entry})
	}
}

func csvFault(f File, err error) error {
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return Fault{f.Name, parse.Line, "", parse.Err.Error()}
	}
	return Fault{f.Name, 1, "", "the names of the columns are missing"}
}

// columns returns the columns that a CSV file may have, those first that it
// must have.
func columns() []string {
	return append([]string{"kind", "code"}, append(reference.Languages(), "country", "town", "latitude", "longitude")...)
}

func checkHeader(f File, header []string) error {
	for i, name := range header {
		if !slices.Contains(columns(), name) {
			return Fault{f.Name, 1, name, "there is no such column; there are " + strings.Join(columns(), ", ")}
		}
		if slices.Contains(header[:i], name) {
			return Fault{f.Name, 1, name, "the column is there twice"}
		}
	}
	for _, name := range columns()[:3] {
		if !slices.Contains(header, name) {
			return Fault{f.Name, 1, name, "the column is missing"}
		}
	}
	return nil
}

// entryOf returns what a record of a CSV file says, or the column that cannot
// be read and why.
func entryOf(header, record []string) (e reference.Entry, column string, err error) {
	e.Names = map[string]string{}
	for i, value := range record {
		if value == "" {
			continue
		}
		switch name := header[i]; name {
		case "kind":
			e.Kind = reference.Kind(value)
		case "code":
			e.Code = value
		case "country":
			e.Country = value
		case "town":
			e.Town = value
		case "latitude":
			e.Latitude, err = degrees(value)
		case "longitude":
			e.Longitude, err = degrees(value)
		default:
			e.Names[name] = value
		}
		if err != nil {
			return e, header[i], err
		}
	}
	return e, "", nil
}

func degrees(text string) (*float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a number", text)
	}
	return &v, nil
}

func readJSON(f File) ([]line, error) {
	decoder := json.NewDecoder(bytes.NewReader(f.Data))
	decoder.DisallowUnknownFields()
	lineAt := func(offset int64) int { return 1 + bytes.Count(f.Data[:min(int(offset), len(f.Data))], []byte("\n")) }
	if start, err := decoder.Token(); err != nil || start != json.Delim('[') {
		return nil, Fault{f.Name, lineAt(decoder.InputOffset()), "", "the file is not an array"}
	}
	var lines []line
	for decoder.More() {
		rest := f.Data[decoder.InputOffset():]
		begin := decoder.InputOffset() + int64(len(rest)-len(bytes.TrimLeft(rest, " \t\r\n,")))
		var e reference.Entry
		if err := decoder.Decode(&e); err != nil {
			return nil, jsonFault(f, lineAt(begin), err)
		}
		lines = append(lines, line{f.Name, lineAt(begin), e})
	}
	if _, err := decoder.Token(); err != nil {
		return nil, Fault{f.Name, lineAt(int64(len(f.Data))), "", "the array does not end"}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, Fault{f.Name, lineAt(decoder.InputOffset()), "", "there is more after the array"}
	}
	return lines, nil
}

func jsonFault(f File, number int, err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return Fault{f.Name, number, wrong.Field, "it is a " + wrong.Value + " instead of a " + wrong.Type.String()}
	}
	text, _ := strings.CutPrefix(err.Error(), "json: ")
	return Fault{f.Name, number, "", text}
}
