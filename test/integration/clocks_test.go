package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Managers that take over from each other run on machines whose clocks are an hour
// apart. What is judged here is by the clock of the test, which is that of the API
// server.

const halfAnHour = 30 * time.Minute

// wrongClock is that of a machine that is ahead of the others.
type wrongClock struct{ ahead time.Duration }

var _ clock.PassiveClock = wrongClock{}

func (c wrongClock) Now() time.Time                  { return time.Now().Add(c.ahead) }
func (c wrongClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// nextMachine is the clock of the machine that the next manager runs on.
func (fc *fakeCluster) nextMachine() clock.PassiveClock {
	ahead := fc.apart
	fc.apart = -ahead
	return wrongClock{ahead}
}

// bothWays runs a test on a cluster whose first manager's clock is ahead, and on one
// where it is behind.
func bothWays(t *testing.T, name string, test func(*fakeCluster)) {
	t.Helper()
	oneWay(t, name, halfAnHour, test)
	oneWay(t, name, -halfAnHour, test)
}

// oneWay runs it on a cluster whose first manager's clock is so far ahead.
func oneWay(t *testing.T, name string, ahead time.Duration, test func(*fakeCluster)) {
	t.Helper()
	way := "ahead"
	if ahead < 0 {
		way = "behind"
	}
	t.Run(fmt.Sprintf("%s, the first is %s", name, way), func(t *testing.T) {
		fc := aFakeCluster(t)
		fc.apart = ahead
		test(fc)
	})
}

// agreed is by how much the times of managers may differ that go by the same clock.
const agreed = 5 * time.Second

// since fails for a time in a status that nobody's clock has shown since then.
func (fc *fakeCluster) since(began time.Time, times map[string]time.Time) {
	fc.Helper()
	for what, at := range times {
		if !at.IsZero() && (at.Before(began.Add(-agreed)) || at.After(time.Now().Add(agreed))) {
			fc.Errorf("%s is said to be at %s, between %s and now", what, at.Format(time.RFC3339), began.Format(time.RFC3339))
		}
	}
}

func timesOf(b *v1alpha1.VolumeBackup) map[string]time.Time {
	times := map[string]time.Time{}
	for _, c := range b.Status.Conditions {
		times[c.Type] = c.LastTransitionTime.Time
	}
	if at := b.Status.StartTime; at != nil {
		times["the start"] = at.Time
	}
	if at := b.Status.CompletionTime; at != nil {
		times["the end"] = at.Time
	}
	if q := b.Status.Quiesce; q != nil {
		times["the intent"] = q.StartedAt.Time
		for what, at := range map[string]*metav1.MicroTime{"the freeze": q.FrozenAt, "the cut": q.CutAt, "the thaw": q.ThawedAt} {
			if at != nil {
				times[what] = at.Time
			}
		}
	}
	return times
}

// A manager is killed at each point of a backup, and the next one goes on. The two
// ways take turns: of two managers one is ahead, and one behind, in both.
func TestAManagerWithAnotherClockTakesOverABackupAnywhere(t *testing.T) {
	for _, s := range scenarios[:3] { // Hold, Hooks, Idle
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for n, what := range s.points(t) {
				ahead := halfAnHour * time.Duration(1-2*(n%2))
				oneWay(t, fmt.Sprintf("%d %s", n, what), ahead, func(fc *fakeCluster) {
					began := time.Now()
					s.run(fc, func(at int, _ string) action {
						if at == n {
							return action{kill: after}
						}
						return action{}
					})
					var all v1alpha1.VolumeBackupList
					fc.must(admin.List(fc.ctx, &all, client.InNamespace(fc.namespace)))
					fc.since(began, timesOf(&all.Items[0]))
					if frozen := all.Items[0].Status.Quiesce.FrozenFor; frozen != nil && frozen.Duration > time.Since(began)+agreed {
						t.Errorf("it says that the application was frozen for %s", frozen.Duration)
					}
				})
			}
		})
	}
}

// Whoever takes over while an application is frozen thaws it by its deadline.
func TestAManagerWithAnotherClockThawsInTime(t *testing.T) {
	bothWays(t, "Hooks", func(fc *fakeCluster) {
		fc.anApplication("data")
		fc.storage.decide(func(_ string, n int) fate { return fate{never: n == 1} })
		first := fc.aManager()
		b := fc.aBackup(fc.hooked, within(soon))
		fc.eventually("the application is frozen", func() bool { return len(fc.frozen()) > 0 })
		began := time.Now()
		fc.eventually("a snapshot is asked for", func() bool { return len(fc.storage.made()) == 1 })
		first.kill()
		fc.aManager()
		fc.nothingIsFrozen()
		if took := time.Since(began); took > soon {
			fc.Errorf("it was frozen for %s, and its owner allows %s", took, soon)
		}
		fc.awaitComplete(b, v1alpha1.Declared)
	})
}

// lateness is how much later than its deadline a wait may end on a busy machine.
const lateness = 45 * time.Second

// endsInTime fails for a wait that doesn't end at its limit, counted from its begin.
func (fc *fakeCluster) endsInTime(began time.Time, limit time.Duration) {
	fc.Helper()
	if waited := time.Since(began); waited < limit-agreed || waited > limit+lateness {
		fc.Errorf("it waited for %s, and should for %s", waited, limit)
	}
}

// What isn't there is waited for as long as it should be, whoever waits.
func TestAManagerWithAnotherClockWaitsForAsLong(t *testing.T) {
	limit := defaultOptions().NotFoundTimeout
	bothWays(t, "a backup of nothing", func(fc *fakeCluster) {
		first := fc.aManager()
		began := time.Now()
		b := fc.aBackup(fc.held)
		fc.await(b, "waiting", func(b *v1alpha1.VolumeBackup) bool { return isTrue(b, v1alpha1.ConditionStalled) })
		first.kill()
		fc.aManager()
		b = fc.await(b, "at its end", ended)
		fc.endsInTime(began, limit)
		fc.since(began, timesOf(b))
	})
	bothWays(t, "a restore of nothing", func(fc *fakeCluster) {
		first := fc.aRestoreManager()
		began := time.Now()
		v := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Name: "monday"}}
		v.Spec.Source.VolumeBackupRef = &v1alpha1.LocalReference{Name: "nothing"}
		fc.create(v)
		fc.restoreIs(v, v1alpha1.ConditionStalled)
		first.kill()
		fc.aRestoreManager()
		fc.restoreIs(v, v1alpha1.ConditionFailed)
		fc.endsInTime(began, limit)
	})
}

// restoreIs waits until a condition of a restore is true.
func (fc *fakeCluster) restoreIs(v *v1alpha1.VolumeRestore, condition string) {
	fc.Helper()
	fc.eventually("the restore is "+condition, func() bool {
		fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(v), v))
		return meta.IsStatusConditionTrue(v.Status.Conditions, condition)
	})
}

// swapped is a restore whose application is started on its new volume.
func (r *replacement) swapped(readyTimeout time.Duration) {
	r.Helper()
	r.must(admin.Delete(r.ctx, r.restore))
	r.restore.ResourceVersion, r.restore.UID = "", ""
	status := r.restore.Status
	r.restore.Spec.ReadyTimeout = &metav1.Duration{Duration: readyTimeout}
	r.create(r.restore)
	r.restore.Status = status
	r.new.Labels[v1alpha1.LabelRestoreUID] = string(r.restore.UID)
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: replaced}}
	r.strips(claim, "finalizers")
	r.delete(claim)
	claim = r.newClaim(replaced)
	claim.Labels, claim.Spec.VolumeName = map[string]string{v1alpha1.LabelRestoreUID: string(r.restore.UID)}, r.new.Name
	r.create(claim)
	claim.Status.Phase = corev1.ClaimBound
	r.must(admin.Status().Update(r.ctx, claim))
	r.new.Spec.ClaimRef.UID = claim.UID
	r.must(admin.Update(r.ctx, r.new))
	now := metav1.NowMicro()
	r.restore.Status.Replicas, r.restore.Status.WasReady = new(int32(1)), true
	r.restore.Status.ScaledDownAt, r.restore.Status.ScaledUpAt = &now, &now
	r.is(v1alpha1.ConditionScaledDown, v1alpha1.ConditionSwapped)
	r.writesStatus(r.restore)
}

// An application that starts has the time that its owner gives it.
func TestAManagerWithAnotherClockLetsAnApplicationStart(t *testing.T) {
	bothWays(t, "it is ready in time", func(fc *fakeCluster) {
		r := fc.aReplacement()
		began := time.Now()
		r.swapped(5 * time.Minute)
		first := fc.aRestoreManager()
		r.awaitsReady()
		first.kill()
		fc.looksTwice(fc.aRestoreManager())
		fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(r.set), r.set))
		r.set.Status.ObservedGeneration, r.set.Status.Replicas, r.set.Status.ReadyReplicas, r.set.Status.AvailableReplicas, r.set.Status.UpdatedReplicas = r.set.Generation, 1, 1, 1, 1
		fc.must(admin.Status().Update(fc.ctx, r.set))
		v := r.answers()
		if v.Status.Phase != v1alpha1.RestoreCompleted || v.Status.Downtime == nil || v.Status.Downtime.Duration > time.Since(began)+agreed {
			fc.Errorf("%s, down for %v: %s", v.Status.Phase, v.Status.Downtime, v.Status.Message)
		}
	})
	bothWays(t, "it is never ready", func(fc *fakeCluster) {
		r := fc.aReplacement()
		r.swapped(soon)
		first := fc.aRestoreManager()
		r.awaitsReady()
		first.kill()
		fc.aRestoreManager()
		fc.eventually("it is undone", func() bool {
			fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(r.restore), r.restore))
			return r.restore.Status.RollBack != nil
		})
	})
}

// looksTwice waits until a manager has looked at the only object that there is, and
// come to an end with that.
func (fc *fakeCluster) looksTwice(m *manager) {
	fc.Helper()
	fc.eventually("the next manager has looked", func() bool { return m.looks.Load() > 1 })
}

func (r *replacement) awaitsReady() {
	r.Helper()
	r.eventually("the application is awaited", func() bool {
		r.must(admin.Get(r.ctx, client.ObjectKeyFromObject(r.restore), r.restore))
		return r.restore.Status.Step == "AwaitReady"
	})
}

// A mover has ten minutes to start, by the clock of the API server, which made its Job.
func TestAManagerWithAnotherClockLetsAMoverStart(t *testing.T) {
	bothWays(t, "a mover", func(fc *fakeCluster) {
		b, first, job := fc.aMover()
		first.kill()
		fc.looksTwice(fc.aManager())
		if now := fc.movers(b); len(now) != 1 || now[0].UID != job.UID || !now[0].DeletionTimestamp.IsZero() {
			fc.Errorf("its Job was removed: %+v", now)
		}
	})
}

// A due time comes once, and on time.
func TestAPolicyOfManagersWithOtherClocks(t *testing.T) {
	bothWays(t, "the first run", func(fc *fakeCluster) {
		fc.anApplication("data")
		first := fc.aPolicyManager()
		p := &v1alpha1.SnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Name: "nightly"}}
		p.Spec.Schedule = "@every 1m"
		p.Spec.Applications.Refs = []v1alpha1.ApplicationReference{{Kind: v1alpha1.KindPersistentVolumeClaim, Name: "data"}}
		fc.create(p)
		fc.eventually("the policy is seen", func() bool {
			fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(p), p))
			return p.Status.NextScheduleTime != nil
		})
		first.kill()
		fc.aPolicyManager()
		var all v1alpha1.VolumeBackupList
		fc.eventually("a backup is made", func() bool {
			fc.must(admin.List(fc.ctx, &all, client.InNamespace(fc.namespace)))
			return len(all.Items) > 0
		})
		fc.endsInTime(p.CreationTimestamp.Time, time.Minute)
		due, want := all.Items[0].Annotations[v1alpha1.AnnotationScheduledAt], p.CreationTimestamp.UTC().Add(time.Minute).Format(time.RFC3339)
		if len(all.Items) > 1 || due != want {
			fc.Errorf("there are %d backups, one of %s; want one of %s", len(all.Items), due, want)
		}
		fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(p), p))
		if told := slices.Concat(fc.events("MissedRun"), fc.events("ClockWasAhead")); len(told) > 0 || p.Status.MissedRuns > 0 {
			fc.Errorf("%d runs are said to be missed: %q", p.Status.MissedRuns, told)
		}
	})
}
