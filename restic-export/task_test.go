package resticexport

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

var (
	noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	anID = strings.Repeat("0123456789abcdef", 4)
)

func someTasks() []Task {
	return []Task{
		{Open: &Open{Measure: true}}, {Init: &Init{}}, {Prune: &Prune{}}, {Unlock: &Unlock{}}, {Rekey: &Rekey{}},
		{Backup: &Backup{Host: "shop/web", Claim: "data", BackupUID: "8d0c", Time: noon}},
		{Backup: &Backup{Host: "shop/it's \"it\"; --force", Claim: "data", BackupUID: "8d0c", Policy: "nightly", Time: noon, Parent: anID, UploadLimit: 1 << 20, ReadConcurrency: 8, AllowEmpty: true}},
		{Find: &Find{Host: "shop/web", Claims: []string{"a", "b"}, AsOf: &noon, BackupUID: "8d0c"}}, {Find: &Find{SnapshotID: "01234567"}},
		{Restore: &Restore{SnapshotID: anID, Folder: "/srv", Paths: []string{"/a b", "/c\n", "/**"}, Delete: true}}, {Restore: &Restore{SnapshotID: anID, Device: true}},
		{Copy: &Copy{Paths: []string{"/a b", "/c\n", "/..d"}}},
		{Forget: &Forget{IDs: []string{anID}}},
		{Retain: &Retain{Histories: []History{{Host: "shop/web", Policy: "nightly", Rules: v1alpha1.RetentionRules{KeepLast: 1}, TimeZone: "Europe/Zurich", Held: []types.UID{"8d0c"}}}}},
		{Check: &Check{}}, {Check: &Check{Part: 3, Of: 3}},
		{Init: &Init{LikeSource: true}}, {CopySnapshots: &CopySnapshots{UploadLimit: 1 << 20, Unlock: true}},
	}
}

func TestATaskComesBack(t *testing.T) {
	kinds := map[string]bool{}
	for _, task := range someTasks() {
		got, err := ParseTask(task.String())
		if err != nil || !reflect.DeepEqual(got, task) {
			t.Errorf("%s: %s %v", task, got, err)
		}
		kinds[task.Kind()] = true
	}
	if all := reflect.TypeFor[Task]().NumField(); len(kinds) != all || kinds[""] {
		t.Errorf("%v are not all %d", kinds, all)
	}
}

func TestATaskThatCannotBeIsRefused(t *testing.T) {
	backup := func(change func(*Backup)) Task {
		b := Backup{Host: "shop/web", Claim: "data", BackupUID: "8d0c", Time: noon}
		change(&b)
		return Task{Backup: &b}
	}
	for _, task := range []Task{
		{}, {Open: &Open{}, Init: &Init{}},
		backup(func(b *Backup) { b.Host = "" }), backup(func(b *Backup) { b.Host = "a\x00b" }), backup(func(b *Backup) { b.Host = strings.Repeat("a", 1025) }),
		backup(func(b *Backup) { b.Claim = "a,b" }), backup(func(b *Backup) { b.Claim = "" }), backup(func(b *Backup) { b.BackupUID = "a b" }),
		backup(func(b *Backup) { b.Policy = "a,lull" }), backup(func(b *Backup) { b.Time = time.Time{} }), backup(func(b *Backup) { b.Parent = "latest" }),
		backup(func(b *Backup) { b.Of = -1 }), backup(func(b *Backup) { b.UploadLimit = -1 }), backup(func(b *Backup) { b.ReadConcurrency = 65 }),
		{Find: &Find{}}, {Find: &Find{Claims: []string{"a"}}}, {Find: &Find{Host: "h", Claims: make([]string, 17)}},
		{Find: &Find{SnapshotID: "latest"}}, {Find: &Find{SnapshotID: "0123456"}}, {Find: &Find{SnapshotID: "01234567", Host: "h"}},
		{Restore: &Restore{}}, {Restore: &Restore{SnapshotID: "latest"}}, {Restore: &Restore{SnapshotID: anID + ":/a"}},
		{Restore: &Restore{SnapshotID: anID, Device: true, Delete: true}}, {Restore: &Restore{SnapshotID: anID, Folder: "/"}}, {Restore: &Restore{SnapshotID: anID, Folder: "a"}},
		{Restore: &Restore{SnapshotID: anID, Paths: []string{"/a/../b"}}}, {Restore: &Restore{SnapshotID: anID, Paths: []string{"a"}}}, {Restore: &Restore{SnapshotID: anID, Paths: []string{""}}},
		{Restore: &Restore{SnapshotID: anID, Paths: []string{"/a\x00"}}},
		{Copy: &Copy{}}, {Copy: &Copy{Paths: []string{"/a/../b"}}}, {Copy: &Copy{Paths: []string{"/"}}}, {Copy: &Copy{Paths: []string{"/a", "/b/"}}},
		{Forget: &Forget{}}, {Forget: &Forget{IDs: []string{"01234567"}}}, {Forget: &Forget{IDs: make([]string, 501)}},
		{Retain: &Retain{}}, {Retain: &Retain{Histories: make([]History, 501)}}, {Retain: &Retain{Histories: []History{{Host: "h"}}}}, {Retain: &Retain{Histories: []History{{Rules: v1alpha1.RetentionRules{KeepLast: 1}}}}},
		{Check: &Check{Part: 1}}, {Check: &Check{Of: 1}}, {Check: &Check{Part: 2, Of: 1}}, {Check: &Check{Part: -1, Of: 1}},
		{CopySnapshots: &CopySnapshots{UploadLimit: -1}},
	} {
		if _, err := ParseTask(task.String()); err == nil {
			t.Errorf("%.200s is taken", task)
		}
	}
	for _, text := range []string{"", "null", "{", `{"open":{}}{}`, `{"open":{"more":1}}`, `{"more":{},"open":{}}`, `{"open":null}`, "--init"} {
		if _, err := ParseTask(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestCommandLines(t *testing.T) {
	hostile := &Backup{Host: "--force", Claim: "$(id)", BackupUID: "u", Of: 2, Policy: "p", Time: noon.In(time.FixedZone("", 7200)), UploadLimit: 100, ReadConcurrency: 3}
	for want, got := range map[string][]string{
		"backup|--json|--host=--force|--time=2026-05-01 12:00:00|--tag=lull|--tag=claim=$(id)|--tag=backup=u|--tag=of=2|--tag=policy=p|--limit-upload=1|--read-concurrency=3|--parent=" + anID + "|--exclude=/data/lost+found|--|.":
		/**/ hostile.Command(anID, BackupSource{Path: "/data", Excludes: []string{"/data/lost+found"}}),
		"backup|--json|--host=h|--time=2026-05-01 12:00:00|--tag=lull|--tag=claim=c|--tag=backup=u|--tag=empty|--limit-upload=2048|--force|--|/data":
		/**/ (&Backup{Host: "h", Claim: "c", BackupUID: "u", Time: noon, UploadLimit: 2 << 20}).Command("", BackupSource{Path: "/data", IsEmpty: true}),
		"backup|--json|--host=h|--time=2026-05-01 12:00:00|--tag=lull|--tag=claim=c|--tag=backup=u|--stdin|--stdin-filename=/disk.img":
		/**/ (&Backup{Host: "h", Claim: "c", BackupUID: "u", Time: noon, Device: true}).Command("", BackupSource{}),
		"restore|--json|--target=/data|--verify|--sparse|--|" + anID: (&Restore{SnapshotID: anID}).Command("/data"),
		`restore|--json|--target=/data|--verify|--sparse|--delete|--include=/\*\?\[a\]\\|--|` + anID + ":/srv":
		/**/ (&Restore{SnapshotID: anID, Folder: "/srv", Paths: []string{`/*?[a]\`}, Delete: true}).Command("/data"),
		"restore|--json|--target=/data|--verify|--sparse|--delete|--exclude=/lost+found|--|" + anID: (&Restore{SnapshotID: anID, Delete: true}).Command("/data"),
		"ls|--json|--|" + anID + "|/a":               (&Restore{SnapshotID: anID, Paths: []string{"/a"}}).ListCommand(),
		"dump|--json|--|" + anID + "|/disk.img":      (&Restore{SnapshotID: anID, Device: true}).DumpCommand(),
		"forget|--json|--|" + anID:                   (&Forget{IDs: []string{anID}}).Command(),
		"check|--json":                               (&Check{}).Command(),
		"check|--json|--read-data-subset=2/7":        (&Check{Part: 2, Of: 7}).Command(),
		"prune|--json":                               (&Prune{}).Command(),
		"unlock|--json":                              (&Unlock{}).Command(),
		"init|--json":                                (&Init{}).Command(),
		"init|--json|--copy-chunker-params":          (&Init{LikeSource: true}).Command(),
		"copy|--json|--|" + anID:                     (&CopySnapshots{}).Command([]string{anID}),
		"copy|--json|--limit-upload=2048|--|" + anID: (&CopySnapshots{UploadLimit: 2 << 20}).Command([]string{anID}),
		"snapshots|--json|--no-lock|--host=shop/web": SnapshotsCommand("shop/web"),
		"snapshots|--json|--no-lock":                 SnapshotsCommand(""),
	} {
		if !slices.Equal(got, strings.Split(want, "|")) {
			t.Errorf("%q\nnot %q", got, strings.Split(want, "|"))
		}
	}
}

// Whoever opens a repository makes none and removes no lock of another.
func TestNoCommandLineIsDangerous(t *testing.T) {
	all := [][]string{ConfigCommand, StatsCommand, KeysCommand, LocksCommand, LockCommand(anID), SnapshotsCommand("h"), SnapshotCommand(anID)}
	all = append(all, (&Unlock{}).Command(), (&Prune{}).Command(), (&Forget{IDs: []string{anID}}).Command(), (&Check{}).Command(), (&Init{}).Command(), (&CopySnapshots{}).Command([]string{anID}))
	for _, command := range all {
		for _, word := range []string{"--remove-all", "--unsafe-recover-no-free-space", "--unsafe-allow-remove-all", "--prune", "--skip-if-unchanged", "--insecure-tls"} {
			if slices.Contains(command, word) {
				t.Errorf("%q", command)
			}
		}
	}
}
