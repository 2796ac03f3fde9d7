package main

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/retention"
)

// exportedBackup is what a repository has of one backup: it is kept or forgotten as
// a whole. An attempt whose end nobody learned of may have left a second snapshot of
// a claim, which stays and goes with the others.
type exportedBackup struct {
	at     time.Time
	ids    []string
	claims map[string]bool
	// of is how many claims it had, 0 where that isn't known.
	of int
}

// isWhole is true where all of its claims are there, as far as that is known.
func (b *exportedBackup) isWhole() bool { return len(b.claims) >= b.of }

// exportedBackups are some of them, by their UIDs.
type exportedBackups map[types.UID]*exportedBackup

// countedTogether are the backups of a history in the groups that rules are applied
// to. Those that lack a claim count by themselves: beside whole ones, their newest
// would push out claims of these, until none was whole. What was copied from another
// repository isn't among them: it may be all that is left of a backup.
func countedTogether(all []resticexport.ResticSnapshot, of *resticexport.History) []exportedBackups {
	every := exportedBackups{}
	for i := range all {
		if s := &all[i]; isOf(s, of) {
			every.add(s)
		}
	}
	whole, lacking := exportedBackups{}, exportedBackups{}
	for uid, b := range every {
		if b.isWhole() {
			whole[uid] = b
		} else {
			lacking[uid] = b
		}
	}
	return []exportedBackups{whole, lacking}
}

func isOf(s *resticexport.ResticSnapshot, of *resticexport.History) bool {
	tags, _ := s.Tagged()
	return s.IsOwn() && s.Hostname == of.Host && tags.Policy == of.Policy
}

func (e exportedBackups) add(s *resticexport.ResticSnapshot) {
	tags, _ := s.Tagged()
	b := e[tags.BackupUID]
	if b == nil {
		b = &exportedBackup{claims: map[string]bool{}}
		e[tags.BackupUID] = b
	}
	b.ids, b.claims[tags.Claim] = append(b.ids, s.ID), true
	b.of = max(b.of, tags.Of)
	if s.Time.After(b.at) {
		b.at = s.Time
	}
}

// asRetained are the backups as rules take them, by their UIDs.
func (e exportedBackups) asRetained(held []types.UID) (all []retention.Backup) {
	for uid, b := range e {
		all = append(all, retention.Backup{Name: string(uid), At: b.at, IsHeld: slices.Contains(held, uid)})
	}
	slices.SortFunc(all, func(a, b retention.Backup) int { return a.At.Compare(b.At) })
	return all
}

// idsOf are the snapshots of some of them.
func (e exportedBackups) idsOf(some []retention.Backup) (ids []string) {
	for _, b := range some {
		ids = append(ids, e[types.UID(b.Name)].ids...)
	}
	return ids
}
