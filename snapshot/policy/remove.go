package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/retention"
)

// Removal is what goes of a policy's backups.
type Removal struct {
	// Complete are backups that the rules don't keep, and Failed those beyond the
	// history.
	Complete, Failed []*v1alpha1.VolumeBackup
	// Held says why nothing complete goes, and what a person writes to let it go;
	// empty where all of it goes.
	Held string
}

// Limits of what goes without a person's word.
const (
	// mostOfApplication is how many backups of an application may go at once where
	// they are more than half of it.
	mostOfApplication = 3
	// mostOfPolicy is how many of a policy may go where the last run removed none.
	mostOfPolicy = 10
)

// Remove says what goes of the backups, which are of the policy and not being
// deleted yet. inUse are those that a restore works from, by namespace and name,
// and hasRemoved is true where the last run, or this one, has removed some. What is
// due later than now neither goes nor takes another's place.
func (p *Policy) Remove(backups []*v1alpha1.VolumeBackup, inUse map[string]bool, hasRemoved bool, now time.Time) Removal {
	var r Removal
	var held []string
	for _, own := range byApplication(backups) {
		complete, failed := ended(until(now, own))
		surplus := p.surplusOrLost(complete, inUse, now)
		if 2*len(surplus) > len(complete) && len(surplus) > mostOfApplication {
			app := ApplicationOf(own[0])
			held = append(held, fmt.Sprintf("%d of the %d of %s %s", len(surplus), len(complete), app.Ref.Kind, app.Ref.Name))
		}
		r.Complete = append(r.Complete, surplus...)
		r.Failed = append(r.Failed, p.beyondHistory(failed, inUse, now)...)
	}
	if len(r.Complete) > mostOfPolicy && !hasRemoved {
		held = append(held, fmt.Sprintf("%d of the policy at once, where its last run removed none", len(r.Complete)))
	}
	if len(held) > 0 {
		r.Held = fmt.Sprintf("retention would remove %s: %s", names.List(held), names.List(namesOf(r.Complete)))
	}
	return r
}

// surplusOrLost is the surplus of what can be restored. What has lost a snapshot takes
// nobody's place there, and goes when it would have gone: the rest of it may be all
// that somebody has.
func (p *Policy) surplusOrLost(complete []*v1alpha1.VolumeBackup, inUse map[string]bool, now time.Time) []*v1alpha1.VolumeBackup {
	whole := slices.DeleteFunc(slices.Clone(complete), (*v1alpha1.VolumeBackup).HasLostSnapshots)
	surplus := p.surplus(whole, inUse, now)
	if len(whole) == len(complete) {
		return surplus
	}
	for _, b := range p.surplus(complete, inUse, now) {
		if b.HasLostSnapshots() {
			surplus = append(surplus, b)
		}
	}
	return surplus
}

// surplus is what the rules don't keep, and nobody else does.
func (p *Policy) surplus(complete []*v1alpha1.VolumeBackup, inUse map[string]bool, now time.Time) []*v1alpha1.VolumeBackup {
	byName := map[string]*v1alpha1.VolumeBackup{}
	var history []retention.Backup
	for _, b := range complete {
		byName[b.Name] = b
		history = append(history, retention.Backup{
			Name: b.Name, At: DueTime(b), IsProven: b.Status.Consistency == v1alpha1.Proven, IsHeld: isHeld(b, inUse),
		})
	}
	_, surplus := p.Rules.Split(history, p.Zone, now)
	var all []*v1alpha1.VolumeBackup
	for _, b := range surplus {
		all = append(all, byName[b.Name])
	}
	return all
}

// beyondHistory are the failed backups that aren't kept for reading.
func (p *Policy) beyondHistory(failed []*v1alpha1.VolumeBackup, inUse map[string]bool, now time.Time) []*v1alpha1.VolumeBackup {
	sorted := newestLast(failed, now)
	beyond := sorted[:max(0, len(sorted)-p.failedKept())]
	return slices.DeleteFunc(beyond, func(b *v1alpha1.VolumeBackup) bool { return isHeld(b, inUse) })
}

func isHeld(b *v1alpha1.VolumeBackup, inUse map[string]bool) bool {
	return b.Annotations[v1alpha1.AnnotationKeep] == "true" || inUse[Key(b.Namespace, b.Name)]
}

// Key is a backup's place in a set.
func Key(namespace, name string) string { return namespace + "/" + name }

// ended divides backups that have ended by how.
func ended(backups []*v1alpha1.VolumeBackup) (complete, failed []*v1alpha1.VolumeBackup) {
	for _, b := range backups {
		switch {
		case IsComplete(b):
			complete = append(complete, b)
		case HasFailed(b):
			failed = append(failed, b)
		}
	}
	return complete, failed
}

// byApplication groups backups, in the order of the applications.
func byApplication(backups []*v1alpha1.VolumeBackup) [][]*v1alpha1.VolumeBackup {
	groups := map[Application][]*v1alpha1.VolumeBackup{}
	var order []Application
	for _, b := range backups {
		app := ApplicationOf(b)
		if groups[app] == nil {
			order = append(order, app)
		}
		groups[app] = append(groups[app], b)
	}
	slices.SortFunc(order, Application.Compare)
	var all [][]*v1alpha1.VolumeBackup
	for _, app := range order {
		all = append(all, groups[app])
	}
	return all
}

func namesOf(backups []*v1alpha1.VolumeBackup) []string {
	var all []string
	for _, b := range backups {
		all = append(all, b.Name)
	}
	return all
}
