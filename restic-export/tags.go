package resticexport

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Tags are what a snapshot of ours says of itself.
type Tags struct {
	Claim     string    `json:"claim,omitempty"`
	BackupUID types.UID `json:"backupUID,omitempty"`
	Policy    string    `json:"policy,omitempty"`
	// Of is how many claims that backup has, 0 where it isn't known.
	Of int `json:"of,omitempty"`
	// IsEmpty: the volume had no file.
	IsEmpty bool `json:"isEmpty,omitempty"`
	// Root is whose the volume's root folder was, which is no part of the snapshot:
	// its mode in octal, its owner and its group, as 2750:999:999. It may be empty.
	Root string `json:"-"`
}

// The tags and how they begin.
const (
	tagOurs   = "lull"
	tagEmpty  = "empty"
	tagClaim  = "claim="
	tagBackup = "backup="
	tagPolicy = "policy="
	tagOf     = "of="
	tagRoot   = "root="
)

// Strings are the tags as restic has them, none with a comma:
//
//	lull  claim=data  backup=8d0c…  of=2  policy=nightly  root=2750:999:999
func (t Tags) Strings() []string {
	all := []string{tagOurs, tagClaim + t.Claim, tagBackup + string(t.BackupUID)}
	if t.Of > 0 {
		all = append(all, tagOf+strconv.Itoa(t.Of))
	}
	if t.Policy != "" {
		all = append(all, tagPolicy+t.Policy)
	}
	if t.IsEmpty {
		all = append(all, tagEmpty)
	}
	if t.Root != "" {
		all = append(all, tagRoot+t.Root)
	}
	return all
}

// ReadTags reads them. It is false where the snapshot isn't ours.
func ReadTags(tags []string) (Tags, bool) {
	if !slices.Contains(tags, tagOurs) {
		return Tags{}, false
	}
	read := Tags{IsEmpty: slices.Contains(tags, tagEmpty)}
	for _, tag := range tags {
		if claim, is := strings.CutPrefix(tag, tagClaim); is {
			read.Claim = claim
		}
		if uid, is := strings.CutPrefix(tag, tagBackup); is {
			read.BackupUID = types.UID(uid)
		}
		if of, is := strings.CutPrefix(tag, tagOf); is {
			read.Of, _ = strconv.Atoi(of) // one that is no number isn't ours: it isn't known then
		}
		if policy, is := strings.CutPrefix(tag, tagPolicy); is {
			read.Policy = policy
		}
		if root, is := strings.CutPrefix(tag, tagRoot); is {
			read.Root = root
		}
	}
	return read, read.Claim != "" && read.BackupUID != ""
}
