package backup

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/snapshot/names"
)

// maxDeletions is how many backups of a driver are deleted at once: the snapshot
// controller loses contents where very many snapshots go together
// (https://github.com/kubernetes-csi/external-snapshotter/issues/1446).
const maxDeletions = 4

// deletions are the backups that are being deleted, as far as this manager has
// begun: one that comes after it begins anew.
type deletions struct {
	mu sync.Mutex
	// began is when, by driver.
	began map[string]map[types.NamespacedName]time.Time
}

// begin has a deletion begin, or go on. Where it can't yet, since as many of a
// driver as may be are under way, it comes back with their names. Those that hang
// hold nobody up.
func (d *deletions) begin(backup types.NamespacedName, drivers []string, now time.Time) (before []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	drivers = names.Set(drivers)
	for _, driver := range drivers {
		if before := d.before(backup, driver, now); len(before) >= maxDeletions {
			return before
		}
	}
	for _, driver := range drivers {
		if d.began == nil {
			d.began = map[string]map[types.NamespacedName]time.Time{}
		}
		if d.began[driver] == nil {
			d.began[driver] = map[types.NamespacedName]time.Time{}
		}
		if _, goesOn := d.began[driver][backup]; !goesOn {
			d.began[driver][backup] = now
		}
	}
	return nil
}

// before are those that keep a deletion from beginning, none where it has begun.
func (d *deletions) before(backup types.NamespacedName, driver string, now time.Time) (before []string) {
	if _, goesOn := d.began[driver][backup]; goesOn {
		return nil
	}
	for other, began := range d.began[driver] {
		if now.Sub(began) < stuckAfter {
			before = append(before, other.String())
		}
	}
	slices.Sort(before)
	return before
}

// end notes that a backup is gone.
func (d *deletions) end(backup types.NamespacedName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, began := range d.began {
		delete(began, backup)
	}
}
