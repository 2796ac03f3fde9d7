package reconcile

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/lull-dev/lull/api/v1alpha1"
)

type backup = v1alpha1.VolumeBackup

var errAPI = errors.New("etcd has no leader")

// bench is a loop over one backup whose steps a test brings.
type bench struct {
	*Loop[*backup]
	t      *testing.T
	told   *events.FakeRecorder
	writes int
	refuse error
	// refusals is how many writes are refused, 0 for all.
	refusals int
	seen     *backup
}

func aBench(t *testing.T, steps ...func(context.Context, *Scope[*backup]) Outcome) *bench {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, told: events.NewFakeRecorder(10)}
	c := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&backup{}).
		WithObjects(&backup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "b"}}).
		WithInterceptorFuncs(interceptor.Funcs{
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
				if b.writes++; b.refuse != nil && (b.refusals == 0 || b.writes <= b.refusals) {
					return b.refuse
				}
				return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
			},
		}).Build()
	b.Loop = &Loop[*backup]{
		Client: c, Live: c, Events: b.told, Clock: clocktesting.NewFakeClock(time.Now()),
		New:    func() *backup { return &backup{} },
		AtRest: func(_ context.Context, o *backup) bool { return o.Status.Phase == v1alpha1.PhaseCompleted },
		Steps: func(s *Scope[*backup]) []Step {
			var all []Step
			for i, take := range steps {
				all = append(all, Step{Name: string(rune('A' + i)), Take: func(ctx context.Context) Outcome { return take(ctx, s) }})
			}
			return all
		},
		Stalled: func(s *Scope[*backup], p *v1alpha1.Problem) Outcome {
			s.MarkFailed(p.Reason, p.Message)
			return Done()
		},
		Summarize: func(s *Scope[*backup]) { s.Object.Status.ObservedGeneration = 7 },
		Seen:      func(_ types.NamespacedName, o *backup) { b.seen = o },
	}
	return b
}

func (b *bench) reconcile() (ctrl.Result, error) {
	return b.Reconcile(b.t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "b"}})
}

func (b *bench) stored() *backup {
	b.t.Helper()
	o := &backup{}
	if err := b.Get(b.t.Context(), client.ObjectKey{Namespace: "shop", Name: "b"}, o); err != nil {
		b.t.Fatal(err)
	}
	return o
}

func skips(context.Context, *Scope[*backup]) Outcome { return Skip() }

func TestTheFirstStepThatIsNeededIsTaken(t *testing.T) {
	var taken []string
	note := func(name string, out Outcome) func(context.Context, *Scope[*backup]) Outcome {
		return func(context.Context, *Scope[*backup]) Outcome {
			taken = append(taken, name)
			return out
		}
	}
	b := aBench(t, note("a", Skip()), note("b", SkipFor(time.Second)), note("c", Wait(time.Minute)), note("d", Done()))
	result, err := b.reconcile()
	if err != nil || result.RequeueAfter != time.Second {
		t.Errorf("a step that was skipped for a second is asked again then: %v, %v", result, err)
	}
	if got := strings.Join(taken, ""); got != "abc" {
		t.Errorf("steps taken: %s", got)
	}
}

func TestAStepThatChangesNothingIsNotTakenForEver(t *testing.T) {
	taken := 0
	b := aBench(t, func(context.Context, *Scope[*backup]) Outcome {
		taken++
		return Continue()
	})
	result, err := b.reconcile()
	if err != nil || result.RequeueAfter != repeatDelay || taken != maxRepeats+1 {
		t.Errorf("taken %d times: %v, %v", taken, result, err)
	}
}

func TestWhatIsTheSameIsNotWritten(t *testing.T) {
	b := aBench(t, skips)
	for range 3 {
		if _, err := b.reconcile(); err != nil {
			t.Fatal(err)
		}
	}
	if b.writes != 1 {
		t.Errorf("%d writes, want the summary alone", b.writes)
	}
	if b.seen.Status.ObservedGeneration != 7 {
		t.Errorf("what is seen is what is written: %+v", b.seen.Status)
	}
}

func TestEventsComeOnceWhatTheySpeakOfIsWritten(t *testing.T) {
	b := aBench(t, func(_ context.Context, s *Scope[*backup]) Outcome {
		s.Object.Status.Message = "x"
		s.RecordOnceSaved(Normal("Said", "Say", "said"))
		return Done()
	})
	b.refuse = apierrors.NewConflict(schema.GroupResource{}, "b", nil)
	if result, err := b.reconcile(); err != nil || result.RequeueAfter != conflictDelay {
		t.Errorf("after a conflict it is looked again: %v, %v", result, err)
	}
	if len(b.told.Events) > 0 {
		t.Error("nothing is told that isn't written")
	}
	b.refuse = nil
	if _, err := b.reconcile(); err != nil || len(b.told.Events) != 1 {
		t.Errorf("%d events, %v", len(b.told.Events), err)
	}
}

func TestWhatMayWaitIsNotWritten(t *testing.T) {
	out := Wait(time.Minute).Unsaved()
	b := aBench(t, func(_ context.Context, s *Scope[*backup]) Outcome {
		s.Object.Status.Message = "x"
		return out
	})
	if result, err := b.reconcile(); err != nil || b.writes != 0 || result.RequeueAfter != time.Minute {
		t.Errorf("%d writes, %v, %v", b.writes, result, err)
	}
	out = Done()
	if _, err := b.reconcile(); err != nil || b.stored().Status.Message != "x" {
		t.Errorf("written is %+v, %v", b.stored().Status, err)
	}
}

func TestAKindFromTheCacheIsNotReadPastIt(t *testing.T) {
	taken := 0
	b := aBench(t, func(context.Context, *Scope[*backup]) Outcome {
		taken++
		return Done()
	})
	b.Live, b.FromCache = nil, true
	if _, err := b.reconcile(); err != nil || taken != 1 {
		t.Errorf("taken %d times, %v", taken, err)
	}
}

func TestAnErrorIsToldOnceAndTriedAgain(t *testing.T) {
	b := aBench(t, func(_ context.Context, s *Scope[*backup]) Outcome {
		s.Object.Status.Consistency = v1alpha1.Proven // what the step had in mind
		return Retry(errAPI)
	})
	for range 3 {
		if _, err := b.reconcile(); !errors.Is(err, errAPI) {
			t.Fatalf("got %v", err)
		}
	}
	o := b.stored()
	said := FirstMessage(o.Status.Conditions, v1alpha1.ConditionReconciling)
	if !strings.Contains(said, errAPI.Error()) || o.Status.Consistency != "" || b.writes != 1 {
		t.Errorf("told %q by %d writes, with %q", said, b.writes, o.Status.Consistency)
	}
}

func TestAProblemIsTheKindsToEnd(t *testing.T) {
	b := aBench(t, func(context.Context, *Scope[*backup]) Outcome {
		return Failed(v1alpha1.Problemf("Broken", "mend it"))
	})
	if _, err := b.reconcile(); err != nil {
		t.Fatal(err)
	}
	if said := FirstMessage(b.stored().Status.Conditions, v1alpha1.ConditionFailed); said != "mend it" {
		t.Errorf("got %q", said)
	}
}

func TestWhatIsAtRestIsLeftAlone(t *testing.T) {
	b := aBench(t, func(context.Context, *Scope[*backup]) Outcome {
		t.Error("no step is taken")
		return Done()
	})
	o := b.stored()
	o.Status.Phase = v1alpha1.PhaseCompleted
	if err := b.Client.Status().Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := b.reconcile(); err != nil || b.writes != 0 || b.seen.Name != "b" {
		t.Errorf("%d writes, %v, seen %q", b.writes, err, b.seen.Name)
	}
	if err := b.Delete(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := b.reconcile(); err != nil || b.seen.Name != "" {
		t.Errorf("of one that is gone the empty object is seen: %v, %q", err, b.seen.Name)
	}
}

func TestReread(t *testing.T) {
	b := aBench(t, func(ctx context.Context, s *Scope[*backup]) Outcome {
		mine := s.Object
		mine.Status.Message, mine.Labels = "unsaved", map[string]string{"mine": "alone"}
		if err := s.Reread(ctx, s.writer); err != nil || s.Object != mine || mine.Status.Message != "" || mine.Labels != nil {
			t.Errorf("whoever has the object has what was read: %v, %+v", err, mine)
		}
		return Done()
	})
	if _, err := b.reconcile(); err != nil {
		t.Fatal(err)
	}
}

// Another try of what there is no room for comes to the same: the kind ends it, as it
// was last written.
func TestWhatThereIsNoRoomForIsGivenUp(t *testing.T) {
	for what, refused := range map[string]error{
		"by etcd":           apierrors.NewInternalError(errors.New("etcdserver: request is too large")),
		"by etcd's client":  apierrors.NewInternalError(errors.New("rpc error: code = ResourceExhausted desc = trying to send message larger than max (2097201 vs. 2097152)")),
		"by the API server": apierrors.NewRequestEntityTooLargeError("limit is 3145728"),
	} {
		b := aBench(t, func(_ context.Context, s *Scope[*backup]) Outcome {
			if s.Object.Status.Phase == v1alpha1.PhaseCompleted {
				return Done()
			}
			s.Object.Status.Warnings = []string{"too long"}
			return Done()
		})
		b.refuse, b.refusals = refused, 1
		if result, err := b.reconcile(); err != nil || result.RequeueAfter != 0 {
			t.Errorf("%s: it is tried again: %v, %v", what, result, err)
		}
		o := b.stored()
		failed := meta.FindStatusCondition(o.Status.Conditions, v1alpha1.ConditionFailed)
		if failed == nil || failed.Reason != v1alpha1.ReasonLimitExceeded || !strings.Contains(failed.Message, refused.Error()) || o.Status.Warnings != nil {
			t.Errorf("%s: it ends as %+v", what, o.Status)
		}
	}
}

// Where not even that has room, an event tells it, and nothing is tried until somebody
// changes the object.
func TestAnObjectWithoutAnyRoomIsLeftAlone(t *testing.T) {
	b := aBench(t, func(_ context.Context, s *Scope[*backup]) Outcome {
		s.Object.Status.Message = "x"
		return Done()
	})
	b.refuse = apierrors.NewRequestEntityTooLargeError("limit is 3145728")
	if result, err := b.reconcile(); err != nil || result.RequeueAfter != 0 || b.writes != 2 {
		t.Errorf("%d writes, %v, %v", b.writes, result, err)
	}
	select {
	case told := <-b.told.Events:
		if !strings.Contains(told, v1alpha1.ReasonLimitExceeded) || !strings.Contains(told, "no room") {
			t.Errorf("told is %s", told)
		}
	default:
		t.Error("nothing is told")
	}
}
