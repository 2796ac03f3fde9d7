package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lull-dev/lull/api/v1alpha1"
)

var errQuota = apierrors.NewForbidden(schema.GroupResource{Group: "lull.dev", Resource: "volumebackups"}, "x", errors.New("exceeded quota: backups"))

// asks has a person ask for a run by a value.
func (c *cluster) asks(value string) {
	c.Helper()
	p := c.policy()
	metav1.SetMetaDataAnnotation(&p.ObjectMeta, v1alpha1.AnnotationRunNow, value)
	c.must(c.Update(context.Background(), p))
}

// events are those told since the last time.
func (c *cluster) events() (told []string) {
	for len(c.told.Events) > 0 {
		told = append(told, <-c.told.Events)
	}
	return told
}

// One application whose backup can't be made at once keeps no other from its own,
// and the policy from no run.
func TestOneThatIsRefusedAtOnceStopsNobody(t *testing.T) {
	for what, c := range map[string]struct {
		refusal error
		isFinal bool
	}{"a quota": {errQuota, true}, "a webhook that fails": {errRefused, false}} {
		cluster := aCluster(t, append(aPolicy(nil), deployment("shop", "aaa", "nightly"))...)
		cluster.lookOn()
		cluster.refusals = map[string]error{"aaa": c.refusal}
		cluster.asks("1")
		_, err := cluster.look()
		now := cluster.policy().Status.RunNow
		if (err == nil) != c.isFinal || now.Done != c.isFinal || cluster.of("db") != 1 || len(now.Backups) != 1 {
			t.Errorf("%s: %v, %+v, there are %v", what, err, now, cluster.backups())
		}
		cluster.complete()
		cluster.clock.SetTime(two)
		if _, err := cluster.look(); err == nil && !c.isFinal || cluster.of("db") != 2 {
			t.Errorf("%s: nothing is made when it is due: %v, there are %v", what, err, cluster.backups())
		}
	}
}

// A refusal is told where people look, until there is a backup.
func TestARefusalIsTold(t *testing.T) {
	c := aCluster(t, aPolicy(nil)...)
	c.lookOn()
	c.clock.SetTime(two)
	c.lookOn()
	c.complete()
	c.clock.SetTime(two.Add(time.Hour))
	c.refusal = errQuota
	c.asks("1")
	for range 3 {
		c.lookOn()
	}
	status := c.policy().Status
	if got := status.RunNow.Refused; len(got) != 1 || got[0] != "Deployment db" || !strings.Contains(status.Applications[0].Message, "exceeded quota") {
		t.Errorf("refused are %v, and of it is said %q", got, status.Applications[0].Message)
	}
	c.refusal = nil
	c.clock.SetTime(two.AddDate(0, 0, 1))
	c.lookOn()
	c.complete()
	c.lookOn()
	if got := c.policy().Status.Applications[0].Message; got != "" {
		t.Errorf("after a good run it is said: %s", got)
	}
}

func TestAValueRunsOnce(t *testing.T) {
	c := aCluster(t, aPolicy(nil)...)
	for i, value := range []string{"1", "2", "1", "2", "3"} {
		c.clock.SetTime(two.Add(time.Duration(i-30) * time.Minute))
		c.asks(value)
		c.lookOn()
	}
	if got := c.of("db"); got != 3 {
		t.Errorf("three values made %v", c.backups())
	}
}

// What was missed is counted and told once, however often the newest run fails.
func TestWhatWasMissedIsCountedOnce(t *testing.T) {
	c := aCluster(t, aPolicy(func(p *v1alpha1.SnapshotPolicy) { p.Spec.Schedule = "*/10 * * * *" })...)
	c.lookOn()
	c.refusal = apierrors.NewInternalError(errors.New("failed calling webhook"))
	for i := range 10 {
		c.clock.SetTime(two.Add(time.Duration(i) * time.Second))
		if _, err := c.look(); err == nil {
			t.Fatal("a backup that can't be made is no error")
		}
	}
	c.refusal = nil
	c.lookOn()
	if missed, told := c.policy().Status.MissedRuns, c.events(); missed != 5 || len(told) != 1 || c.of("db") != 1 {
		t.Errorf("of six due times %d are missed, it told %q, there are %v", missed, told, c.backups())
	}
}

// A backup that can't be deleted keeps none of the others.
func TestOneThatCannotBeDeletedStopsNobody(t *testing.T) {
	objects := aPolicy(func(p *v1alpha1.SnapshotPolicy) {
		p.Spec.Retention.Snapshots = &v1alpha1.RetentionRules{KeepLast: 1}
	})
	for nights := range 4 {
		objects = append(objects, before(nights))
	}
	c := aCluster(t, objects...)
	seen := c.policy()
	seen.Status.LastScheduleTime = &metav1.Time{Time: two.AddDate(0, 0, -1)}
	c.must(c.Status().Update(context.Background(), seen))
	c.clock.SetTime(two.Add(time.Minute))
	c.undeletable = "before-2"
	for range 5 {
		if _, err := c.look(); !errors.Is(err, errRefused) {
			t.Fatalf("it tells %v", err)
		}
	}
	if got, removal := c.backups(), c.policy().Status.Removal; len(got) != 2 || removal.Removed != 2 {
		t.Errorf("there are %v, and it counts %+v", got, removal)
	}
}

// A backup that goes on for a day has the runs of its day missed, one by one.
func TestABackupInTheWayIsTold(t *testing.T) {
	c := aCluster(t, aPolicy(func(p *v1alpha1.SnapshotPolicy) { p.Spec.Schedule = "@hourly" })...)
	c.lookOn()
	for i := range 24 * 6 {
		c.clock.SetTime(two.Add(time.Duration(i)*10*time.Minute + 2*time.Millisecond))
		c.lookOn()
	}
	status, told := c.policy().Status, c.events()
	if status.MissedRuns != 22 || len(told) != 22 || !strings.Contains(told[0], "backup nightly-db-20251126-0200-") {
		t.Errorf("%d missed, it told %d times: %.1q", status.MissedRuns, len(told), told)
	}
	if row := status.Applications[0]; row.WaitingFor != c.backups()[0] || !strings.Contains(row.Message, "went on for longer") {
		t.Errorf("it is said to wait for %q: %s", row.WaitingFor, row.Message)
	}
	c.complete()
	c.lookOn()
	c.complete()
	c.lookOn()
	if row := c.policy().Status.Applications[0]; row.WaitingFor != "" || row.Message != "" || c.of("db") != 2 {
		t.Errorf("once it has ended it is said to wait for %q: %s; there are %v", row.WaitingFor, row.Message, c.backups())
	}
}

// A clock that was ahead once keeps the policy from no run.
func TestAClockThatWasAhead(t *testing.T) {
	c := aCluster(t, aPolicy(nil)...)
	c.lookOn()
	c.clock.SetTime(two.AddDate(1, 0, 0).Add(time.Minute))
	c.lookOn()
	c.complete()
	c.lookOn()
	c.events()
	for day := range 20 {
		c.clock.SetTime(two.AddDate(0, 0, day).Add(-time.Second))
		c.lookOn()
		c.clock.SetTime(two.AddDate(0, 0, day).Add(time.Second))
		c.lookOn()
		c.complete()
		c.lookOn()
	}
	told := c.events()
	if c.of("db") != 21 || len(told) != 1 || !strings.Contains(told[0], "ClockWasAhead the status told of 2026-11-26T02:00:00Z") {
		t.Errorf("it told %q, there are %v", told, c.backups())
	}
}

// The command that releases retention fits into an event, whatever is held.
func TestTheReleaseIsInTheEvent(t *testing.T) {
	objects := aPolicy(func(p *v1alpha1.SnapshotPolicy) {
		p.Spec.Retention.Snapshots = &v1alpha1.RetentionRules{KeepLast: 1}
	})
	for i := range 40 {
		for nights := range 10 {
			b := before(nights)
			b.Name, b.Spec.ApplicationRef.Name = fmt.Sprintf("application-%03d-%s", i, b.Name), fmt.Sprintf("application-%03d", i)
			objects = append(objects, b)
		}
	}
	c := aCluster(t, objects...)
	c.clock.SetTime(two.Add(time.Minute))
	c.lookOn()
	const release = "kubectl annotate snapshotpolicy -n shop nightly lull.dev/release-retention=1 --overwrite"
	if told := c.events(); len(told) != 1 || !strings.Contains(told[0], release) || !strings.Contains(c.policy().Status.Message, release) {
		t.Errorf("it told %q", told)
	}
}
