package hooks

import (
	"fmt"
	"path"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// Elsewhere says which files of a held application are on no volume that is backed up,
// by the application's own word, and what to do. It is empty where none are, and where
// nothing is said of it.
func (q *Session) Elsewhere() string {
	for _, p := range q.pods {
		for _, folder := range p.uses() {
			if why := p.target.elsewhere(folder); why != "" {
				return why
			}
		}
	}
	return ""
}

// uses are the folders that a held pod has its files in, by its own word.
func (p *podSession) uses() (folders []string) {
	if p.held == nil {
		return nil
	}
	for _, folder := range p.held.words.folders() {
		if path.IsAbs(folder) {
			folders = append(folders, folder)
		}
	}
	return folders
}

func (t Target) elsewhere(folder string) string {
	missing := fmt.Sprintf("pod %s uses files that no copy would have, and without which one may not start: ", t.Pod)
	mounts := workload.Under(t.Mounts, folder)
	if len(mounts) == 0 {
		return missing + fmt.Sprintf("%s is on no volume that container %s mounts. Put it on a claim, or name the container that has it, by the annotation %s", folder, t.Hold.Container, v1alpha1.AnnotationHookContainer)
	}
	for _, m := range mounts {
		where := folder
		if len(m.Folder) > len(folder) {
			where = m.Folder // a part of it
		}
		switch {
		case m.IsBackedUp:
		case m.Claim != "":
			return missing + fmt.Sprintf("%s is on claim %s, which isn't backed up. Don't leave that out, by spec.volumes or the annotation %s", where, m.Claim, v1alpha1.AnnotationExcludeVolumes)
		default:
			return missing + fmt.Sprintf("%s is on volume %s, which has no claim. Put it on one", where, m.Volume)
		}
	}
	return ""
}
