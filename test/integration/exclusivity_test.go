package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestTwoBackupsOfOneApplicationTakeTurns(t *testing.T) {
	for name, quieted := range map[string]func(*fakeCluster) func(*v1alpha1.VolumeBackupSpec){
		"Hold":  func(fc *fakeCluster) func(*v1alpha1.VolumeBackupSpec) { return fc.held },
		"Hooks": func(fc *fakeCluster) func(*v1alpha1.VolumeBackupSpec) { return fc.hooked },
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.anApplication("data")
			cut := make(chan struct{})
			fc.storage.decide(func(string, int) fate { return fate{cut: cut} })
			fc.aManager()
			first := fc.aBackup(quieted(fc))
			fc.eventually("the first is frozen", func() bool { return len(fc.storage.made()) == 1 })
			second := fc.aBackup(quieted(fc))
			fc.await(second, "waiting for its turn", func(b *v1alpha1.VolumeBackup) bool {
				return condition(b, v1alpha1.ConditionReconciling).Reason == v1alpha1.ReasonApplicationBusy
			})
			if len(fc.frozen()) != 1 {
				t.Errorf("one of two should hold: %v", fc.frozen())
			}
			close(cut)
			fc.await(first, "complete", ended)
			fc.await(second, "complete", ended)
			for _, b := range []*v1alpha1.VolumeBackup{first, second} {
				b = fc.awaitEnd(b)
				if !isTrue(b, v1alpha1.ConditionComplete) || b.Status.Quiesce.Attempt != 1 {
					t.Errorf("should be complete at once:\n%s", describe(b))
				}
			}
		})
	}
}

func TestABackupWaitsForDriverCapacityBeforeItFreezesAnything(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("one", "two")
	fc.runs("first", template("one"), nil)
	fc.runs("second", template("two"), nil)
	cut := make(chan struct{})
	fc.storage.decide(func(claim string, _ int) fate {
		if claim == "one" {
			return fate{cut: cut}
		}
		return fate{}
	})
	fc.aManager(withOptions(func(o *options) { o.MaxSnapshotsInFlight = 1 }))
	first := fc.aBackupOf(v1alpha1.KindPod, "first", fc.held)
	fc.eventually("the first is being cut", func() bool { return len(fc.storage.made()) == 1 })
	second := fc.aBackupOf(v1alpha1.KindPod, "second", fc.held)
	fc.await(second, "waiting for driver capacity", func(b *v1alpha1.VolumeBackup) bool {
		return condition(b, v1alpha1.ConditionReconciling).Reason == v1alpha1.ReasonWaitingForRoom
	})
	if n := len(fc.journal.positions("run hold in second")); n > 0 {
		t.Error("the second was frozen though the driver was at capacity")
	}
	close(cut)
	fc.awaitComplete(first, v1alpha1.Proven)
	fc.awaitComplete(second, v1alpha1.Proven)
	fc.isAllBefore("released first", "run hold in second")
}

// Its time comes by itself, long after the other has ended.
func TestABackupWaitsForThePaceBeforeItFreezesAnything(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("one", "two")
	fc.runs("first", template("one"), nil)
	fc.runs("second", template("two"), nil)
	fc.aManager(withOptions(func(o *options) { o.SnapshotsPerSecond = 0.2 }))
	first, second := fc.aBackupOf(v1alpha1.KindPod, "first", fc.held), fc.aBackupOf(v1alpha1.KindPod, "second", fc.held)
	waits := func(b *v1alpha1.VolumeBackup) bool {
		fc.must(admin.Get(fc.ctx, keyOf(b), b))
		c := condition(b, v1alpha1.ConditionReconciling)
		return c.Reason == v1alpha1.ReasonWaitingForRoom && strings.Contains(c.Message, "makes 0.2 a second at most (--snapshots-per-second): when this was written it was number 1 ")
	}
	fc.eventually("one waits for the pace", func() bool { return waits(first) || waits(second) })
	first, second = fc.awaitComplete(first, v1alpha1.Proven), fc.awaitComplete(second, v1alpha1.Proven)
	if second.Status.Quiesce.StartedAt.Before(&first.Status.Quiesce.StartedAt) {
		first, second = second, first
	}
	if between := second.Status.Quiesce.StartedAt.Sub(first.Status.Quiesce.StartedAt.Time); between < time.Second {
		t.Errorf("%s between the two", between)
	}
	fc.isAllBefore("released "+first.Spec.ApplicationRef.Name, "run hold in "+second.Spec.ApplicationRef.Name)
}

func TestABackupWaitsForItsTurnOnlySoLong(t *testing.T) {
	for reason, waiting := range map[string]struct {
		pod      string
		capacity int
	}{
		v1alpha1.ReasonWaitingForRoom:  {pod: "second", capacity: 1},
		v1alpha1.ReasonApplicationBusy: {pod: "first", capacity: 2},
	} {
		t.Run(reason, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.claims("one", "two")
			fc.runs("first", template("one"), nil)
			fc.runs("second", template("two"), nil)
			cut := make(chan struct{})
			fc.storage.decide(func(string, int) fate { return fate{cut: cut} })
			fc.aManager(withOptions(func(o *options) { o.MaxSnapshotsInFlight, o.ExclusivityTimeout = waiting.capacity, time.Second }))
			first := fc.aBackupOf(v1alpha1.KindPod, "first", fc.held)
			fc.eventually("the first is being cut", func() bool { return len(fc.storage.made()) == 1 })
			late := fc.await(fc.aBackupOf(v1alpha1.KindPod, waiting.pod, fc.held), "at its end", ended)
			failed := condition(late, v1alpha1.ConditionFailed)
			if failed.Reason != reason || !strings.HasPrefix(failed.Message, "gave up after 1s: it waits ") {
				t.Errorf("should say what it waited for:\n%s", describe(late))
			}
			close(cut)
			fc.awaitComplete(first, v1alpha1.Proven)
		})
	}
}

// However many backups wait, there is a worker for what can't.
func TestBackupsThatWaitLeaveAWorkerFree(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	fc.runs("app", template("data"), nil)
	cut := make(chan struct{})
	fc.storage.decide(func(string, int) fate { return fate{cut: cut} })
	fc.aManager(withOptions(func(o *options) { o.Workers, o.MaxSnapshotsInFlight = 2, 1 }))
	first := fc.aBackupOf(v1alpha1.KindPod, "app", fc.held)
	fc.eventually("the first is being cut", func() bool { return len(fc.storage.made()) == 1 })
	var others []*v1alpha1.VolumeBackup
	for range 2 {
		others = append(others, fc.aBackupOf(v1alpha1.KindPod, "app", fc.held))
	}
	for _, b := range others {
		fc.await(b, "waiting for driver capacity", func(b *v1alpha1.VolumeBackup) bool {
			return condition(b, v1alpha1.ConditionReconciling).Reason == v1alpha1.ReasonWaitingForRoom
		})
	}
	for _, b := range others {
		fc.delete(b)
		fc.awaitGone(b)
	}
	close(cut)
	fc.awaitComplete(first, v1alpha1.Proven)
}
