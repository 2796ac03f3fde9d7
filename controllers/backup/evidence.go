package backup

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot/cut"
)

// evidence is what was seen in one attempt.
type evidence struct {
	firstHeldAt, heldAt, cutAt, thawedAt time.Time
	// releases of the pods, by their UIDs.
	releases map[types.UID]hooks.Release
	// observed snapshots, by their claims.
	observed map[string]cut.Observed
	// complained: the driver did, and may try again.
	complained bool
	// unchanged: nobody wrote to the volumes after who couldn't before.
	unchanged bool
	// doubt says what was in doubt after the cut, empty where nothing was.
	doubt string
	// elsewhere says which files of the application aren't backed up, by its own word,
	// empty where none are known.
	elsewhere string
	// unwatched says why a pair of hooks depended on this manager, empty where none
	// did.
	unwatched []hooks.Warning
	// err is why the snapshots were not all cut while the application held.
	err error
}

// errHeldUp: this process stood still between the intent and the attempt.
var errHeldUp = errors.New("the manager was held up until hardly any of the timeout was left; nothing was frozen")

var errAnotherPod = errors.New("another pod began to use the volumes while they were cut")

// nothingFrozen is the evidence of an attempt before its first command.
func nothingFrozen(targets []hooks.Target) *evidence {
	e := &evidence{releases: map[types.UID]hooks.Release{}}
	for _, t := range targets {
		e.releases[t.UID] = hooks.Release{Thawed: true}
	}
	return e
}

func (e *evidence) thaw(releases map[types.UID]hooks.Release) {
	e.releases = releases
	for _, release := range releases {
		if release.Thawed && release.At.After(e.thawedAt) {
			e.thawedAt = release.At
		}
	}
}

// note takes what is seen of the snapshots. It is an error where one that was seen
// is gone, or has another one in its place.
func (e *evidence) note(observed map[string]cut.Observed) error {
	before := e.observed
	e.observed = observed
	if replaced := cut.Replaced(observed); replaced != "" {
		return errors.New(replaced)
	}
	if gone := cut.Gone(before, observed); len(gone) > 0 {
		return fmt.Errorf("the snapshots of %s were deleted while they were cut", strings.Join(gone, ", "))
	}
	return nil
}

func (e *evidence) allThawed() bool {
	return e.each(func(r hooks.Release) bool { return r.Thawed })
}

func (e *evidence) testified() bool {
	return e.each(func(r hooks.Release) bool { return r.Testified })
}

func (e *evidence) each(is func(hooks.Release) bool) bool {
	for _, release := range e.releases {
		if !is(release) {
			return false
		}
	}
	return true
}

// frozenFor is the time from the first freeze to the last thaw, 0 where the
// application was never wholly frozen.
func (e *evidence) frozenFor() time.Duration {
	if e.firstHeldAt.IsZero() || e.thawedAt.IsZero() {
		return 0
	}
	return e.thawedAt.Sub(e.firstHeldAt)
}

// failure is why the attempt proves nothing, with all that was said on it.
func (e *evidence) failure() error {
	told := map[string]bool{}
	var all []error
	add := func(err error) {
		if err != nil && !told[err.Error()] {
			told[err.Error()] = true
			all = append(all, err)
		}
	}
	add(e.err)
	for _, uid := range slices.Sorted(maps.Keys(e.releases)) {
		// What a session said at its end is beside the point, unless it ended
		// by itself or didn't thaw.
		if release := e.releases[uid]; e.err == nil || errors.Is(e.err, errHoldLost) || !release.Thawed {
			add(release.Err)
		}
	}
	if len(all) == 0 {
		return errAnotherPod
	}
	return hooks.Join(all...)
}

// conclude turns the evidence of an attempt into the status of its backup. It is
// a pure function of its arguments, and writes into b alone.
func conclude(b *v1alpha1.VolumeBackup, p *plan, e *evidence, now time.Time) {
	recordTimes(b.Status.Quiesce, e, now)
	for _, warning := range e.unwatched {
		b.Status.Warnings = append(b.Status.Warnings, warning.Message)
	}
	for i := range b.Status.Volumes {
		v := &b.Status.Volumes[i]
		o := e.observed[v.ClaimName]
		cut.Record(v, o)
		b.Status.Quiesce.GroupSnapshotUID = cmp.Or(b.Status.Quiesce.GroupSnapshotUID, o.Group)
		b.Status.Quiesce.GroupSnapshotHandle = cmp.Or(b.Status.Quiesce.GroupSnapshotHandle, o.GroupHandle)
	}
	consistency, good := v1alpha1.Consistency(""), false
	doubt := cmp.Or(e.elsewhere, cut.Torn(p.quiesce.Writing, e.observed, p.cutBy), p.doubt, e.doubt)
	if e.err == nil {
		consistency, good = cut.Verdict(cut.Evidence{
			Method: b.Status.Quiesce.Method, Testified: e.testified(), Unchanged: e.unchanged,
			Paired: p.quiesce.Unpaired() == "", Covered: p.quiesce.Uncovered == "", Doubt: doubt,
		})
	}
	if !good {
		markFailedAttempt(b, e.failure().Error(), now)
		if !e.allThawed() {
			markMayBeFrozen(b, e.failure(), now)
		}
		return
	}
	b.Status.Consistency = consistency
	n := len(b.Status.Volumes)
	set := setter(b, now)
	set(v1alpha1.ConditionSnapshotsCut, true, v1alpha1.ReasonAllCut, fmt.Sprintf("%d snapshot(s) are cut", n))
	markQuieted(b, p.quiesce, doubt, now)
	set(v1alpha1.ConditionSnapshotsReady, false, v1alpha1.ReasonNotReady, fmt.Sprintf("0 of %d are ready", n))
	set(v1alpha1.ConditionReconciling, true, v1alpha1.ReasonNotReady, fmt.Sprintf("waits until %d snapshot(s) can be restored; the application runs", n))
}

// setter sets conditions of b at one moment.
func setter(b *v1alpha1.VolumeBackup, now time.Time) func(kind string, status bool, reason, message string) {
	return func(kind string, status bool, reason, message string) {
		reconcile.SetCondition(b, now, kind, status, reason, "%s", message)
	}
}

func recordTimes(q *v1alpha1.QuiesceStatus, e *evidence, now time.Time) {
	q.CutAt = microTime(e.cutAt)
	if cut.Freezes(q.Method) {
		q.FrozenAt = microTime(e.heldAt)
		if e.allThawed() {
			q.ThawedAt = microTime(cmp.Or(e.thawedAt, now))
		}
	}
	for i := range q.Pods {
		q.Pods[i].Thawed = e.releases[q.Pods[i].UID].Thawed
	}
	if d := e.frozenFor(); d > 0 && e.allThawed() {
		q.FrozenFor = &metav1.Duration{Duration: d.Round(time.Millisecond)}
	}
}

// markQuieted sets the conditions on the freeze of a good attempt. doubt says
// why its verdict isn't Proven, where something was held all the same.
func markQuieted(b *v1alpha1.VolumeBackup, p hooks.ApplicationPlan, doubt string, now time.Time) {
	set := setter(b, now)
	notQuieted := func(why string) {
		set(v1alpha1.ConditionFrozen, false, v1alpha1.ReasonNotQuieted, why)
		if b.Status.Unthawed == nil {
			set(v1alpha1.ConditionThawed, true, v1alpha1.ReasonNotQuieted, "nothing was frozen")
		}
	}
	switch p.Method {
	case v1alpha1.MethodIdle:
		notQuieted(cmp.Or(doubt, "no pod had the volumes mounted"))
		return
	case v1alpha1.MethodNone:
		notQuieted(cmp.Or(p.Uncovered, hooks.NotAsked))
		return
	}
	if why := p.Unpaired(); why != "" {
		set(v1alpha1.ConditionFrozen, false, v1alpha1.ReasonNotQuieted, why)
	} else {
		set(v1alpha1.ConditionFrozen, true, v1alpha1.ReasonHeld, cmp.Or(p.Uncovered, doubt, heldStill(p)))
	}
	set(v1alpha1.ConditionThawed, true, v1alpha1.ReasonThawed, thawedMessage(b.Status.Quiesce))
}

func heldStill(p hooks.ApplicationPlan) string {
	if p.Method == v1alpha1.MethodHooks {
		return fmt.Sprintf("%d pod(s) were quieted, by the word of their hooks alone", len(p.Targets))
	}
	return fmt.Sprintf("%d pod(s) held still", len(p.Targets))
}
