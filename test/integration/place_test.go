package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers"
)

func TestTwoBackupsOfOneApplicationTakeTurns(t *testing.T) {
	for name, quieted := range map[string]func(*world) func(*v1alpha1.VolumeBackupSpec){
		"Hold":  func(w *world) func(*v1alpha1.VolumeBackupSpec) { return w.held },
		"Hooks": func(w *world) func(*v1alpha1.VolumeBackupSpec) { return w.hooked },
	} {
		t.Run(name, func(t *testing.T) {
			w := aWorld(t)
			w.anApplication("data")
			cut := make(chan struct{})
			w.storage.decide(func(string, int) fate { return fate{cut: cut} })
			w.aManager()
			first := w.aBackup(quieted(w))
			w.eventually("the first is frozen", func() bool { return len(w.storage.made()) == 1 })
			second := w.aBackup(quieted(w))
			w.await(second, "waiting for its turn", func(b *v1alpha1.VolumeBackup) bool {
				return condition(b, v1alpha1.ConditionReconciling).Reason == v1alpha1.ReasonApplicationBusy
			})
			if len(w.frozen()) != 1 {
				t.Errorf("one of two should hold: %v", w.frozen())
			}
			close(cut)
			w.await(first, "complete", ended)
			w.await(second, "complete", ended)
			for _, b := range []*v1alpha1.VolumeBackup{first, second} {
				b = w.awaitEnd(b)
				if !isTrue(b, v1alpha1.ConditionComplete) || b.Status.Quiesce.Attempt != 1 {
					t.Errorf("should be complete at once:\n%s", describe(b))
				}
			}
		})
	}
}

func TestABackupWaitsForRoomBeforeItFreezesAnything(t *testing.T) {
	w := aWorld(t)
	w.claims("one", "two")
	w.runs("first", template("one"), nil)
	w.runs("second", template("two"), nil)
	cut := make(chan struct{})
	w.storage.decide(func(claim string, _ int) fate {
		if claim == "one" {
			return fate{cut: cut}
		}
		return fate{}
	})
	w.aManager(withOptions(func(o *controllers.Options) { o.MaxSnapshotsInFlight = 1 }))
	first := w.aBackupOf(v1alpha1.KindPod, "first", w.held)
	w.eventually("the first is being cut", func() bool { return len(w.storage.made()) == 1 })
	second := w.aBackupOf(v1alpha1.KindPod, "second", w.held)
	w.await(second, "waiting for room", func(b *v1alpha1.VolumeBackup) bool {
		return condition(b, v1alpha1.ConditionReconciling).Reason == v1alpha1.ReasonWaitingForRoom
	})
	if n := len(w.journal.positions("run hold in second")); n > 0 {
		t.Error("the second was frozen without room for its snapshots")
	}
	close(cut)
	w.awaitComplete(first, v1alpha1.Proven)
	w.awaitComplete(second, v1alpha1.Proven)
	w.isAllBefore("released first", "run hold in second")
}

func TestABackupWaitsForItsTurnOnlySoLong(t *testing.T) {
	for reason, waiting := range map[string]struct {
		pod  string
		room int
	}{
		v1alpha1.ReasonWaitingForRoom:  {pod: "second", room: 1},
		v1alpha1.ReasonApplicationBusy: {pod: "first", room: 2},
	} {
		t.Run(reason, func(t *testing.T) {
			w := aWorld(t)
			w.claims("one", "two")
			w.runs("first", template("one"), nil)
			w.runs("second", template("two"), nil)
			cut := make(chan struct{})
			w.storage.decide(func(string, int) fate { return fate{cut: cut} })
			w.aManager(withOptions(func(o *controllers.Options) { o.MaxSnapshotsInFlight, o.TurnTimeout = waiting.room, time.Second }))
			first := w.aBackupOf(v1alpha1.KindPod, "first", w.held)
			w.eventually("the first is being cut", func() bool { return len(w.storage.made()) == 1 })
			late := w.await(w.aBackupOf(v1alpha1.KindPod, waiting.pod, w.held), "at its end", ended)
			failed := condition(late, v1alpha1.ConditionFailed)
			if failed.Reason != reason || !strings.HasPrefix(failed.Message, "gave up after 1s: it waits ") {
				t.Errorf("should say what it waited for:\n%s", describe(late))
			}
			close(cut)
			w.awaitComplete(first, v1alpha1.Proven)
		})
	}
}

// However many backups wait, there is a worker for what can't.
func TestBackupsThatWaitLeaveAWorkerFree(t *testing.T) {
	w := aWorld(t)
	w.claims("data")
	w.runs("app", template("data"), nil)
	cut := make(chan struct{})
	w.storage.decide(func(string, int) fate { return fate{cut: cut} })
	w.aManager(withOptions(func(o *controllers.Options) { o.Workers, o.MaxSnapshotsInFlight = 2, 1 }))
	first := w.aBackupOf(v1alpha1.KindPod, "app", w.held)
	w.eventually("the first is being cut", func() bool { return len(w.storage.made()) == 1 })
	var others []*v1alpha1.VolumeBackup
	for range 2 {
		others = append(others, w.aBackupOf(v1alpha1.KindPod, "app", w.held))
	}
	for _, b := range others {
		w.await(b, "waiting for room", func(b *v1alpha1.VolumeBackup) bool {
			return condition(b, v1alpha1.ConditionReconciling).Reason == v1alpha1.ReasonWaitingForRoom
		})
	}
	for _, b := range others {
		w.delete(b)
		w.awaitGone(b)
	}
	close(cut)
	w.awaitComplete(first, v1alpha1.Proven)
}
