package hooks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
)

func TestAnnotationsThatArentRead(t *testing.T) {
	type notes = map[string]string
	for name, c := range map[string]struct {
		template notes
		unread   map[string]map[string]string
		says     []string
	}{
		"none":                       {template: notes{"lull.dev/quiesce": "mariadb", "app": "x"}},
		"a typing error":             {template: notes{"lull.dev/quiese": "x"}, says: []string{"lull.dev/quiese of the pod template isn't read: write one of lull.dev/quiesce, lull.dev/hold-hook"}},
		"capital letters":            {template: notes{"Lull.dev/Quiesce": "x"}, says: []string{"Lull.dev/Quiesce of"}},
		"Velero's, with an error":    {template: notes{"pre.hook.backup.velero.io/comand": "x"}, says: []string{"write one of pre.hook.backup.velero.io/command"}},
		"the seed's, with an error":  {template: notes{"backups.example.com.prehook": "x"}, says: []string{"write one of backups.example.com.pre-hook"}},
		"Velero's of restores":       {template: notes{"post.hook.restore.velero.io/command": "x", "backup.velero.io/backup-volumes": "x"}},
		"for policies":               {template: notes{"lull.dev/policy": "x", "lull.dev/backup": "false"}},
		"on the workload":            {unread: map[string]map[string]string{"Deployment db": {"lull.dev/quiesce": "x"}}, says: []string{"lull.dev/quiesce isn't read where it stands (Deployment db): write it on the pod template"}},
		"on pods":                    {unread: map[string]map[string]string{"pod b": {"lull.dev/quiesce": "x"}, "pod a": {"lull.dev/quiesce": "y"}}, says: []string{"(pod a, pod b)"}},
		"on pods, of their template": {template: notes{"lull.dev/hold-hook": "x"}, unread: map[string]map[string]string{"pod a": {"lull.dev/hold-hook": "x"}}},
		"on pods, another":           {template: notes{"lull.dev/hold-hook": "x"}, unread: map[string]map[string]string{"pod a": {"lull.dev/hold-hook": "y"}}, says: []string{"(pod a)"}},
		"Velero's on the workload":   {unread: map[string]map[string]string{"Deployment db": {"pre.hook.backup.velero.io/command": "x", "other": "x"}}, says: []string{"pre.hook.backup.velero.io/command isn't read"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := PlanApplication(Application{
				Pods: []corev1.Pod{podOn("a", "data")}, Annotations: map[types.UID]map[string]string{"a": c.template}, Template: c.template,
				Unread: c.unread, Claims: []string{"data"}, IsOne: true,
			})
			if err != nil && c.template["lull.dev/quiesce"] == "" {
				t.Fatal(err)
			}
			if len(p.Warnings) != len(c.says) {
				t.Fatalf("warnings %v, want %q", p.Warnings, c.says)
			}
			for i, words := range c.says {
				if w := p.Warnings[i]; w.Reason != v1alpha1.ReasonAnnotationNotRead || !strings.Contains(w.Message, words) {
					t.Errorf("says %q, want %q", w.Message, words)
				}
				if quiet := p.Method != v1alpha1.MethodNone; quiet == strings.Contains(p.Uncovered, words) || !quiet && !strings.HasPrefix(p.Uncovered, NotAsked) {
					t.Errorf("why nothing is quieted: %q", p.Uncovered)
				}
			}
		})
	}
}

// A template may carry tens of thousands of annotations. A few warnings tell of them,
// and none is long.
func TestWarningsAreFewAndShort(t *testing.T) {
	notes := map[string]string{
		"lull.dev/hook-timeout":               strings.Repeat("\x00", 60<<10),
		"pre.hook.backup.velero.io/command":   "x",
		"pre.hook.backup.velero.io/on-error":  strings.Repeat("y", 60<<10),
		"backups.example.com.pre-hook":        `["` + strings.Repeat("z", 60<<10),
		"post.hook.backup.velero.io/on-error": "Continue",
	}
	for i := range 10_000 {
		notes[fmt.Sprintf("lull.dev/x%d", i)] = ""
	}
	pods, annotations := []corev1.Pod{}, map[types.UID]map[string]string{}
	for i := range 50 {
		pod := podOn(fmt.Sprint("pod", i), "data")
		pods, annotations[pod.UID] = append(pods, pod), notes
	}
	quiet := &v1alpha1.QuiesceSpec{Hold: &v1alpha1.HookCommand{Command: []string{"h"}}, Timeout: &metav1.Duration{Duration: time.Second}, OnFailure: v1alpha1.OnFailureFail}
	p, err := PlanApplication(Application{Spec: quiet, Pods: pods, Annotations: annotations, Template: notes, Claims: []string{"data"}, IsOne: true})
	if err != nil || len(p.Warnings) < mostMisspelt || len(p.Warnings) > limits.Warnings {
		t.Fatalf("%d warnings, %v", len(p.Warnings), err)
	}
	for _, w := range p.Warnings {
		if len(w.Message) > limits.WarningBytes {
			t.Errorf("it has %d bytes: %.80s", len(w.Message), w.Message)
		}
	}
}
