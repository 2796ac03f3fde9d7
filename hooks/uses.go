package hooks

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// Of what an application says that it uses: how many folders are looked at, how many of
// them a message names, and how much of a name.
const (
	maxUses   = 256
	toldUses  = 3
	toldBytes = 200
)

// Elsewhere says which files of a held application are on no volume that is backed up,
// by its own word, and what to do. It is empty where none are, and where nothing is said
// of it.
func (q *Session) Elsewhere() string {
	for _, p := range q.pods {
		if p.held == nil {
			continue
		}
		if why := p.target.elsewhere(p.held.words.folders()); why != "" {
			return why
		}
	}
	return ""
}

func (t Target) elsewhere(folders []string) string {
	var lacking []string
	for _, folder := range folders {
		if !path.IsAbs(folder) {
			return fmt.Sprintf("pod %s doesn't tell where all its files are, so nobody knows whether a copy of it has them (%s)", t.Pod, names.Clip(folder, toldBytes))
		}
		for _, why := range t.lacking(folder) {
			if !slices.Contains(lacking, why) {
				lacking = append(lacking, why)
			}
		}
	}
	if len(lacking) == 0 {
		return ""
	}
	more := ""
	if n := len(lacking) - toldUses; n > 0 {
		lacking, more = lacking[:toldUses], fmt.Sprintf("; and %d more", n)
	}
	return fmt.Sprintf("pod %s has files that aren't backed up, so a copy of it may not start: %s%s", t.Pod, strings.Join(lacking, "; "), more)
}

// lacking says what of a folder isn't backed up, and what to do.
func (t Target) lacking(folder string) (all []string) {
	mounts := workload.Under(t.Mounts, folder)
	if len(mounts) == 0 {
		return []string{fmt.Sprintf("%s is on no volume. Put it on a claim, or name the container that has it, by the annotation %s", names.Clip(folder, toldBytes), v1alpha1.AnnotationHookContainer)}
	}
	for _, m := range mounts {
		where := folder
		if len(m.Folder) > len(folder) {
			where = m.Folder // a part of it
		}
		where = names.Clip(where, toldBytes)
		switch {
		case m.IsBackedUp:
		case m.Claim != "":
			all = append(all, fmt.Sprintf("%s is on claim %s. Back up all volumes of the application, and don't leave that out by spec.volumes or the annotation %s", where, m.Claim, v1alpha1.AnnotationExcludeVolumes))
		default:
			all = append(all, fmt.Sprintf("%s is on volume %s, which no backup can have. Put it on a claim", where, m.Volume))
		}
	}
	return all
}
