package backup

import (
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot/cut"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// intended is a backup in an attempt to hold one pod and cut one volume.
func intended(method v1alpha1.QuiesceMethod) *v1alpha1.VolumeBackup {
	b := &v1alpha1.VolumeBackup{}
	b.Spec.Attempts = 3
	b.Status.Quiesce = &v1alpha1.QuiesceStatus{Method: method, Attempt: 1, StartedAt: metav1.NewMicroTime(noon), Pods: []v1alpha1.QuiescedPod{{Name: "db-0", UID: "p"}}}
	b.Status.Volumes = []v1alpha1.VolumeStatus{{ClaimName: "data", SnapshotName: "s"}}
	return b
}

// good is the evidence of an attempt in which all went well.
func good() *evidence {
	return &evidence{
		firstHeldAt: noon.Add(time.Second), heldAt: noon.Add(2 * time.Second), cutAt: noon.Add(3 * time.Second), thawedAt: noon.Add(4 * time.Second),
		releases:  map[types.UID]hooks.Release{"p": {Thawed: true, Testified: true}},
		observed:  map[string]cut.Observed{"data": {Exists: true, Cut: true, Identity: cut.Identity{ContentName: "c"}}},
		unchanged: true,
	}
}

func TestConclude(t *testing.T) {
	held := &plan{quiesce: hooks.ApplicationPlan{Method: v1alpha1.MethodHold, Targets: []hooks.Target{{UID: "p"}}}}
	inDoubt := &plan{quiesce: hooks.ApplicationPlan{Method: v1alpha1.MethodHold, Targets: []hooks.Target{{UID: "p"}}, Writing: map[string][]string{"db-0": {"data"}}}, cutBy: map[string]cut.By{"data": {Instant: cut.CopiesFiles}}}
	doubted := &plan{quiesce: held.quiesce, doubt: "pod x left the API"}
	uncovered := &plan{quiesce: hooks.ApplicationPlan{Method: v1alpha1.MethodHold, Uncovered: "pod x writes"}}
	for name, c := range map[string]struct {
		method      v1alpha1.QuiesceMethod
		plan        *plan
		change      func(*evidence)
		consistency v1alpha1.Consistency
		failure     string
		thawed      bool
		frozenFor   time.Duration
	}{
		"held":             {consistency: v1alpha1.Proven, thawed: true, frozenFor: 3 * time.Second},
		"only its commits": {plan: inDoubt, consistency: v1alpha1.Declared, thawed: true, frozenFor: 3 * time.Second},
		"a forgotten pod":  {change: func(e *evidence) { e.doubt = "pod x runs" }, consistency: v1alpha1.Declared, thawed: true, frozenFor: 3 * time.Second},
		"in doubt before":  {plan: doubted, consistency: v1alpha1.Declared, thawed: true, frozenFor: 3 * time.Second},
		"somebody writes":  {plan: uncovered, consistency: v1alpha1.Crash, thawed: true, frozenFor: 3 * time.Second},
		"nobody was asked": {method: v1alpha1.MethodNone, change: func(e *evidence) { e.releases, e.firstHeldAt = nil, time.Time{} }, consistency: v1alpha1.Crash, thawed: true},
		"unmounted":        {method: v1alpha1.MethodIdle, change: func(e *evidence) { e.releases, e.firstHeldAt = nil, time.Time{} }, consistency: v1alpha1.Proven, thawed: true},
		"another pod came": {change: func(e *evidence) { e.unchanged = false }, failure: "another pod", thawed: true, frozenFor: 3 * time.Second},
		"not cut":          {change: func(e *evidence) { e.err, e.cutAt = errors.New("no room"), time.Time{} }, failure: "no room", thawed: true, frozenFor: 3 * time.Second},
		"no testimony":     {change: func(e *evidence) { e.releases["p"] = hooks.Release{Thawed: true, Err: errors.New("lost")} }, failure: "lost", thawed: true, frozenFor: 3 * time.Second},
		"its end is beside it": {change: func(e *evidence) {
			e.err, e.releases["p"] = errors.New("no room"), hooks.Release{Thawed: true, Err: errors.New("killed")}
		}, failure: "no room", thawed: true, frozenFor: 3 * time.Second},
		"not thawed":         {change: func(e *evidence) { e.releases["p"] = hooks.Release{Err: errors.New("hangs")} }, failure: "hangs"},
		"nothing was frozen": {change: func(e *evidence) { *e = *nothingFrozen([]hooks.Target{{UID: "p"}}); e.err = errHeldUp }, failure: "held up", thawed: true},
		"both of what went wrong": {change: func(e *evidence) {
			e.err, e.releases["p"] = errHoldLost, hooks.Release{Thawed: true, Err: errors.New("ended early")}
		}, failure: "ended early", thawed: true, frozenFor: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			method, p, e := v1alpha1.MethodHold, held, good()
			if c.method != "" {
				method, p = c.method, &plan{quiesce: hooks.ApplicationPlan{Method: c.method}}
			}
			if c.plan != nil {
				p = c.plan
			}
			if c.change != nil {
				c.change(e)
			}
			b := intended(method)
			conclude(b, p, e, noon.Add(time.Minute))
			q := b.Status.Quiesce
			if b.Status.Consistency != c.consistency || !strings.Contains(q.Failure, c.failure) || (q.Failure == "") != (c.failure == "") {
				t.Errorf("got %q, failure %q", b.Status.Consistency, q.Failure)
			}
			if meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionThawed) != c.thawed || cut.Open(q) == c.thawed {
				t.Errorf("thawed: %+v", q)
			}
			if (q.FrozenFor == nil) != (c.frozenFor == 0) || q.FrozenFor != nil && q.FrozenFor.Duration != c.frozenFor {
				t.Errorf("frozen for %v, want %s", q.FrozenFor, c.frozenFor)
			}
			if named := b.Status.Volumes[0].SnapshotName != ""; named != (c.failure == "") {
				t.Errorf("a snapshot is named only where it is worth something: %+v", b.Status.Volumes)
			}
		})
	}
}

// What is concluded depends on nothing but its arguments, and changes only the
// backup.
func TestConcludeIsPure(t *testing.T) {
	p, e := &plan{quiesce: hooks.ApplicationPlan{Method: v1alpha1.MethodHold}, volumes: []v1alpha1.VolumeStatus{{ClaimName: "data"}}}, good()
	one, two := intended(v1alpha1.MethodHold), intended(v1alpha1.MethodHold)
	conclude(one, p, e, noon)
	conclude(two, p, e, noon)
	if !equality.Semantic.DeepEqual(one, two) {
		t.Errorf("twice the same gives %+v and %+v", one.Status, two.Status)
	}
	if p.volumes[0].ContentName != "" {
		t.Error("the plan is left alone")
	}
}
