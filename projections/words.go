package projections

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// The limits of a search by words.
const (
	MaxWords  = 8
	shortWord = 3 // from this many letters on, a word is found anywhere in another
	typoWord  = 4 // from this many letters on, a word is found in spite of a typing error
)

// Words returns the words that a search is for, as the read models hold them:
// in lower case, without accents and punctuation, each once. What is typed in
// Cyrillic or Hangul stays so; ё is е, ß is ss.
func Words(query string) []string {
	var words []string
	for _, w := range strings.Fields(folded(query)) {
		if !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return words
}

// searchable returns what the texts say as the read models hold it: every word
// between single spaces, also at both ends. A word in Hangul is followed by its
// ends of two syllables and more, so that a search for the beginning of a word
// finds a given name behind a family name, and by its initial consonants.
func searchable(texts ...string) string {
	var all strings.Builder
	for _, text := range texts {
		for _, w := range strings.Fields(folded(text)) {
			all.WriteString(" " + w)
			syllables := []rune(w)
			if !slices.ContainsFunc(syllables, isSyllable) {
				continue
			}
			for i := 1; i < len(syllables)-1; i++ {
				all.WriteString(" " + string(syllables[i:]))
			}
			if short := initials(syllables); len([]rune(short)) > 1 {
				all.WriteString(" " + short)
			}
		}
	}
	if all.Len() == 0 {
		return ""
	}
	return all.String() + " "
}

// folded returns a text as it is compared.
func folded(text string) string {
	var all strings.Builder
	var base rune
	for _, r := range norm.NFKD.String(strings.ToLower(text)) {
		switch plain, ok := plainLetters[r]; {
		case ok:
			all.WriteString(plain)
		case r >= 0x300 && r < 0x370: // accents
			if kept := r == 0x306 && (base == 'и' || base == 'у') || r == 0x308 && base == 'і'; kept {
				all.WriteRune(r) // й, ў and ї are letters of their own
			}
			continue
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			all.WriteRune(unicode.ToLower(r))
		default:
			all.WriteByte(' ')
		}
		base = r
	}
	return strings.Join(strings.Fields(norm.NFC.String(all.String())), " ")
}

// plainLetters are the letters that no accent makes, and what people type for
// them.
var plainLetters = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ı': "i",
}

// The syllables of Hangul in Unicode: each initial consonant begins 588 of them.
const (
	firstSyllable, lastSyllable = '가', '힣'
	firstInitial                = 'ᄀ'
	perInitial                  = 588
)

func isSyllable(r rune) bool { return r >= firstSyllable && r <= lastSyllable }

// initials returns the initial consonants of the syllables, as folded leaves
// those that are typed by themselves.
func initials(syllables []rune) string {
	var all strings.Builder
	for _, r := range syllables {
		if isSyllable(r) {
			all.WriteRune(firstInitial + (r-firstSyllable)/perInitial)
		}
	}
	return all.String()
}

// wordPattern returns what a folded word is found by with SQL's like: anywhere
// in a word or, when it is short, at the beginning of one. A folded word holds
// nothing that like gives a meaning.
func wordPattern(word string) string {
	if len([]rune(word)) < shortWord {
		return "% " + word + "%"
	}
	return "%" + word + "%"
}

// mayBeMistyped reports whether a folded word is long enough for others to be
// like it.
func mayBeMistyped(word string) bool { return len([]rune(word)) >= typoWord }
