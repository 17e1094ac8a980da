package httpapi

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// spoken are the languages of sentences, the first being the one for whoever
// likes none of them.
var spoken = []language.Tag{language.English, language.Korean, language.Portuguese, language.Russian}

var speaks = language.NewMatcher(spoken)

// language returns the language of a sentence: "en", "ko", "pt" or "ru".
func (s Spoken) language() string {
	if s.Language != "" {
		return s.Language
	}
	_, i := language.MatchStrings(speaks, s.Accept)
	return spoken[i].String()
}

// counted are the forms of a word after a number, by the plural rules of CLDR;
// plural.Other stands for those that are missing. %d is the number.
type counted map[plural.Form]string

// vocabulary is what a queue's sentences are made of in a language. %s is for
// whom people wait, then; and how long.
type vocabulary struct {
	waiting, coming, hours, minutes counted
	expect, soon, and               string
}

var vocabularies = map[string]vocabulary{
	"en": {
		waiting: counted{plural.One: "%d person is waiting for %s.", plural.Other: "%d people are waiting for %s."},
		coming:  counted{plural.One: "%d more person is booked and still to come.", plural.Other: "%d more people are booked and still to come."},
		hours:   counted{plural.One: "%d hour", plural.Other: "%d hours"},
		minutes: counted{plural.One: "%d minute", plural.Other: "%d minutes"},
		expect:  "Expected wait: %s.", soon: "less than a minute", and: " ",
	},
	"ko": {
		waiting: counted{plural.Other: "%[2]s 대기 인원: %[1]d명."},
		coming:  counted{plural.Other: "아직 오지 않은 예약 환자: %d명."},
		hours:   counted{plural.Other: "%d시간"},
		minutes: counted{plural.Other: "%d분"},
		expect:  "예상 대기 시간: %s.", soon: "1분 미만", and: " ",
	},
	"pt": {
		waiting: counted{plural.One: "%d pessoa espera por %s.", plural.Other: "%d pessoas esperam por %s."},
		coming:  counted{plural.One: "Ainda há %d pessoa marcada por chegar.", plural.Other: "Ainda há %d pessoas marcadas por chegar."},
		hours:   counted{plural.One: "%d hora", plural.Other: "%d horas"},
		minutes: counted{plural.One: "%d minuto", plural.Other: "%d minutos"},
		expect:  "Espera prevista: %s.", soon: "menos de um minuto", and: " e ",
	},
	"ru": {
		waiting: counted{plural.Few: "В очереди к %[2]s: %[1]d человека.", plural.Other: "В очереди к %[2]s: %[1]d человек."},
		coming: counted{
			plural.One: "По записи ещё придёт %d человек.", plural.Few: "По записи ещё придут %d человека.", plural.Other: "По записи ещё придут %d человек.",
		},
		hours:   counted{plural.One: "%d час", plural.Few: "%d часа", plural.Other: "%d часов"},
		minutes: counted{plural.One: "%d минута", plural.Few: "%d минуты", plural.Other: "%d минут"},
		expect:  "Ожидаемое время: %s.", soon: "меньше минуты", and: " ",
	},
}

// of returns the form of a number in a language, with the number and what else
// it takes.
func (c counted) of(tag string, n int, more ...any) string {
	form, ok := c[plural.Cardinal.MatchPlural(language.Make(tag), n, 0, 0, 0, 0)]
	if !ok {
		form = c[plural.Other]
	}
	return fmt.Sprintf(form, append([]any{n}, more...)...)
}

// lasting says how long something takes, to the minute.
func (v vocabulary) lasting(tag string, d time.Duration) string {
	hours, minutes := int(d/time.Hour), int(d%time.Hour/time.Minute)
	var parts []string
	if hours > 0 {
		parts = append(parts, v.hours.of(tag, hours))
	}
	if minutes > 0 {
		parts = append(parts, v.minutes.of(tag, minutes))
	}
	if len(parts) == 0 {
		return v.soon
	}
	return strings.Join(parts, v.and)
}

// sentences says how a queue is: how many wait for whom, how long when that is
// known, and how many are still to come.
func sentences(tag, name string, waiting, coming int, wait time.Duration, known bool) string {
	v := vocabularies[tag]
	text := v.waiting.of(tag, waiting, name)
	if known {
		text += " " + fmt.Sprintf(v.expect, v.lasting(tag, wait))
	}
	if coming > 0 {
		text += " " + v.coming.of(tag, coming)
	}
	return text
}
