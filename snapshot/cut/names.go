package cut

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/snapshot/names"
)

// Name is the name of the snapshot of a claim in one attempt of a backup. Each
// attempt has names of its own, so that a late cut of one is never taken for a
// cut of the next. At most 63 characters.
func Name(backup string, uid types.UID, claim string, attempt int32) string {
	return names.Unique(backup+"-"+claim, string(uid), claim, fmt.Sprint(attempt))
}

// GroupName is the name of the group in one attempt of a backup. At most 63
// characters.
func GroupName(backup string, uid types.UID, attempt int32) string {
	return Name(backup, uid, groupPart, attempt)
}

const groupPart = "group"
