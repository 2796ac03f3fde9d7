package hooks

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// The owner of an application says on its pod template how long it may be frozen. A
// backup has it frozen for longer only where it brings commands, for which one may
// exec in its pods.
func TestTheOwnersTimeoutCounts(t *testing.T) {
	type ann = map[string]string
	for name, c := range map[string]struct {
		spec        v1alpha1.QuiesceSpec
		asks        time.Duration
		annotations ann
		want        time.Duration
		warns, says string
	}{
		"an hour in place of five seconds": {asks: time.Hour, annotations: ann{"lull.dev/hook-timeout": "5s"}, want: 5 * time.Second, warns: "spec.quiesce.timeout is 1h0m0s, and the pod template says 5s, which counts"},
		"less than the owner allows":       {asks: 3 * time.Second, annotations: ann{"lull.dev/hook-timeout": "5s"}, want: 3 * time.Second},
		"as much":                          {asks: 5 * time.Second, annotations: ann{"lull.dev/hook-timeout": "5s"}, want: 5 * time.Second},
		"the owner says nothing":           {asks: time.Minute, want: time.Minute},
		"the backup says nothing":          {annotations: ann{"lull.dev/hook-timeout": "5s"}, want: 5 * time.Second},
		"the backup only says the rest":    {spec: v1alpha1.QuiesceSpec{Pods: v1alpha1.PodsOne, OnFailure: v1alpha1.OnFailureContinue}, asks: time.Hour, annotations: ann{"lull.dev/hook-timeout": "5s"}, want: 5 * time.Second, warns: "which counts"},
		"the backup brings a recipe":       {spec: v1alpha1.QuiesceSpec{Recipe: "mariadb"}, asks: time.Hour, annotations: ann{"lull.dev/hook-timeout": "5s"}, want: time.Hour},
		"the backup brings a hold":         {spec: v1alpha1.QuiesceSpec{Hold: &v1alpha1.HookCommand{Command: []string{"x"}}}, asks: time.Hour, annotations: ann{"lull.dev/hook-timeout": "5s"}, want: time.Hour},
		"Velero's":                         {asks: time.Hour, annotations: ann{"pre.hook.backup.velero.io/command": "x", "post.hook.backup.velero.io/command": "y", "pre.hook.backup.velero.io/timeout": "7s"}, want: 7 * time.Second, warns: "which counts"},
		"the owner's can't be read":        {asks: time.Hour, annotations: ann{"lull.dev/hook-timeout": "soon"}, says: `the annotation lull.dev/hook-timeout is "soon"`},
	} {
		t.Run(name, func(t *testing.T) {
			if c.asks > 0 {
				c.spec.Timeout = &metav1.Duration{Duration: c.asks}
			}
			if len(c.annotations) < 2 && c.annotations != nil {
				c.annotations["lull.dev/hold-hook"] = "freeze"
			}
			q, err := Resolve(&c.spec, c.annotations, Limits{})
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || q.Timeout != c.want {
				t.Errorf("%s, %v", q.Timeout, err)
			}
			warned(t, q, c.warns)
		})
	}
}

func warned(t *testing.T, q QuiescePlan, warns string) {
	t.Helper()
	var all []string
	for _, w := range q.Warnings {
		if w.Reason == v1alpha1.ReasonTimeoutShortened {
			all = append(all, w.Message)
		}
	}
	if said := strings.Join(all, "\n"); !strings.Contains(said, warns) || warns == "" && said != "" {
		t.Errorf("warns %q", said)
	}
}

// A freeze is cut short, which only thaws earlier. A post-hook is refused: one that
// is killed may never thaw.
func TestAnAdministratorsLimits(t *testing.T) {
	type ann = map[string]string
	limits := Limits{Freeze: 10 * time.Second, PostHook: 20 * time.Second}
	pair := func(post string) ann {
		return ann{"pre.hook.backup.velero.io/command": "x", "post.hook.backup.velero.io/command": "y", "post.hook.backup.velero.io/timeout": post}
	}
	for name, c := range map[string]struct {
		annotations      ann
		freeze, postHook time.Duration
		warns, says      string
	}{
		"a longer freeze":          {annotations: ann{"lull.dev/hold-hook": "x", "lull.dev/hook-timeout": "1h"}, freeze: 10 * time.Second, warns: "the timeout is 1h0m0s, and counts as 10s"},
		"a shorter one":            {annotations: ann{"lull.dev/hold-hook": "x", "lull.dev/hook-timeout": "9s"}, freeze: 9 * time.Second},
		"a default that is longer": {annotations: ann{"lull.dev/hold-hook": "x"}, freeze: 10 * time.Second},
		"a longer post-hook":       {annotations: pair("21s"), says: "the post-hook may take 21s by its annotation, and no post-hook may take longer than 20s here"},
		"a shorter post-hook":      {annotations: pair("19s"), freeze: 10 * time.Second, postHook: 19 * time.Second},
		"a default post-hook":      {annotations: ann{"lull.dev/pre-hook": "x", "lull.dev/post-hook": "y"}, freeze: 10 * time.Second, postHook: 20 * time.Second},
		"a recipe has what counts": {annotations: ann{"lull.dev/quiesce": "mariadb", "lull.dev/hook-timeout": "1h"}, freeze: 10 * time.Second, warns: "counts as 10s"},
		"no hooks, and no warning": {annotations: ann{"lull.dev/hook-timeout": "1h"}, freeze: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := Resolve(nil, c.annotations, limits)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || q.Timeout != c.freeze || q.Post.Timeout != c.postHook {
				t.Errorf("freeze %s, post-hook %s, %v", q.Timeout, q.Post.Timeout, err)
			}
			warned(t, q, c.warns)
		})
	}
}
