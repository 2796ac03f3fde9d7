package resticexport

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

var noonOfLooks = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func lookedAt(ready metav1.ConditionStatus, reason string, since time.Duration) *v1alpha1.ResticRepository {
	last := metav1.NewTime(noonOfLooks)
	r := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
	r.Status.LastLookTime = &last
	r.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: ready, Reason: reason, ObservedGeneration: 2, LastTransitionTime: metav1.NewTime(last.Add(-since)),
	}}
	return r
}

func TestNextLook(t *testing.T) {
	edited := lookedAt(metav1.ConditionTrue, v1alpha1.ReasonOpened, 0)
	edited.Generation = 3
	at := func(after time.Duration) *v1alpha1.ResticRepository {
		r := lookedAt(metav1.ConditionTrue, v1alpha1.ReasonOpened, time.Hour)
		failed := metav1.NewTime(r.Status.LastLookTime.Add(after))
		r.Status.LastFailureTime = &failed
		return r
	}
	ahead := lookedAt(metav1.ConditionFalse, "Unreachable", time.Hour)
	ahead.Status.LastLookTime.Time = ahead.Status.LastLookTime.AddDate(1, 0, 0)
	for name, c := range map[string]struct {
		of *v1alpha1.ResticRepository
		// after the last look, negative for at once
		want time.Duration
	}{
		"never looked at":              {&v1alpha1.ResticRepository{}, -1},
		"edited":                       {edited, -1},
		"a mover failed since":         {at(time.Minute), -1},
		"a mover failed before":        {at(-time.Minute), time.Hour},
		"the clock was a year ahead":   {ahead, -1},
		"a look is under way":          {lookedAt(metav1.ConditionFalse, v1alpha1.ReasonMoverPending, time.Hour), -1},
		"well":                         {lookedAt(metav1.ConditionTrue, v1alpha1.ReasonOpened, 9*time.Hour), time.Hour},
		"not well for the first time":  {lookedAt(metav1.ConditionFalse, "WrongPassword", 0), 10 * time.Second},
		"not well for ten minutes":     {lookedAt(metav1.ConditionFalse, "Unreachable", 10*time.Minute), 5 * time.Minute},
		"not well for a day":           {lookedAt(metav1.ConditionFalse, "Unreachable", 24*time.Hour), time.Hour},
		"there is none: one is made":   {lookedAt(metav1.ConditionFalse, v1alpha1.ReasonInitialising, 0), 10 * time.Second},
		"one that can't be made again": {lookedAt(metav1.ConditionFalse, v1alpha1.ReasonRepositoryVanished, time.Minute), 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			next := NextLook(c.of, noonOfLooks.Add(time.Minute))
			if c.want < 0 {
				if !next.IsZero() {
					t.Errorf("the next look is at %s, and not at once", next)
				}
				return
			}
			if got := next.Sub(c.of.Status.LastLookTime.Time); got != c.want {
				t.Errorf("it is looked at after %s, want %s", got, c.want)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	opened := func(id string) Result { return Result{Done: true, Repository: &OpenedRepository{ID: id}} }
	failed := func(c Cause) Result { return Result{Cause: c, Message: "restic's words"} }
	for name, c := range map[string]struct {
		was    string
		result Result
		want   Found
		words  string
	}{
		"there is none yet":         {"", failed(CauseNoRepository), Found{Init: true, Reason: v1alpha1.ReasonInitialising}, "one is made"},
		"it is gone":                {"aaaaaaaabbbb", failed(CauseNoRepository), Found{Reason: v1alpha1.ReasonRepositoryVanished}, "aaaaaaaa was there"},
		"the first look":            {"", opened("aaaaaaaa"), Found{Ready: true, Reason: v1alpha1.ReasonOpened}, "aaaaaaaa"},
		"it is as it was":           {"aaaaaaaa", opened("aaaaaaaa"), Found{Ready: true, Reason: v1alpha1.ReasonOpened}, "aaaaaaaa"},
		"there is another one":      {"aaaaaaaa", opened("cccccccc"), Found{Reason: v1alpha1.ReasonRepositoryChanged}, "cccccccc"},
		"the password is wrong":     {"", failed(CauseWrongPassword), Found{Reason: "WrongPassword"}, "restic's words"},
		"its server doesn't answer": {"aaaaaaaa", failed(CauseUnreachable), Found{Reason: "Unreachable"}, "restic's words"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Judge(&v1alpha1.ResticRepositoryStatus{RepositoryID: c.was}, c.result)
			if !strings.Contains(got.Message, c.words) {
				t.Errorf("it says %q, without %q", got.Message, c.words)
			}
			if got.Message = ""; got != c.want {
				t.Errorf("it comes to %+v, want %+v", got, c.want)
			}
		})
	}
}
