//go:build real

package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// exported makes a snapshot as a mover does, by restic alone.
func (b *testbed) exported(task *resticexport.Backup) {
	b.t.Helper()
	b.restic(task.Command("", resticexport.BackupSource{Path: b.mover.data})...)
}

func (b *testbed) exportedAt(at time.Time, policy, claim string, uid types.UID) {
	b.t.Helper()
	b.exported(&resticexport.Backup{Host: host, Claim: claim, BackupUID: uid, Policy: policy, Time: at})
}

// remaining are the UIDs of the backups that the repository lists, sorted.
func (b *testbed) remaining() (uids []string) {
	b.t.Helper()
	all, err := b.mover.ours(b.t.Context(), "")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, s := range all {
		tags, _ := s.Tagged()
		uids = append(uids, string(tags.BackupUID)+" "+tags.Claim)
	}
	slices.Sort(uids)
	return uids
}

func TestTheMoverForgetsWhatTheRulesDoNotKeep(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	b.write("a", "a")
	const day = 24 * time.Hour
	// In Zurich, 22:30 in UTC is the next day already.
	b.exportedAt(noon, "nightly", "data", "1")
	b.exportedAt(noon.Add(10*time.Hour+30*time.Minute), "nightly", "data", "2")
	b.exportedAt(noon.Add(day), "nightly", "data", "3")
	b.exportedAt(noon.Add(-9*day), "nightly", "data", "held")
	b.exportedAt(noon.Add(-9*day), "weekly", "data", "of another policy")
	b.exportedAt(noon.Add(-9*day), "", "data", "of no policy")
	b.restic("backup", "--host="+host, "--tag=nightly", ".")
	task := &resticexport.Retain{Histories: []resticexport.History{
		{Host: host, Policy: "nightly", Rules: v1alpha1.RetentionRules{KeepDaily: 2}, TimeZone: "Europe/Zurich", Held: []types.UID{"held"}},
		{Host: "shop/other", Policy: "weekly", Rules: v1alpha1.RetentionRules{KeepLast: 1}},
	}}
	forgotten := b.done(resticexport.Task{Retain: task}).Forget
	if forgotten.Forgotten != 1 || forgotten.Kept != 3 || forgotten.Histories != 2 || forgotten.Through != "weekly/shop/other" {
		t.Errorf("%+v", forgotten)
	}
	want := []string{"1 data", "3 data", "held data", "of another policy data", "of no policy data"}
	if got := b.remaining(); !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
	if seen := b.done(resticexport.Task{Open: &resticexport.Open{}}).Repository; seen.Snapshots != 6 {
		t.Errorf("a snapshot of others is gone: %+v", seen)
	}
	task.Histories[1].Rules = v1alpha1.RetentionRules{KeepWithin: "0h"}
	b.fails(resticexport.Task{Retain: task}, resticexport.CauseInvalid, "keep nothing")
}

// What somebody forgets in the hour before it is pruned isn't known yet.
func TestTheMoverPrunesNothingThatHasVanished(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	random := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	b.write("a", string(random))
	b.exportedAt(noon, "", "data", "1")
	b.write("a", "a")
	b.exportedAt(noon.Add(time.Hour), "", "data", "2")
	packs := func() int {
		all, err := filepath.Glob(filepath.Join(b.repository, "data", "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	b.restic("forget", "--keep-last=1", "--host="+host, "--group-by=host")
	was := packs()
	b.fails(resticexport.Task{Prune: &resticexport.Prune{Expected: 3}}, resticexport.CauseVanished, "3 snapshots were there at the last look, and 1 are now")
	if packs() != was {
		t.Errorf("of %d packs %d are left", was, packs())
	}
	b.done(resticexport.Task{Prune: &resticexport.Prune{Expected: 2}})
	if packs() >= was {
		t.Errorf("%d packs are left", packs())
	}
}

// A claim that can't be exported any more doesn't cost the last backup that is whole.
func TestTheMoverKeepsBackupsAsAWhole(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	b.write("a", "a")
	of := func(at time.Duration, uid types.UID, claims ...string) {
		for _, claim := range claims {
			b.exported(&resticexport.Backup{Host: host, Claim: claim, BackupUID: uid, Policy: "nightly", Of: 2, Time: noon.Add(at)})
		}
	}
	of(0, "1", "data", "logs")
	of(time.Hour, "2", "data", "logs", "logs") // nobody learned of an attempt's end
	of(2*time.Hour, "3", "data")
	of(3*time.Hour, "4", "data")
	of(4*time.Hour, "5", "data")
	last := func(n int32) resticexport.Task {
		return resticexport.Task{Retain: &resticexport.Retain{Histories: []resticexport.History{{Host: host, Policy: "nightly", Rules: v1alpha1.RetentionRules{KeepLast: n}}}}}
	}
	if forgotten := b.done(last(2)).Forget; forgotten.Forgotten != 1 || forgotten.Kept != 7 {
		t.Errorf("%+v", forgotten)
	}
	if got := fmt.Sprint(b.remaining()); got != "[1 data 1 logs 2 data 2 logs 2 logs 4 data 5 data]" {
		t.Errorf("of two there are %s", got)
	}
	b.done(last(1))
	if got := fmt.Sprint(b.remaining()); got != "[2 data 2 logs 2 logs 5 data]" {
		t.Errorf("of one there are %s", got)
	}
	if found := b.done(resticexport.Task{Find: &resticexport.Find{Host: host}}).Snapshots; len(found) != 2 || found[0].BackupUID != "2" {
		t.Errorf("%+v", found)
	}
}

func TestTheMoverForgetsByName(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	b.write("a", "a")
	first, second := b.backup(aBackup("data", noon)), b.backup(aBackup("data", noon.Add(time.Hour)))
	ids := []string{first.SnapshotID, "00000000000000000000000000000000000000000000000000000000000000ff"}
	if forgotten := b.done(resticexport.Task{Forget: &resticexport.Forget{IDs: ids}}).Forget; forgotten.Forgotten != 1 {
		t.Errorf("%+v", forgotten)
	}
	b.fails(resticexport.Task{Find: &resticexport.Find{SnapshotID: first.SnapshotID}}, resticexport.CauseNotFound)
	b.done(resticexport.Task{Prune: &resticexport.Prune{}})
	b.done(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: second.SnapshotID}})
	if forgotten := b.done(resticexport.Task{Forget: &resticexport.Forget{IDs: ids}}).Forget; forgotten.Forgotten != 0 {
		t.Errorf("again: %+v", forgotten)
	}
}

// The claims of an application come from one backup, or they are of two moments.
func TestTheMoverFindsTheClaimsOfOneBackup(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	b.write("a", "a")
	b.exportedAt(noon, "", "data", "old")
	b.exportedAt(noon, "", "logs", "old")
	b.exportedAt(noon.Add(time.Hour), "", "data", "half")
	b.exportedAt(noon.Add(2*time.Hour), "", "logs", "new")
	b.exportedAt(noon.Add(2*time.Hour), "", "data", "new")
	b.exportedAt(noon.Add(2*time.Hour), "", "data", "new")
	asOf := noon.Add(90 * time.Minute)
	both := []string{"logs", "data"}
	for _, c := range []struct {
		task resticexport.Find
		uid  types.UID
	}{
		{resticexport.Find{Host: host, Claims: both}, "new"},
		{resticexport.Find{Host: host, Claims: both, AsOf: &asOf}, "old"},
		{resticexport.Find{Host: host, Claims: []string{"data"}, AsOf: &asOf}, "half"},
		{resticexport.Find{Host: host, Claims: both, BackupUID: "old"}, "old"},
	} {
		found := b.done(resticexport.Task{Find: &c.task}).Snapshots
		for i, claim := range c.task.Claims {
			if len(found) != len(c.task.Claims) || found[i].Claim != claim || found[i].BackupUID != c.uid || len(found[i].SnapshotID) != 64 || found[i].Bytes != 1 {
				t.Errorf("%+v: %+v", c.task, found)
			}
		}
	}
	b.exported(&resticexport.Backup{Host: host, Claim: "data", BackupUID: "whole", Of: 2, Time: noon.Add(3 * time.Hour)})
	b.exported(&resticexport.Backup{Host: host, Claim: "logs", BackupUID: "whole", Of: 2, Time: noon.Add(3*time.Hour + 2*time.Second)})
	b.exported(&resticexport.Backup{Host: host, Claim: "data", BackupUID: "begun", Of: 2, Time: noon.Add(4 * time.Hour)})
	whole := b.done(resticexport.Task{Find: &resticexport.Find{Host: host}}).Snapshots
	if len(whole) != 2 || whole[0].Claim != "data" || whole[1].Claim != "logs" || whole[0].BackupUID != "whole" || whole[1].BackupUID != "whole" {
		t.Errorf("the newest backup that is there as a whole: %+v", whole)
	}
	between := noon.Add(3*time.Hour + time.Second)
	b.fails(resticexport.Task{Find: &resticexport.Find{Host: host, AsOf: &between}}, resticexport.CauseNotFound)
	before := noon.Add(-time.Second)
	for _, task := range []resticexport.Find{
		{Host: host, Claims: both, AsOf: &before},
		{Host: host, Claims: both, BackupUID: "half"},
		{Host: "shop", Claims: both},
		{SnapshotID: "00000000"},
	} {
		b.fails(resticexport.Task{Find: &task}, resticexport.CauseNotFound)
	}
}

func TestTheMoverExchangesThePassword(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	b.write("a", "a")
	snapshot := b.backup(aBackup("data", noon))
	task := resticexport.Task{Rekey: &resticexport.Rekey{}}
	old := b.password
	renamed := func(name, text string) {
		t.Helper()
		b.mover.oldPassword = b.password
		b.password = filepath.Join(t.TempDir(), name)
		b.write(b.password, text)
		b.at("local:" + b.repository)
	}
	keys := func() int {
		files, _ := filepath.Glob(filepath.Join(b.repository, "keys", "*"))
		return len(files)
	}
	renamed("new", "another\n")
	b.fails(resticexport.Task{Open: &resticexport.Open{}}, resticexport.CauseWrongPassword)
	b.done(task)
	b.done(task) // as one that comes after one that died
	if n := keys(); n != 1 {
		t.Errorf("there are %d keys", n)
	}
	b.onto()
	b.done(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: snapshot.SnapshotID}})
	renamed("same", "another\n")
	b.done(task)
	if n := keys(); n != 1 {
		t.Errorf("of the same password in another Secret there are %d keys", n)
	}

	renamed("newest", "a third\n")
	died := b.mover.restic.openedBy(b.mover.oldPassword) // once the new one was added
	if err := died.run(t.Context(), run{args: resticexport.AddKeyCommand(b.password)}); err != nil {
		t.Fatal(err)
	}
	b.done(task)
	if n := keys(); n != 1 {
		t.Errorf("after one that died there are %d keys", n)
	}
	renamed("lost", "a fourth\n")
	b.mover.oldPassword = old
	b.fails(task, resticexport.CauseWrongPassword)
	if n := keys(); n != 1 {
		t.Errorf("where neither opens it there are %d keys", n)
	}
}

// Once the Secret of the old password is gone nobody knows which password it was.
func TestTheMoverMissesTheOldPassword(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	task := resticexport.Task{Rekey: &resticexport.Rekey{}}
	b.mover.oldPassword = filepath.Join(t.TempDir(), "gone")
	b.done(task)
	another := filepath.Join(t.TempDir(), "another")
	b.write(another, "another\n")
	b.restic(resticexport.AddKeyCommand(another)...)
	b.fails(task, resticexport.CauseNotFound, "2 passwords open the repository", "create that Secret again")
	b.write(b.password, "wrong\n")
	b.fails(task, resticexport.CauseWrongPassword, "create that again")
}
