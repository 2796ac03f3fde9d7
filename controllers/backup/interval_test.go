package backup

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

func TestBetweenTwoFreezesOfAPodIsTheInterval(t *testing.T) {
	l := newLimiter(Options{MinFreezeInterval: 10 * time.Second}, noNow)
	l.noteFreeze([]types.UID{"a", "b"}, noon, noon)
	l.noteFreeze([]types.UID{"c"}, time.Time{}, noon)
	for _, c := range []struct {
		pods  []types.UID
		after time.Duration
		want  time.Duration
	}{
		{[]types.UID{"a"}, 0, 10 * time.Second},
		{[]types.UID{"x", "b"}, 4 * time.Second, 6 * time.Second},
		{[]types.UID{"a", "b"}, 10 * time.Second, 0},
		{[]types.UID{"c"}, 0, 0},
		{nil, 0, 0},
		{[]types.UID{"a"}, -30 * time.Minute, 0}, // the clock was set
	} {
		if got := l.untilNextFreeze(c.pods, noon.Add(c.after)); got != c.want {
			t.Errorf("%v after %s: %s, want %s", c.pods, c.after, got, c.want)
		}
	}
	l.noteFreeze([]types.UID{"later"}, noon.Add(time.Minute), noon.Add(time.Minute))
	if n := len(l.freezes.ended); n != 1 {
		t.Errorf("%d are remembered, and one matters", n)
	}
}

// Only a freeze that is known of counts: what was never held was never stopped.
func TestHeldUntil(t *testing.T) {
	for name, c := range map[string]struct {
		q    *v1alpha1.QuiesceStatus
		want time.Time
	}{
		"no attempt":            {nil, time.Time{}},
		"held":                  {&v1alpha1.QuiesceStatus{Method: v1alpha1.MethodHold, FrozenAt: microTime(noon), ThawedAt: microTime(noon.Add(time.Second))}, noon.Add(time.Second)},
		"some of its pods":      {&v1alpha1.QuiesceStatus{Method: v1alpha1.MethodHooks, FrozenFor: &metav1.Duration{Duration: time.Second}, ThawedAt: microTime(noon)}, noon},
		"never held":            {&v1alpha1.QuiesceStatus{Method: v1alpha1.MethodHold, ThawedAt: microTime(noon)}, time.Time{}},
		"held still":            {&v1alpha1.QuiesceStatus{Method: v1alpha1.MethodHold, FrozenAt: microTime(noon)}, time.Time{}},
		"nothing is to be held": {&v1alpha1.QuiesceStatus{Method: v1alpha1.MethodNone, FrozenAt: microTime(noon), ThawedAt: microTime(noon)}, time.Time{}},
	} {
		if got := cut.HeldUntil(c.q); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
