package backup

import (
	"context"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

// freezes are when the pods were let go last, of all attempts of this process that
// are known to have held them, as far as anybody may have to wait for it.
type freezes struct {
	interval time.Duration
	// since is when this process began to work: what was frozen before is on record
	// in its backup alone.
	since time.Time
	// ended are when, by the pods' UIDs.
	ended map[types.UID]time.Time
}

// noteFreeze notes that an attempt held pods, and let them go at a time. A zero time
// is that of one that isn't known to have held them.
func (l *limiter) noteFreeze(pods []types.UID, at, now time.Time) {
	if at.IsZero() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.freezes.ended, func(_ types.UID, other time.Time) bool { return cut.Left(other, l.freezes.interval, now) == 0 })
	for _, pod := range pods {
		l.freezes.ended[pod] = at
	}
}

// untilNextFreeze is how long it is before one of the pods may be frozen again.
func (l *limiter) untilNextFreeze(pods []types.UID, now time.Time) (left time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, pod := range pods {
		if at, known := l.freezes.ended[pod]; known {
			left = max(left, cut.Left(at, l.freezes.interval, now))
		}
	}
	return left
}

// untilNextFreeze is how long it is before the application may be frozen again. The
// interval counts from the end of whatever attempt is known to have held it, this
// backup's own as well: one that wasn't proven has stopped it all the same.
func (w *run) untilNextFreeze(ctx context.Context, p *plan) (time.Duration, error) {
	pods, now := p.pods(), w.Now()
	left := w.limiter.untilNextFreeze(pods, now)
	if len(pods) == 0 || cut.Left(w.limiter.freezes.since, w.Options.MinFreezeInterval, now) == 0 {
		return left, nil
	}
	var all v1alpha1.VolumeBackupList
	if err := w.List(ctx, &all, client.InNamespace(w.Namespace)); err != nil {
		return 0, err
	}
	for i := range all.Items {
		q, err := w.lastAttempt(ctx, &all.Items[i])
		if err != nil {
			return 0, err
		}
		if heldAny(q, pods) {
			left = max(left, cut.Left(cut.HeldUntil(q), w.Options.MinFreezeInterval, now))
		}
	}
	return left, nil
}

// lastAttempt is that of a backup in the cache, which has no pods of what has ended.
// It is nil where it was over long before.
func (w *run) lastAttempt(ctx context.Context, b *v1alpha1.VolumeBackup) (*v1alpha1.QuiesceStatus, error) {
	if !cut.Ended(b) {
		return b.Status.Quiesce, nil
	}
	const second = time.Second // that a time in a status is cut down to
	if b.Status.CompletionTime == nil || cut.Left(b.Status.CompletionTime.Time, w.Options.MinFreezeInterval+second, w.Now()) == 0 {
		return nil, nil
	}
	var there v1alpha1.VolumeBackup
	err := w.Live.Get(ctx, client.ObjectKeyFromObject(b), &there)
	return there.Status.Quiesce, client.IgnoreNotFound(err)
}

// podsOf are those that an attempt quieted.
func podsOf(q *v1alpha1.QuiesceStatus) []types.UID {
	var uids []types.UID
	for _, p := range q.Pods {
		uids = append(uids, p.UID)
	}
	return uids
}

func heldAny(q *v1alpha1.QuiesceStatus, pods []types.UID) bool {
	return q != nil && slices.ContainsFunc(q.Pods, func(p v1alpha1.QuiescedPod) bool { return slices.Contains(pods, p.UID) })
}
