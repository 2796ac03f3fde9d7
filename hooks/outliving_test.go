package hooks_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	clientexec "k8s.io/client-go/util/exec"

	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/hooks/hookstest"
)

// anOutlivingHold freezes until somebody thaws, be it alive or not.
func anOutlivingHold() hooks.Target {
	target := holding("a", `echo $$ >"$LOG.pid"; echo pre >>"$LOG"; echo HELD; cat >/dev/null 2>&1; echo thawed >>"$LOG"; echo STILL_HELD`)
	target.Post = shell(`echo post >>"$LOG"`)
	return target
}

// killed is the hold after a SIGKILL.
func killed(t *testing.T, log string) {
	t.Helper()
	if out, err := exec.Command("kill", "-KILL", lines(t, log+".pid")[0]).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
}

func TestAHoldThatWasKilledIsThawed(t *testing.T) {
	log := aLog(t)
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, anOutlivingHold())
	if err != nil {
		t.Fatal(err)
	}
	killed(t, log)
	<-q.Lost()
	if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || r.Testified || !strings.Contains(r.Err.Error(), "the freeze was lost") {
		t.Errorf("%+v", r)
	}
	says(t, log, "pre", "post")
	gone(t, mark)
}

// Whoever looks after it does no harm to one that ends as it should.
func TestAnOutlivingHoldTestifies(t *testing.T) {
	log := aLog(t)
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, anOutlivingHold())
	if err != nil {
		t.Fatal(err)
	}
	if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || !r.Testified || r.Err != nil {
		t.Errorf("%+v", r)
	}
	says(t, log, "pre", "thawed", "post")
	if len(q.Unwatched()) > 0 {
		t.Errorf("says %v", q.Unwatched())
	}
	gone(t, mark)
}

// Nobody may come for it: its own process and the manager are both gone.
func TestAWatchmanThawsWhatAKilledHoldLeftFrozen(t *testing.T) {
	log, e := aLog(t), &hookstest.Executor{}
	target := anOutlivingHold()
	target.Hold = shell(`echo $$ >"$LOG.pid"; echo pre >>"$LOG"; echo HELD; while :; do sleep 1; done`)
	aDeadManager(t, e, 2*time.Second, target)
	killed(t, log)
	says(t, log, "pre", "post")
	gone(t, mark)
}

// immortal is a container in which nothing can be killed.
type immortal struct{ hooks.Executor }

func (i immortal) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if command[3] == "-" {
		return clientexec.CodeExitError{Err: errors.New("exit status 9"), Code: 9}
	}
	return i.Executor.Exec(ctx, c, command, s)
}

// What nobody can kill may freeze after the post-hook: that is run again.
func TestAnOutlivingHoldThatCantBeKilledIsNotThawed(t *testing.T) {
	log := aLog(t)
	target := anOutlivingHold()
	target.Hold = shell(`echo HELD; while :; do sleep 1; done`)
	q, err := begin(t, immortal{&hookstest.Executor{}}, 10*time.Second, target)
	if err != nil {
		t.Fatal(err)
	}
	if r := q.End(t.Context())[uidOf("a")]; r.Thawed || r.Testified || !strings.Contains(r.Err.Error(), "may still be at work") {
		t.Errorf("%+v", r)
	}
	says(t, log, "post")
}
