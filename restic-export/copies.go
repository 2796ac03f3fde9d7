package resticexport

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Copies: what exports have made in one repository is copied into others. Whatever
// was copied into a repository isn't its own, and isn't copied on: a chain A, B, C
// has in C what was exported into B, and a ring has an end, also where one of its
// repositories has forgotten what the next one still has.

// OwnExports are the IDs of a repository's own exports, oldest first.
func OwnExports(all []ResticSnapshot) (ids []string) {
	own := slices.DeleteFunc(slices.Clone(all), func(s ResticSnapshot) bool { return !s.IsOwn() })
	slices.SortStableFunc(own, func(a, b ResticSnapshot) int { return a.Time.Compare(b.Time) })
	for _, s := range own {
		ids = append(ids, s.ID)
	}
	return ids
}

// Uncopied are those of the snapshots that have no copy in another repository. One
// that is there under its own ID, as in a repository whose files were copied, counts.
func Uncopied(ids []string, into []ResticSnapshot) []string {
	there := map[string]bool{}
	for _, s := range into {
		there[s.ID], there[s.Original] = true, true
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return there[id] })
}

// ExportsHash stands for a set of snapshots, by their IDs: another set has another.
// That of none is empty.
func ExportsHash(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(ids)), "\n")))
	return hex.EncodeToString(sum[:8])
}
