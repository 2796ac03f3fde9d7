package backup

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/names"
)

// cutter makes the storage cut the volumes of one attempt: one by one, or all
// as a group.
type cutter interface {
	// keys are what tells of the cut.
	keys() []waitKey
	// prepare does what can be done while nothing is frozen.
	prepare(context.Context) error
	// create makes all that makes the driver cut, or finds it made.
	create(context.Context) error
	// observe says what is known of each claim's cut.
	observe(ctx context.Context, from client.Reader) (map[string]cut.Observed, error)
	// settle brings the snapshots after the cut under the backup's names.
	settle(context.Context) (settled, error)
}

// settled is what is known of the snapshots once all is cut.
type settled struct {
	// names of the snapshots, by their claims, as far as they are known only now.
	names map[string]string
	// waits says what is waited for, empty where only the snapshots are.
	waits string
	// lost says what is gone and won't come again, empty where nothing is.
	lost string
}

// newCutter is the cutter of a new attempt. It writes into the intent under
// what names the snapshots are made.
func (w *run) newCutter(p *plan) cutter {
	q := w.Status.Quiesce
	if p.groupClass != "" {
		q.GroupSnapshotName = cut.GroupName(w.Name, w.UID, q.Attempt)
		return &groupCutter{run: w, class: p.groupClass, handles: p.handles, nonce: rand.Text()}
	}
	for i := range w.Status.Volumes {
		v := &w.Status.Volumes[i]
		v.SnapshotName = cut.Name(w.Name, w.UID, v.ClaimName, q.Attempt)
	}
	return &singleCutter{run: w, nonce: rand.Text()}
}

// cutter is that of the newest attempt, which has cut.
func (w *run) cutter() cutter {
	if w.Status.Quiesce.GroupSnapshotName != "" {
		return &groupCutter{run: w, uid: w.Status.Quiesce.GroupSnapshotUID}
	}
	return &singleCutter{run: w}
}

var errHoldLost = errors.New("the application did not hold still until its volumes were cut")

// errBudget is the cause of a context whose share of the timeout is used up.
var errBudget = errors.New("not done within the timeout")

// errDeleted is the cause where nobody wants the backup any more.
var errDeleted = errors.New("the backup was deleted")

// pollAPIAfter is how long the watch is relied on. After an outage of the API
// server a watch is taken up again after half a minute or more (client-go), and
// the application would be frozen for as long.
const pollAPIAfter = 2 * time.Second

// cut creates all snapshots at once and waits until all are cut. It gives up
// at the end of ctx, when the quiet is lost, and when the driver complains and
// something is frozen: no application is kept frozen for a driver that has to
// try again.
func (w *run) cut(ctx context.Context, c cutter, changed, lost <-chan struct{}, e *evidence) error {
	if err := c.create(ctx); err != nil {
		return err
	}
	doubt := time.NewTicker(pollAPIAfter)
	defer doubt.Stop()
	from, doubted := client.Reader(w.watched()), false
	for {
		observed, err := c.observe(ctx, from)
		if err != nil && !doubted {
			return err
		}
		if err == nil {
			if err := e.note(observed); err != nil {
				return err
			}
		}
		progress := cut.Compare(cut.ClaimNames(w.Status.Volumes), e.observed)
		if progress.AllCut() {
			e.cutAt = w.Now()
			return nil
		}
		if complaint := progress.Error(); complaint != "" {
			if !w.letsRetry() {
				return fmt.Errorf("the storage driver could not cut: %.1024s", complaint)
			}
			w.tellRetry(e, complaint)
		}
		select {
		case <-changed:
		case <-doubt.C:
			from, doubted = w.Live, true // from here on: the cache may be further back
		case <-lost:
			return errHoldLost
		case <-ctx.Done():
			return notCut(progress, context.Cause(ctx))
		}
	}
}

// letsRetry is true where the csi-snapshotter may try again after an error until the
// deadline, which it does by itself: nothing is frozen meanwhile. Nobody can tell
// from the text of an error whether it passes. A group it tries again some fifty
// times a second, until the group is deleted.
func (w *run) letsRetry() bool {
	q := w.Status.Quiesce
	return !cut.Freezes(q.Method) && q.GroupSnapshotName == ""
}

// tellRetry tells once in an attempt that the driver complains.
func (w *run) tellRetry(e *evidence, complaint string) {
	if !e.complained {
		w.Record(eventDriverRetries(complaint))
	}
	e.complained = true
}

func notCut(p cut.Progress, cause error) error {
	said := p.Hint()
	if complaint := p.Error(); complaint != "" {
		said = "; the storage driver could not cut: " + complaint
	}
	return fmt.Errorf("the volumes of %s were not cut: %w%.1024s", strings.Join(p.Uncut, ", "), cause, said)
}

const (
	// annotationBackup names a snapshot's backup in full: a label may be too short.
	annotationBackup = "lull.dev/backup-name"
	// annotationNonce is a random word of the attempt that made an object. It is in
	// the memory of its manager alone until the object is there: whoever can read a
	// backup knows the names of its snapshots, and could make them beforehand.
	annotationNonce = "lull.dev/nonce"
)

// labelsOf are on all that is made for a backup.
func labelsOf(b *v1alpha1.VolumeBackup) map[string]string {
	return map[string]string{
		v1alpha1.LabelBackup:      names.LabelValue(b.Name),
		v1alpha1.LabelBackupUID:   string(b.UID),
		v1alpha1.LabelApplication: names.LabelValue(b.Spec.ApplicationRef.Name),
		v1alpha1.LabelManagedBy:   v1alpha1.ManagedBy,
	}
}

// backupOf is the backup of a snapshot or a group.
func backupOf(_ context.Context, made client.Object) []ctrl.Request {
	uid, name := ownerOf(made)
	if name == "" || uid == "" {
		return nil
	}
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: made.GetNamespace(), Name: name}}}
}

// ownerOf is the backup that an object was made for. In the cache a reference
// without a kind, which no API server takes, stands for the marks on it. Where the full
// name was taken away the label has it, unless it is too long for one.
func ownerOf(made client.Object) (uid types.UID, name string) {
	for _, o := range made.GetOwnerReferences() {
		if o.Kind == "" {
			return o.UID, o.Name
		}
	}
	return types.UID(made.GetLabels()[v1alpha1.LabelBackupUID]), cmp.Or(made.GetAnnotations()[annotationBackup], made.GetLabels()[v1alpha1.LabelBackup])
}

// make creates an object of the backup, or finds it made by this very attempt: the
// answer to a creation may be lost. It has the UID of the object. What is there is
// read into there.
func (w *run) make(ctx context.Context, nonce string, obj, there client.Object) (types.UID, error) {
	notes := obj.GetAnnotations()
	notes[annotationNonce] = nonce
	obj.SetAnnotations(notes)
	exists := w.Create(ctx, obj)
	if !apierrors.IsAlreadyExists(exists) {
		return obj.GetUID(), exists
	}
	if err := w.Live.Get(ctx, client.ObjectKeyFromObject(obj), there); err != nil {
		return "", err
	}
	if there.GetAnnotations()[annotationNonce] != nonce {
		return "", fmt.Errorf("somebody else has made one of that name, which can't count as a cut of this attempt: %w", exists)
	}
	return there.GetUID(), nil
}
