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
		{Folder: "/data", Volume: "data", Claim: "data-db-0", IsBackedUp: true},
		{Folder: "/data/scratch", Volume: "scratch"},
		{Folder: "/log", Volume: "log", Claim: "log-db-0"},
	}
	for name, c := range map[string]struct{ says, want string }{
		"nothing is said":             {"", ""},
		"all are on it":               {"USES /data/db", ""},
		"none are on a volume":        {"USES /data/db\nUSES /var/lib", "/var/lib is on no volume that container db mounts"},
		"they are on another claim":   {"USES /log/wal", "/log/wal is on claim log-db-0, which isn't backed up"},
		"they are on no claim":        {"USES /data/scratch/log", "/data/scratch/log is on volume scratch, which has no claim"},
		"a part of them is elsewhere": {"USES /data", "/data/scratch is on volume scratch, which has no claim"},
		"what is no folder":           {"USES ERR unknown command", ""},
		"it is said after HELD":       {"HELD\nUSES /log", ""},
	} {
		t.Run(name, func(t *testing.T) {
			aLog(t)
			target := holding("a", `printf '%s\n' "`+c.says+`" `+"\n"+aHold)
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
