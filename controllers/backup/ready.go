package backup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
)

// awaitReady waits until every snapshot that was set out for can be restored.
// The application has long gone on.
func (w *run) awaitReady(ctx context.Context) reconcile.Outcome {
	if w.next() != cut.StepAwaitReady {
		return reconcile.Skip()
	}
	left := w.Status.Quiesce.CutAt.Add(w.Options.ReadyTimeout).Sub(w.Now())
	after, err := w.cutter().settle(ctx)
	switch {
	case err != nil:
		return reconcile.Retry(err)
	case after.lost != "":
		return w.snapshotsLost(after.lost)
	}
	w.recordNames(after.names)
	if after.waits != "" {
		return w.notSettled(left, after.waits)
	}
	read := w.readOnceReady
	if left <= 0 {
		read = live.Reader{Reader: w.Live}.Snapshot // what is given up is known for sure: the cache may be late
	}
	observed, err := w.observeSnapshots(ctx, read)
	if err != nil {
		return reconcile.Retry(err)
	}
	if replaced := cut.Replaced(observed); replaced != "" {
		return w.snapshotsReplaced(replaced)
	}
	for i := range w.Status.Volumes {
		cut.Record(&w.Status.Volumes[i], observed[w.Status.Volumes[i].ClaimName])
	}
	progress := cut.Compare(cut.ClaimNames(w.Status.Volumes), observed)
	if progress.AllReady() {
		if err := w.outlive(ctx); err != nil {
			return reconcile.Failed(err)
		}
		w.Set(v1alpha1.ConditionSnapshotsReady, true, v1alpha1.ReasonAllReady, "%s can be restored", progress.ReadyOfAll())
		if w.Spec.Export != nil {
			w.RecordOnceSaved(eventReady(len(w.Status.Volumes)))
			return reconcile.Continue()
		}
		return w.complete()
	}
	if lost, err := w.lost(ctx, progress.Missing); err != nil {
		return reconcile.Retry(err)
	} else if len(lost) > 0 {
		return w.snapshotsLost(fmt.Sprintf("the snapshot(s) of %s were deleted before they were ready; those of the other volumes are kept", strings.Join(lost, ", ")))
	}
	return w.notReady(progress, left)
}

// readOnceReady reads past the watches a snapshot that is ready by them, and its
// content, which nobody keeps any more. Of any other it reads no content.
func (w *run) readOnceReady(ctx context.Context, namespace, name string) (*snapshotv1.VolumeSnapshot, *snapshotv1.VolumeSnapshotContent, error) {
	snap := &snapshotv1.VolumeSnapshot{}
	if err := w.watched().Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, snap); err != nil {
		return nil, nil, client.IgnoreNotFound(err)
	}
	if snap.Status == nil || !ptr.Deref(snap.Status.ReadyToUse, false) {
		return snap, nil, nil
	}
	return live.Reader{Reader: w.Live}.Snapshot(ctx, namespace, name)
}

func (w *run) recordNames(found map[string]string) {
	for i := range w.Status.Volumes {
		if v := &w.Status.Volumes[i]; found[v.ClaimName] != "" {
			v.SnapshotName = found[v.ClaimName]
		}
	}
}

func (w *run) snapshotsLost(message string) reconcile.Outcome {
	w.Set(v1alpha1.ConditionSnapshotsReady, false, v1alpha1.ReasonSnapshotLost, "%s", message)
	return reconcile.Stall(v1alpha1.Problemf(v1alpha1.ReasonSnapshotLost, "%s", message))
}

func (w *run) notReady(progress cut.Progress, left time.Duration) reconcile.Outcome {
	message := fmt.Sprintf("%s snapshot(s) are ready, waits for %s; the application runs", progress.ReadyOfAll(), strings.Join(progress.Unready, ", "))
	if complaint := progress.Error(); complaint != "" {
		message += ": " + complaint
	}
	if left <= 0 {
		return w.neverReady(message)
	}
	return w.waitReady(message, left)
}

// The snapshots of a group are looked for ever more rarely: mostly the group's
// own events tell.
const (
	minSettleDelay = time.Second
	maxSettleDelay = time.Minute
)

// notSettled waits for what the snapshots wait for, and gives up at the end of
// the time that is left.
func (w *run) notSettled(left time.Duration, waits string) reconcile.Outcome {
	if left <= 0 {
		return w.neverReady(waits)
	}
	since := w.Now().Sub(w.Status.Quiesce.CutAt.Time)
	return w.waitReady(waits+"; the application runs", min(left, max(minSettleDelay, min(since/2, maxSettleDelay))))
}

func (w *run) waitReady(message string, d time.Duration) reconcile.Outcome {
	w.Set(v1alpha1.ConditionSnapshotsReady, false, v1alpha1.ReasonNotReady, "%s", message)
	w.Working(v1alpha1.ReasonNotReady, "%s", message)
	return reconcile.Wait(d)
}

func (w *run) neverReady(message string) reconcile.Outcome {
	message = fmt.Sprintf("not all snapshots were ready within %s: %s", w.Options.ReadyTimeout, message)
	w.Set(v1alpha1.ConditionSnapshotsReady, false, v1alpha1.ReasonReadyTimeout, "%s", message)
	return reconcile.Stall(v1alpha1.Problemf(v1alpha1.ReasonReadyTimeout, "%s", message))
}

// lost are those of the claims whose snapshot is not in the API either, or another
// one in its place: the cache alone may only be late. One of a group that isn't made
// yet can't be lost.
func (w *run) lost(ctx context.Context, missing []string) ([]string, error) {
	var lost []string
	for i := range w.Status.Volumes {
		v := &w.Status.Volumes[i]
		if v.SnapshotName == "" || !slices.Contains(missing, v.ClaimName) {
			continue
		}
		var snap snapshotv1.VolumeSnapshot
		err := w.Live.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: v.SnapshotName}, &snap)
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		if err != nil || !snap.DeletionTimestamp.IsZero() || cut.ObserveRecorded(v, &snap, nil).Replaced != "" {
			lost = append(lost, v.ClaimName)
		}
	}
	return lost, nil
}
