package names

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
)

const hashLength = 8

// Unique is a name that begins as s does and ends in a hash of the parts: one
// for each set of parts. It is a DNS label of at most 63 characters.
func Unique(s string, parts ...string) string { return shorten(s, hash(parts...)) }

// LabelValue is s where it may stand as a label's value, else s cut and with a
// hash at its end. At most 63 characters.
func LabelValue(s string) string {
	if len(validation.IsValidLabelValue(s)) == 0 {
		return s
	}
	return shorten(s, hash(s))
}

// shorten joins s and suffix to a DNS label of at most 63 characters.
func shorten(s, suffix string) string {
	longest := validation.DNS1123LabelMaxLength - len(suffix) - 1
	s = strings.ReplaceAll(s, ".", "-")
	if len(s) > longest {
		s = s[:longest]
	}
	return strings.TrimRight(s, "-") + "-" + suffix
}

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])[:hashLength]
}

// Set is the names sorted, each once.
func Set(names []string) []string {
	set := slices.Clone(names)
	slices.Sort(set)
	return slices.Compact(set)
}

// List is the names in a sentence: the first ten, and how many more there are.
func List(names []string) string {
	const most = 10
	switch more := len(names) - most; {
	case len(names) == 0:
		return "none"
	case more > 0:
		return fmt.Sprintf("%s and %d others", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// Clip is the text with at most so many bytes, whole runes of them.
func Clip(text string, limit int) string {
	const more = "…"
	if len(text) <= limit {
		return text
	}
	end := limit - len(more)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + more
}
