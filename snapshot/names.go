package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

const hashLength = 8

// Name is the name of the snapshot of a claim in one attempt of a backup. It
// follows from its arguments alone, so that whoever comes back after a crash
// finds what was made, and each attempt has names of its own, so that a late
// cut of one is never taken for a cut of the next. At most 63 characters.
func Name(backup string, uid types.UID, claim string, attempt int32) string {
	return shorten(backup+"-"+claim, hash(string(uid), claim, fmt.Sprint(attempt)))
}

// LabelValue is s where it may stand as a label's value, else s cut and with
// a hash at its end. At most 63 characters.
func LabelValue(s string) string {
	if len(validation.IsValidLabelValue(s)) == 0 {
		return s
	}
	return shorten(s, hash(s))
}

// shorten joins s and suffix to a DNS label of at most 63 characters.
func shorten(s, suffix string) string {
	room := validation.DNS1123LabelMaxLength - len(suffix) - 1
	s = strings.ReplaceAll(s, ".", "-")
	if len(s) > room {
		s = s[:room]
	}
	return strings.TrimRight(s, "-") + "-" + suffix
}

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])[:hashLength]
}
