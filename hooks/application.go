package hooks

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
	"github.com/lull-dev/lull/snapshot/workload"
)

// Application is all that says how an application is to be quieted.
type Application struct {
	// Spec is that of the backup, nil where it says nothing.
	Spec *v1alpha1.QuiesceSpec
	// Template are the annotations of the application's pod template, nil where
	// there is none that we know.
	Template map[string]string
	// Pods of the application that mount a claim, and the annotations that speak
	// for each, by the pods' UIDs.
	Pods        []corev1.Pod
	Annotations map[types.UID]map[string]string
	// Unread are annotations that don't count, by what carries them, such as
	// "Deployment db".
	Unread map[string]map[string]string
	// Others are the other pods of the namespace.
	Others []corev1.Pod
	// Claims that are backed up.
	Claims []string
	// IsOne is false where the pods only share a claim, and may be of several
	// applications.
	IsOne bool
	// CutTimeout is how long the cut may take of an application that isn't
	// frozen.
	CutTimeout time.Duration
	// Limits of what is asked for.
	Limits Limits
}

// ApplicationPlan is how all of an application is quieted in one attempt.
type ApplicationPlan struct {
	// Method is Hold, Hooks, Idle or None.
	Method  v1alpha1.QuiesceMethod
	Targets []Target
	// Timeout is the longest that the application may stay frozen or, where it
	// isn't, that the cut may take.
	Timeout   time.Duration
	OnFailure v1alpha1.OnFailure
	Warnings  []Warning
	// Uncovered says who writes to the volumes without being quieted, or why
	// nobody is quieted. It is empty where all are.
	Uncovered string
	// Writing are the claims that go on being written to while only the commits
	// of their pods are held, by the names of the pods.
	Writing map[string][]string
}

// PlanApplication merges what the spec, the pods' templates and the pods
// themselves say. It is a pure function of what was read. Errors are Problems.
func PlanApplication(app Application) (ApplicationPlan, error) {
	p := ApplicationPlan{}
	p.warn(misplaced(app.Unread, append(slices.Collect(maps.Values(app.Annotations)), app.Template)))
	if len(app.Pods) == 0 {
		return p.unmounted(app)
	}
	return p.quieted(app)
}

// unmounted is the plan where no pod of the application mounts the claims. What
// is wrong with its hooks is told at once, and not on the day when a pod runs.
func (p ApplicationPlan) unmounted(app Application) (ApplicationPlan, error) {
	p = p.idleUnlessWritten(app)
	quiesce, err := Resolve(app.Spec, app.Template, app.Limits)
	p.OnFailure = quiesce.OnFailure
	p.warn(quiesce.Warnings)
	if err != nil && p.OnFailure == v1alpha1.OnFailureContinue {
		p.warn(unused(err))
		return p, nil
	}
	return p, err
}

// idleUnlessWritten is the plan where nobody is asked to be quiet: what nobody can
// write to is idle, whoever reads it.
func (p ApplicationPlan) idleUnlessWritten(app Application) ApplicationPlan {
	p.Method, p.Timeout, p.Uncovered = v1alpha1.MethodIdle, app.CutTimeout, uncovered(app, app.Pods, nil, false)
	if p.Uncovered != "" {
		p.Method = v1alpha1.MethodNone
	}
	return p
}

// quieted is the plan where pods mount the claims. Those that are ready come
// first: one of them stands for the others, where one is to.
func (p ApplicationPlan) quieted(app Application) (ApplicationPlan, error) {
	pods := slices.Clone(app.Pods)
	slices.SortFunc(pods, readyFirst)
	one := false
	for i := range pods {
		quiesce, err := Resolve(app.Spec, app.Annotations[pods[i].UID], app.Limits)
		p.mergeOnFailure(quiesce)
		if err == nil {
			p.merge(quiesce)
			one = one || quiesce.Pods == v1alpha1.PodsOne
			err = p.add(quiesce, &pods[i], app.Claims)
		}
		if err != nil {
			return p.unlessContinue(err, app.CutTimeout)
		}
	}
	if p.Method == v1alpha1.MethodNone {
		if p = p.idleUnlessWritten(app); p.Uncovered != "" {
			p.Uncovered = notAsked(p.Warnings)
		}
		return p, nil
	}
	if problem := limits.Commands(Words(p.Targets)); problem != nil {
		return p.unlessContinue(problem, app.CutTimeout)
	}
	p.Uncovered = uncovered(app, pods, p.Targets, one)
	p.Writing = stillWritten(app, pods, p.Targets)
	return p, nil
}

// mergeOnFailure takes over what the plan of one pod says of all: of several ways
// on the safe one counts.
func (p *ApplicationPlan) mergeOnFailure(q QuiescePlan) {
	quiets := q.Method != v1alpha1.MethodNone
	if len(p.Targets) == 0 || quiets && q.OnFailure == v1alpha1.OnFailureFail {
		p.OnFailure = q.OnFailure
	}
}

// merge does the same with its method and timeout: of several timeouts the
// shortest counts.
func (p *ApplicationPlan) merge(q QuiescePlan) {
	if p.Method == "" || p.Method == v1alpha1.MethodNone {
		p.Method, p.Timeout = q.Method, q.Timeout
	}
	p.warn(q.Warnings)
}

// add adds one pod to the targets, where it is to be quieted.
func (p *ApplicationPlan) add(q QuiescePlan, pod *corev1.Pod, claims []string) error {
	if q.Method == v1alpha1.MethodNone || q.Pods == v1alpha1.PodsOne && len(p.Targets) > 0 {
		return nil
	}
	if pod.Status.Phase != corev1.PodRunning || !pod.DeletionTimestamp.IsZero() {
		return v1alpha1.PassingProblemf(v1alpha1.ReasonPodNotRunning,
			"pod %s mounts a volume of the application and is %s: its hooks can't run until it runs, or is gone. A backup with onFailure: Continue is taken without them", pod.Name, podState(pod))
	}
	target, err := q.ForPod(pod, claims)
	if err != nil {
		return err
	}
	if problem := limits.Quieted(len(p.Targets) + 1); problem != nil {
		return problem
	}
	p.warn(target.Elsewhere(pod, claims))
	p.Targets = append(p.Targets, target)
	if q.Method == v1alpha1.MethodHooks {
		p.Method = v1alpha1.MethodHooks
	}
	p.Timeout = min(p.Timeout, q.Timeout)
	return nil
}

// warn keeps each warning once: most pods are of one template. There are no more than
// a status has room for.
func (p *ApplicationPlan) warn(warnings []Warning) {
	for _, w := range warnings {
		if len(p.Warnings) < limits.Warnings && !slices.Contains(p.Warnings, w) {
			p.Warnings = append(p.Warnings, w)
		}
	}
}

// unlessContinue is a plan without quiet in the place of a Problem why pods can't
// be quieted, where the owner asked for a backup all the same: also where it is
// for a person to mend, as wrong hooks are. Otherwise it is the plan with the
// error.
func (p ApplicationPlan) unlessContinue(err error, cutTimeout time.Duration) (ApplicationPlan, error) {
	var problem *v1alpha1.Problem
	if p.OnFailure != v1alpha1.OnFailureContinue || !errors.As(err, &problem) {
		return p, err
	}
	return p.Unquieted(problem.Message, cutTimeout), nil
}

// Unquieted is the plan without its quiet, and why.
func (p ApplicationPlan) Unquieted(why string, cutTimeout time.Duration) ApplicationPlan {
	p.Method, p.Targets, p.Timeout, p.Uncovered = v1alpha1.MethodNone, nil, cutTimeout, why
	return p
}

// Unpaired says why the hooks of the plan are nobody's word, empty where they
// are.
func (p ApplicationPlan) Unpaired() string {
	for _, t := range p.Targets {
		if why := t.Unpaired(); why != "" {
			return why
		}
	}
	return ""
}

// readyFirst orders pods so that the first is one that is ready, by name.
func readyFirst(a, b corev1.Pod) int {
	rank := func(p *corev1.Pod) int {
		if workload.IsReady(p) {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(a.Name, b.Name))
}

func podState(p *corev1.Pod) string {
	if !p.DeletionTimestamp.IsZero() {
		return "being deleted"
	}
	return string(p.Status.Phase)
}

// uncovered names a pod that writes to the claims without being quieted. Where
// one pod is to stand for the others it does so for those of the same
// application, and only for claims that it mounts itself.
func uncovered(app Application, pods []corev1.Pod, targets []Target, one bool) string {
	for i := range pods {
		rest := app.Claims
		for j := range pods {
			t := targetOf(targets, &pods[j])
			if t != nil && (i == j || one && t.Recipe == "" && app.standsFor(&pods[j], &pods[i])) {
				mounted := workload.ClaimsOf(&pods[j])
				rest = slices.DeleteFunc(slices.Clone(rest), func(c string) bool { return slices.Contains(mounted, c) })
			}
		}
		if workload.Writes(&pods[i], rest...) {
			return fmt.Sprintf("pod %s writes to the volumes and was not quieted", pods[i].Name)
		}
	}
	for i := range app.Others {
		if workload.Writes(&app.Others[i], app.Claims...) {
			return fmt.Sprintf("pod %s, of another application, writes to the volumes and was not quieted", app.Others[i].Name)
		}
	}
	return ""
}

// targetOf is the target that a pod is, nil where it is none.
func targetOf(targets []Target, p *corev1.Pod) *Target {
	i := slices.IndexFunc(targets, func(t Target) bool { return t.UID == p.UID })
	if i < 0 {
		return nil
	}
	return &targets[i]
}

// standsFor is true for pods of one application. A recipe holds the server of
// its own pod, whatever its owner thinks of the others: it never stands for them.
func (app Application) standsFor(one, other *corev1.Pod) bool {
	a, b := metav1.GetControllerOfNoCopy(one), metav1.GetControllerOfNoCopy(other)
	return app.IsOne || a != nil && b != nil && a.UID == b.UID
}
