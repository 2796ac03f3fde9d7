package backup

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
)

// What was left frozen is thawed by a controller of its own: a post-hook may hang
// for as long as it is allowed to, and neither that nor anything else that backups
// do keeps another application frozen. The controller of backups waits for it.

// setUpThaws registers that controller.
func (r *Reconciler) setUpThaws(mgr ctrl.Manager) error {
	// A thaw holds a worker. There is one left to see whose turn it is.
	r.thaws = newTurns(r.Options.Workers*3/4, thawsByShare)
	loop := r.loop()
	loop.AtRest, loop.Steps, loop.Seen = r.needsNoThaw, r.thawSteps, r.seenByThaws
	return ctrl.NewControllerManagedBy(mgr).
		Named("volumebackup-thaw").
		For(&v1alpha1.VolumeBackup{}, builder.WithPredicates(predicate.NewPredicateFuncs(needsThaw))).
		WatchesRawSource(source.Func(r.wakesThaws)).
		WithOptions(reconcile.Options("VolumeBackup", max(2, r.Options.Workers))).
		Complete(loop)
}

func (r *Reconciler) wakesThaws(_ context.Context, q queue) error {
	r.thaws.wakeBy(q)
	return nil
}

// thawsByShare has each namespace leave as many as it has. What is left free costs
// nothing, and whoever is frozen next needn't wait until a hook of others ends.
func thawsByShare() func(*slots, turn) int {
	return func(s *slots, w turn) int {
		if !s.leavesAsMany(w.Namespace) {
			return notYet
		}
		return 0
	}
}

func (r *Reconciler) thawSteps(on *reconcile.Scope[*v1alpha1.VolumeBackup]) []reconcile.Step {
	w := &run{VolumeBackup: on.Object, Scope: on, Reconciler: r}
	return []reconcile.Step{
		{Name: "Recover", Take: w.recover},
		{Name: "ThawOnceMore", Take: w.thawOnceMore},
	}
}

// needsThaw is true for a backup that may have left an application frozen, if no
// attempt of it is under way here.
func needsThaw(obj client.Object) bool {
	b, is := obj.(*v1alpha1.VolumeBackup)
	return is && (isUnfinished(b) || isGivenUp(b))
}

// isGivenUp is true for a backup that is deleted, and couldn't be thawed before. The
// cache has no finalizers.
func isGivenUp(b *v1alpha1.VolumeBackup) bool {
	return !b.DeletionTimestamp.IsZero() && cut.Open(mayBeFrozen(b)) && v1alpha1.PutBackBy(b, b.Status.StartTime) == ""
}

func (r *Reconciler) needsNoThaw(_ context.Context, b *v1alpha1.VolumeBackup) bool {
	return !needsThaw(b) || r.underWay.has(b.UID) || r.thaws.waits(b)
}

// seenByThaws is told of each backup that was here, and of each that is gone.
func (r *Reconciler) seenByThaws(key types.NamespacedName, b *v1alpha1.VolumeBackup) {
	if b.Name == "" || !needsThaw(b) {
		r.thaws.forget(key)
	}
	r.thaws.settle(key)
}

// awaitThaw has a backup wait until what it may have left frozen is thawed, or that
// is given up. It is woken by what is written of that.
func (w *run) awaitThaw(context.Context) reconcile.Outcome {
	if !needsThaw(w.VolumeBackup) {
		return reconcile.Skip()
	}
	return reconcile.Done().Unsaved()
}

// thawOnceMore tries once more to thaw an attempt that has been given up, when its
// backup is deleted. It doesn't keep the object.
func (w *run) thawOnceMore(ctx context.Context) reconcile.Outcome {
	if !isGivenUp(w.VolumeBackup) || !controllerutil.ContainsFinalizer(w.VolumeBackup, v1alpha1.FinalizerVolumeBackup) {
		return reconcile.Skip()
	}
	release, ok := w.thaws.take(w.VolumeBackup)
	if !ok {
		return reconcile.Done().Unsaved()
	}
	defer release()
	q := mayBeFrozen(w.VolumeBackup)
	if err := w.thawPods(ctx, q); err != nil {
		w.Record(eventThawFailed(markMayBeFrozen(w.VolumeBackup, err, w.Now())))
		q.ThawGivenUpAt = microTime(w.Now())
	} else {
		q.ThawedAt = microTime(w.Now())
	}
	return reconcile.Continue()
}

// underWay are the attempts of this process that are under way. They thaw by
// themselves.
type underWay struct {
	mu  sync.Mutex
	ids map[types.UID]bool
	// none is closed once there is none, nil where nobody waits for that.
	none chan struct{}
}

func (u *underWay) has(backup types.UID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ids[backup]
}

func (u *underWay) add(backup types.UID) (end func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ids == nil {
		u.ids = map[types.UID]bool{}
	}
	u.ids[backup] = true
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.ids, backup)
		if len(u.ids) == 0 && u.none != nil {
			close(u.none)
			u.none = nil
		}
	}
}

// drain waits until none is under way, or ctx ends.
func (u *underWay) drain(ctx context.Context) {
	select {
	case <-u.untilNone():
	case <-ctx.Done():
	}
}

// untilNone is closed once none is under way. One may begin meanwhile, where a manager
// stops because it lost its lease: it is waited for, too.
func (u *underWay) untilNone() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.ids) == 0 {
		none := make(chan struct{})
		close(none)
		return none
	}
	if u.none == nil {
		u.none = make(chan struct{})
	}
	return u.none
}

// isUnderWay notes that an attempt of the backup is under way, before its intent is
// written. At its end it is looked whether anything is left to be thawed, unless that
// is known: the outcome may not be written, and the intent may be, though the answer
// was lost.
func (w *run) isUnderWay() (end func()) {
	forget := w.underWay.add(w.UID)
	return func() {
		forget()
		known := w.Written().Status.Quiesce
		if known == nil || known.Attempt < w.Status.Quiesce.Attempt || cut.Open(known) {
			w.thaws.wake(client.ObjectKeyFromObject(w.VolumeBackup))
		}
	}
}
