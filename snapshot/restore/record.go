package restore

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// A manifest that is applied again, by GitOps or by a restore of the cluster, is a
// new object without a status, and would stop the application a second time. So
// that a restore was carried out is on record where it can't be lost along with it:
// on its application when that is stopped, and on its backup, since GitOps may
// take annotations off an application. A record is
//
//	restored.lull.dev/NAME: TIME HASH
//
// with the restore's name, when it stopped the application, and a hash of its spec.

// mostRecords is how many an application carries: the newest. Their number would
// grow with each restore.
const mostRecords = 20

func recordKey(v *v1alpha1.VolumeRestore) string {
	return v1alpha1.AnnotationRestored + names.LabelValue(v.Name)
}

// specHash stands for what a restore is to do: all of its spec but what can be
// changed and what says to do it again.
func specHash(v *v1alpha1.VolumeRestore) string {
	spec := v.Spec.DeepCopy()
	spec.RollBack, spec.ReleasePrevious, spec.Again = false, false, false
	text, err := json.Marshal(spec)
	if err != nil {
		return "" // a spec that the API server has sent can be written
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// record writes that the restore was carried out into annotations.
func (s *State) record(annotations map[string]string) map[string]string {
	at := s.Now
	if stopped := s.Restore.Status.ScaledDownAt; stopped != nil {
		at = stopped.Time
	}
	all := maps.Clone(annotations)
	if all == nil {
		all = map[string]string{}
	}
	all[recordKey(s.Restore)] = at.UTC().Format(time.RFC3339) + " " + specHash(s.Restore)
	return all
}

// withoutOldest keeps the newest records, and every other annotation.
func withoutOldest(annotations map[string]string) map[string]string {
	var records []string
	for key := range annotations {
		if strings.HasPrefix(key, v1alpha1.AnnotationRestored) {
			records = append(records, key)
		}
	}
	slices.SortFunc(records, func(a, b string) int {
		return cmp.Or(strings.Compare(annotations[b], annotations[a]), strings.Compare(a, b)) // the times sort as they are written
	})
	for i := mostRecords; i < len(records); i++ {
		delete(annotations, records[i])
	}
	return annotations
}

// recorded writes down on the application that this restore stops it. The stop is a
// write of its own, which is refused where somebody was faster.
func (s *State) recorded() []Change {
	if s.Workload == nil {
		return nil
	}
	return optional(changed(s.Workload.Object, Unguarded, "it can't be written on the application that it was restored", func(obj workload.Object) {
		obj.SetAnnotations(withoutOldest(s.record(obj.GetAnnotations())))
	}))
}

// recordedOnBackup writes the same down on the backup. That may be gone by then, and
// what else is written there doesn't matter, so that it isn't read.
func (s *State) recordedOnBackup() []Change {
	if IsFromRepository(s.Restore) || s.Restore.Status.Source == "" {
		return nil
	}
	before := &v1alpha1.VolumeBackup{}
	before.Namespace, before.Name = s.Restore.Namespace, s.Restore.Status.Source
	after := before.DeepCopy()
	after.Annotations = s.record(nil)
	return optional([]Change{{Verb: Patch, Before: before, After: after, Cannot: "it can't be written on VolumeBackup " + before.Name + " that it was restored from"}})
}

// optional are changes that the step can do without.
func optional(changes []Change) []Change {
	for i := range changes {
		changes[i].IsOptional = true
	}
	return changes
}

// checkAgain refuses a restore that was carried out before, as its name and its spec
// say.
func checkAgain(p *proposal) *v1alpha1.Problem {
	v := p.Restore
	if v.Spec.Again {
		return nil
	}
	at, on := carriedOut(v, p.Workload.Meta.Annotations), named(p.Workload)
	if at == "" {
		at, on = carriedOut(v, p.Backup.Annotations), "VolumeBackup "+p.Backup.Name
	}
	if at == "" {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonAlreadyRestored,
		"a VolumeRestore %s of this very spec was carried out at %s, as %s has on record (annotation %s): a manifest that is applied again, by GitOps or by a restore of the cluster, is no wish to restore again. Nothing was stopped. To restore again create it with spec.again: true, or under another name; to have it out of the way, take it out of what applies it",
		v.Name, at, on, recordKey(v))
}

// carriedOut is when a restore was carried out, by the record in annotations; empty
// where they have none of it.
func carriedOut(v *v1alpha1.VolumeRestore, annotations map[string]string) string {
	at, hash, _ := strings.Cut(annotations[recordKey(v)], " ")
	if hash == "" || hash != specHash(v) {
		return ""
	}
	return at
}
