package hooks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lull-dev/lull/hooks/hookstest"
	"github.com/lull-dev/lull/snapshot/workload"
)

// A copy starts from all that the application uses, by its own word.
func TestFilesThatNobodyBacksUp(t *testing.T) {
	mounts := []workload.Mount{
		{Container: "db", Folder: "/data", Volume: "data", Claim: "data-db-0", IsBackedUp: true},
		{Container: "db", Folder: "/data/scratch", Volume: "scratch"},
		{Container: "db", Folder: "/log", Volume: "log", Claim: "log-db-0"},
	}
	many := "for i in $(seq 300); do echo USES /data/db/$i; done"
	for name, c := range map[string]struct{ says, want string }{
		"nothing is said":             {":", ""},
		"all are on it":               {"echo USES /data/db", ""},
		"none are on a volume":        {"echo USES /data/db; echo USES /var/lib", "/var/lib is on no volume"},
		"they are on another claim":   {"echo USES /log/wal", "/log/wal is on claim log-db-0. Back up all volumes"},
		"they are on no claim":        {"echo USES /data/scratch/log", "/data/scratch/log is on volume scratch, which no backup can have"},
		"a part of them is elsewhere": {"echo USES /data", "/data/scratch is on volume scratch"},
		"several are":                 {"for f in /a /log /b /a /c /d; do echo USES $f; done", "/a is on no volume. Put it on a claim, or name the container that has it, by the annotation lull.dev/hook-container; /log is on claim log-db-0. Back up all volumes of the application, and don't leave that out by spec.volumes or the annotation lull.dev/exclude-volumes; /b is"},
		"more than are told":          {"for f in /a /b /a /c /d; do echo USES $f; done", "; and 1 more"},
		"it isn't known":              {"echo USES /data/db; echo 'USES ERR unknown\033command'", "doesn't tell where all its files are, so nobody knows whether a copy of it has them (ERR unknowncommand)"},
		"they are too many":           {many, "(it names more than 256 folders)"},
		"it is said after HELD":       {"echo HELD; echo USES /log", ""},
	} {
		t.Run(name, func(t *testing.T) {
			aLog(t)
			target := holding("a", c.says+"; "+aHold)
			target.Mounts = mounts
			session, err := begin(t, &hookstest.Executor{}, 5*time.Second, target)
			defer session.End(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := session.Elsewhere(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Nobody asks a pair of hooks, or half of one.
func TestAPairOfHooksDoesNotSayWhatItUses(t *testing.T) {
	session, err := begin(t, &hookstest.Executor{}, 5*time.Second, hooked("echo USES /log", ":"))
	if err != nil {
		t.Fatal(err)
	}
	if got := session.Elsewhere(); got != "" {
		t.Errorf("got %q", got)
	}
	if r := session.End(t.Context())[uidOf("a")]; !r.Testified {
		t.Errorf("%+v", r)
	}
}
