package backup

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot/limits"
)

// aLargePlan quiets pods by a post-hook of so many bytes, and cuts claims that carry
// annotations of so many.
func aLargePlan(pods, post, claims, annotations int) *plan {
	p := &plan{quiesce: hooks.ApplicationPlan{Method: v1alpha1.MethodHooks, OnFailure: v1alpha1.OnFailureFail}}
	for i := range pods {
		name := fmt.Sprintf("db-%d", i)
		p.quiesce.Targets = append(p.quiesce.Targets, hooks.Target{
			Pod: name, UID: types.UID(name), Post: hooks.Command{Args: []string{strings.Repeat("x", post)}, Container: "db"},
		})
	}
	for i := range claims {
		v := v1alpha1.VolumeStatus{ClaimName: fmt.Sprintf("data-db-%d", i), Claim: &v1alpha1.BackedUpClaim{Annotations: map[string]string{}}}
		for j := range annotations / 1000 {
			v.Claim.Annotations[fmt.Sprintf("example.com/%d", j)] = strings.Repeat("y", 980)
		}
		p.volumes = append(p.volumes, v)
	}
	return p
}

// What the API server would refuse is known before the intent.
func TestWhatHasNoRoomInTheStatusIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		plan *plan
		says string
	}{
		"as much as may be":        {plan: aLargePlan(limits.Pods, 1000, limits.Claims, 0)},
		"long post-hooks":          {aLargePlan(20, 60<<10, 1, 0), "20 pod(s), each with the post-hook that thaws it, take 1202 KiB of it"},
		"claims with annotations":  {aLargePlan(1, 10, 10, 250_000), "10 claim(s) with their labels and annotations 24"},
		"neither alone, both have": {aLargePlan(8, 64_000, 3, 200_000), "8 pod(s)"},
	} {
		w := &run{VolumeBackup: intended(v1alpha1.MethodHooks), Reconciler: &Reconciler{}}
		problem := w.fit(c.plan)
		if problem == nil != (c.says == "") || problem != nil && (problem.Reason != v1alpha1.ReasonLimitExceeded || !strings.Contains(problem.Message, c.says)) {
			t.Errorf("%s: %v, want %q", name, problem, c.says)
		}
	}
}

// Where it is the post-hooks that have no room, and its owner wants a backup all the
// same, it is taken without quiet.
func TestWhatHasNoRoomIsTakenWithoutQuiet(t *testing.T) {
	w := &run{VolumeBackup: intended(v1alpha1.MethodHooks), Reconciler: &Reconciler{}}
	p := aLargePlan(20, 60<<10, 1, 0)
	p.quiesce.OnFailure = v1alpha1.OnFailureContinue
	if problem := w.fit(p); problem != nil || p.quiesce.Method != v1alpha1.MethodNone || !strings.Contains(p.quiesce.Uncovered, "20 pod(s)") {
		t.Errorf("%v; method %s, %s", problem, p.quiesce.Method, p.quiesce.Uncovered)
	}
	p = aLargePlan(1, 10, 10, 250_000)
	p.quiesce.OnFailure = v1alpha1.OnFailureContinue
	if w.fit(p) == nil {
		t.Error("claims have no more room without quiet")
	}
}

// What a status says to its owner has a bound in number and in length.
func TestWarningsHaveABound(t *testing.T) {
	p := &plan{}
	for range 3 * limits.Warnings {
		p.warn("A", strings.Repeat("ü", limits.WarningBytes))
	}
	all := p.allWarnings()
	if len(all) != limits.Warnings || len(all[0].Message) > limits.WarningBytes || len(p.warnings[0].Message) <= limits.WarningBytes {
		t.Errorf("there are %d, of %d bytes", len(all), len(all[0].Message))
	}
}
