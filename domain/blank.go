package domain

import (
	"strings"
	"unicode"
)

// Blank reports whether nothing of a text is seen: it is empty, or holds only
// spaces, control and format characters (the zero-width space is one) and
// fillers, by their categories and properties in Unicode.
func Blank(text string) bool { return !strings.ContainsFunc(text, visible) }

func visible(r rune) bool {
	const brailleBlank = '\u2800'
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != brailleBlank && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}
