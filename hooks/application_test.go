package hooks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
)

// podOn is a pod that runs and mounts a claim.
func podOn(name, claim string, change ...func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
	p.Spec.NodeName = "node"
	p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}}}
	p.Spec.Containers = []corev1.Container{{Name: "db", VolumeMounts: []corev1.VolumeMount{{Name: "v"}}}}
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "db", ContainerID: "1", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	for _, c := range change {
		c(&p)
	}
	return p
}

func notReady(p *corev1.Pod)      { p.Status.Conditions = nil }
func pending(p *corev1.Pod)       { p.Status.Phase = corev1.PodPending }
func readOnly(p *corev1.Pod)      { p.Spec.Volumes[0].PersistentVolumeClaim.ReadOnly = true }
func readOnlyMount(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts[0].ReadOnly = true }

// inScratch has the pod mount a generic ephemeral volume in the place of a claim.
func inScratch(p *corev1.Pod) {
	p.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}
}

func ownedBy(uid types.UID) func(*corev1.Pod) {
	yes := true
	return func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{UID: uid, Controller: &yes}}
	}
}

// goingOn are annotations that ask for a backup also where nobody can be quieted.
func goingOn(annotations map[string]string) map[string]string {
	annotations["lull.dev/hook-on-failure"] = "Continue"
	return annotations
}

func TestPlanApplication(t *testing.T) {
	type notes map[string]string // annotations
	hold := notes{"lull.dev/hold-hook": "h", "lull.dev/hook-timeout": "20s"}
	pair := notes{"lull.dev/pre-hook": "a", "lull.dev/post-hook": "b", "lull.dev/hook-timeout": "10s"}
	all := func(ann notes, pods ...corev1.Pod) Application {
		app := Application{Pods: pods, Annotations: map[types.UID]map[string]string{}, Claims: []string{"data", "log"}, IsOne: true, CutTimeout: time.Hour, Template: ann}
		for _, p := range pods {
			app.Annotations[p.UID] = ann
		}
		return app
	}
	for name, c := range map[string]struct {
		app       Application
		change    func(*Application)
		method    v1alpha1.QuiesceMethod
		targets   string
		timeout   time.Duration
		uncovered string
		reason    string
		warns     string
	}{
		"no pod":                              {app: all(hold), method: v1alpha1.MethodIdle, timeout: time.Hour},
		"no pod, and hooks that can't be":     {app: all(notes{"lull.dev/pre-hook": "a"}), reason: v1alpha1.ReasonInvalidHook},
		"no pod of its own":                   {app: all(hold), change: func(a *Application) { a.Others = []corev1.Pod{podOn("x", "data")} }, method: v1alpha1.MethodNone, timeout: time.Hour, uncovered: "pod x, of another application, writes"},
		"no pod but strangers that read":      {app: all(hold), change: func(a *Application) { a.Others = []corev1.Pod{podOn("x", "data", readOnlyMount)} }, method: v1alpha1.MethodIdle, timeout: time.Hour},
		"only readers, and nothing asked":     {app: all(nil, podOn("a", "data", readOnly)), method: v1alpha1.MethodIdle, timeout: time.Hour},
		"only readers, beside a stranger":     {app: all(nil, podOn("a", "data", readOnly)), change: func(a *Application) { a.Others = []corev1.Pod{podOn("x", "data")} }, method: v1alpha1.MethodNone, timeout: time.Hour},
		"only readers, with hooks":            {app: all(hold, podOn("a", "data", readOnly)), method: v1alpha1.MethodHold, targets: "a", timeout: 20 * time.Second},
		"a stranger's own volume":             {app: all(hold), change: func(a *Application) { a.Claims, a.Others = []string{"x-v"}, []corev1.Pod{podOn("x", "", inScratch)} }, method: v1alpha1.MethodNone, timeout: time.Hour, uncovered: "pod x, of another application, writes"},
		"nothing asked":                       {app: all(nil, podOn("a", "data")), method: v1alpha1.MethodNone, timeout: time.Hour},
		"all pods":                            {app: all(hold, podOn("b", "data"), podOn("a", "log")), method: v1alpha1.MethodHold, targets: "a b", timeout: 20 * time.Second},
		"ready ones first":                    {app: all(hold, podOn("a", "data", notReady), podOn("b", "log")), method: v1alpha1.MethodHold, targets: "b a", timeout: 20 * time.Second},
		"one stands for all that it mounts":   {app: all(hold, podOn("b", "data"), podOn("a", "data")), change: onlyOnePod, method: v1alpha1.MethodHold, targets: "a", timeout: 20 * time.Second},
		"one doesn't for other claims":        {app: all(hold, podOn("b", "log"), podOn("a", "data")), change: onlyOnePod, method: v1alpha1.MethodHold, targets: "a", timeout: 20 * time.Second, uncovered: "pod b writes"},
		"one of others isn't of them":         {app: all(hold, podOn("b", "data", ownedBy("2")), podOn("a", "data", ownedBy("1"))), change: func(a *Application) { onlyOnePod(a); a.IsOne = false }, method: v1alpha1.MethodHold, targets: "a", timeout: 20 * time.Second, uncovered: "pod b writes"},
		"one of the same owner is":            {app: all(hold, podOn("b", "data", ownedBy("1")), podOn("a", "data", ownedBy("1"))), change: func(a *Application) { onlyOnePod(a); a.IsOne = false }, method: v1alpha1.MethodHold, targets: "a", timeout: 20 * time.Second},
		"a stranger that writes":              {app: all(hold, podOn("a", "data")), change: func(a *Application) { a.Others = []corev1.Pod{podOn("x", "data")} }, method: v1alpha1.MethodHold, targets: "a", timeout: 20 * time.Second, uncovered: "pod x, of another"},
		"a stranger that reads":               {app: all(hold, podOn("a", "data")), change: func(a *Application) { a.Others = []corev1.Pod{podOn("x", "data", readOnly)} }, method: v1alpha1.MethodHold, targets: "a", timeout: 20 * time.Second},
		"a stranger that mounts it to read":   {app: all(hold, podOn("a", "data")), change: func(a *Application) { a.Others = []corev1.Pod{podOn("x", "data", readOnlyMount)} }, method: v1alpha1.MethodHold, targets: "a", timeout: 20 * time.Second},
		"one of its own that only reads":      {app: all(hold, podOn("a", "data"), podOn("b", "data", readOnlyMount)), change: func(a *Application) { a.Annotations["b"] = nil }, method: v1alpha1.MethodHold, targets: "a", timeout: 20 * time.Second},
		"of several methods the weaker":       {app: all(hold, podOn("a", "data"), podOn("b", "log")), change: func(a *Application) { a.Annotations["b"] = pair }, method: v1alpha1.MethodHooks, targets: "a b", timeout: 10 * time.Second},
		"some without any":                    {app: all(hold, podOn("a", "data"), podOn("b", "log")), change: func(a *Application) { a.Annotations["b"] = nil }, method: v1alpha1.MethodHold, targets: "a", timeout: 20 * time.Second, uncovered: "pod b writes"},
		"one that starts":                     {app: all(hold, podOn("a", "data", pending)), reason: v1alpha1.ReasonPodNotRunning},
		"one that starts, and Continue":       {app: all(notes{"lull.dev/hold-hook": "h", "lull.dev/hook-on-failure": "Continue"}, podOn("a", "data", pending)), method: v1alpha1.MethodNone, timeout: time.Hour, uncovered: "is Pending"},
		"Continue of some, Fail of the rest":  {app: all(notes{"lull.dev/hold-hook": "h", "lull.dev/hook-on-failure": "Continue"}, podOn("a", "data"), podOn("b", "log", pending, notReady)), change: func(a *Application) { a.Annotations["b"] = hold }, reason: v1alpha1.ReasonPodNotRunning},
		"a container that isn't there":        {app: all(notes{"lull.dev/hold-hook": "h", "lull.dev/hook-container": "x"}, podOn("a", "data")), reason: v1alpha1.ReasonContainerNotFound},
		"such a container, and Continue":      {app: all(goingOn(notes{"lull.dev/hold-hook": "h", "lull.dev/hook-container": "x"}), podOn("a", "data")), method: v1alpha1.MethodNone, timeout: time.Hour, uncovered: `pod a has no container "x" to run a hook in`},
		"hooks that can't be, and Continue":   {app: all(goingOn(notes{"lull.dev/pre-hook": "a"}), podOn("a", "data")), method: v1alpha1.MethodNone, timeout: time.Hour, uncovered: "without the other: write both"},
		"no such recipe, and Continue":        {app: all(goingOn(notes{"lull.dev/quiesce": "oracle"}), podOn("a", "data")), method: v1alpha1.MethodNone, timeout: time.Hour, uncovered: `there is no recipe "oracle"`},
		"the same, with no pod":               {app: all(goingOn(notes{"lull.dev/quiesce": "oracle"})), method: v1alpha1.MethodIdle, timeout: time.Hour, warns: `there is no recipe "oracle"`},
		"a way on that can't be read":         {app: all(notes{"lull.dev/hold-hook": "h", "lull.dev/hook-on-failure": "Ignore"}, podOn("a", "data")), reason: v1alpha1.ReasonInvalidHook},
		"wrong hooks of one pod, Fail before": {app: all(hold, podOn("a", "data"), podOn("b", "log")), change: func(a *Application) { a.Annotations["b"] = goingOn(notes{"lull.dev/quiesce": "oracle"}) }, reason: v1alpha1.ReasonUnknownRecipe},
	} {
		t.Run(name, func(t *testing.T) {
			if c.change != nil {
				c.change(&c.app)
			}
			p, err := PlanApplication(c.app)
			if c.reason != "" {
				if problem := (*v1alpha1.Problem)(nil); !errors.As(err, &problem) || problem.Reason != c.reason {
					t.Fatalf("got %v, want a problem %s", err, c.reason)
				}
				return
			}
			var targets []string
			for _, target := range p.Targets {
				targets = append(targets, target.Pod)
			}
			if err != nil || p.Method != c.method || strings.Join(targets, " ") != c.targets || p.Timeout != c.timeout {
				t.Errorf("got %s of %v within %s, %v", p.Method, targets, p.Timeout, err)
			}
			if (p.Uncovered == "") != (c.uncovered == "") || !strings.Contains(p.Uncovered, c.uncovered) {
				t.Errorf("uncovered: %q, want %q", p.Uncovered, c.uncovered)
			}
			if !slices.ContainsFunc(p.Warnings, func(w Warning) bool { return strings.Contains(w.Message, c.warns) }) && c.warns != "" {
				t.Errorf("warnings: %v, want %q", p.Warnings, c.warns)
			}
		})
	}
}

// Who may write a template decides how long its commands are, and how many pods it
// has: too much is refused before a session is begun.
func TestTooMuchIsRefused(t *testing.T) {
	many := Application{Annotations: map[types.UID]map[string]string{}, Claims: []string{"data"}, IsOne: true, CutTimeout: time.Hour}
	for i := range limits.Pods + 1 {
		pod := podOn(fmt.Sprintf("pod-%03d", i), "data")
		many.Pods = append(many.Pods, pod)
		many.Annotations[pod.UID] = map[string]string{"lull.dev/hold-hook": "h"}
	}
	long := func(annotations map[string]string) Application {
		pod := podOn("a", "data")
		return Application{Pods: []corev1.Pod{pod}, Annotations: map[types.UID]map[string]string{pod.UID: annotations}, Claims: []string{"data"}, IsOne: true, CutTimeout: time.Hour}
	}
	script := strings.Repeat("x", 200<<10)
	each := Application{Annotations: map[types.UID]map[string]string{}, Claims: []string{"data"}, IsOne: true, CutTimeout: time.Hour}
	for i := range 20 {
		pod := podOn(fmt.Sprintf("pod-%03d", i), "data")
		each.Pods = append(each.Pods, pod)
		each.Annotations[pod.UID] = map[string]string{"lull.dev/hold-hook": fmt.Sprint(i) + script[:60<<10]}
	}
	for name, c := range map[string]struct {
		app  Application
		says string
	}{
		"pods":        {many, "more than 100 pods"},
		"all holds":   {each, "the hooks of all pods have 1201 KiB"},
		"a hold":      {long(map[string]string{"lull.dev/hold-hook": script}), "the hold has 204809 bytes"},
		"a pre-hook":  {long(map[string]string{"lull.dev/pre-hook": script, "lull.dev/post-hook": "b"}), "the pre-hook has 204809 bytes"},
		"a post-hook": {long(map[string]string{"lull.dev/pre-hook": "a", "lull.dev/post-hook": script}), "the post-hook has 204809 bytes"},
		"Velero's":    {long(map[string]string{"pre.hook.backup.velero.io/command": script}), "the pre-hook has 204800 bytes"},
	} {
		_, err := PlanApplication(c.app)
		var problem *v1alpha1.Problem
		if !errors.As(err, &problem) || problem.Reason != v1alpha1.ReasonLimitExceeded || !strings.Contains(problem.Message, c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		c.app.Spec = &v1alpha1.QuiesceSpec{OnFailure: v1alpha1.OnFailureContinue}
		if p, err := PlanApplication(c.app); err != nil || len(p.Targets) > 0 || !strings.Contains(p.Uncovered, c.says) {
			t.Errorf("%s, where a backup is wanted all the same: %v, %q", name, err, p.Uncovered)
		}
	}
	for uid := range each.Annotations {
		each.Annotations[uid] = each.Annotations[each.Pods[0].UID]
	}
	if p, err := PlanApplication(each); err != nil || len(p.Targets) != len(each.Pods) {
		t.Errorf("what all pods say counts once: %d, %v", len(p.Targets), err)
	}
	many.Pods = many.Pods[1:]
	if p, err := PlanApplication(many); err != nil || len(p.Targets) != limits.Pods {
		t.Errorf("as many pods as may be: %d, %v", len(p.Targets), err)
	}
}

func onlyOnePod(a *Application) { a.Spec = &v1alpha1.QuiesceSpec{Pods: v1alpha1.PodsOne} }

func TestCheckContainers(t *testing.T) {
	pod := podOn("a", "data")
	target, err := QuiescePlan{Method: v1alpha1.MethodHold, Hold: Command{Args: []string{"h"}}}.ForPod(&pod, []string{"data"})
	if err != nil {
		t.Fatal(err)
	}
	again := podOn("a", "data", func(p *corev1.Pod) { p.Status.ContainerStatuses[0].ContainerID = "2" })
	for name, c := range map[string]struct {
		pods []corev1.Pod
		good bool
	}{
		"as it was":         {[]corev1.Pod{pod}, true},
		"gone":              {nil, true},
		"another, its name": {[]corev1.Pod{podOn("a", "data", func(p *corev1.Pod) { p.UID = "other" })}, true},
		"started anew":      {[]corev1.Pod{again}, false},
	} {
		if err := CheckContainers([]Target{target}, c.pods); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
