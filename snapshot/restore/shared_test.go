package restore

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// besides has another workload in the namespace that mounts the claims; its pod
// runs where it has one.
func besides(obj workload.Object, pod string) func(*Input) {
	return func(in *Input) {
		obj.SetName("worker")
		obj.SetUID(types.UID("uid-of-worker"))
		w := workload.Of(obj, nil)
		w.Template, w.Owners = templateOf("data"), []types.UID{obj.GetUID()}
		in.Others = append(in.Others, *w)
		if pod != "" {
			p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: pod}, Spec: aPodSpec("n", "data")}
			p.OwnerReferences = []metav1.OwnerReference{{UID: obj.GetUID(), Controller: ptr.To(true)}}
			in.Pods = append(in.Pods, p)
		}
	}
}

func TestAClaimThatIsShared(t *testing.T) {
	by := func(strategy v1alpha1.RestoreStrategy, changes ...func(*Input)) func(*Input) {
		return func(in *Input) {
			in.Restore.Spec.Target.Strategy = strategy
			for _, change := range changes {
				change(in)
			}
		}
	}
	bare := func(in *Input) {
		in.Pods = append(in.Pods, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "debug"}, Spec: aPodSpec("", "data")})
	}
	mountCheck := func(in *Input) {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "check"}, Spec: aPodSpec("n", "data")}
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "VolumeRestore", Controller: ptr.To(true)}}
		in.Pods = append(in.Pods, p)
	}
	ofOther := func(in *Input) {
		besides(&appsv1.Deployment{}, "")(in)
		in.Others[0].Template = templateOf("other")
	}
	itself := func(in *Input) { in.Others = append(in.Others, *in.Workload) }
	const auto, repoint, replace = v1alpha1.StrategyAuto, v1alpha1.StrategyRepoint, v1alpha1.StrategyReplace
	for name, c := range map[string]struct {
		change func(*Input)
		want   v1alpha1.RestoreStrategy
		// says is in the reason of the strategy, or in the refusal where refuses is
		// true.
		says    string
		refuses bool
	}{
		"by nobody":                        {by(auto, ofOther, itself, mountCheck), repoint, "no other tool manages it", false},
		"Auto, the other runs":             {by(auto, besides(&appsv1.Deployment{}, "worker-1")), "", "while Deployment worker (pod worker-1), of another application, uses it: stop what uses it first (kubectl scale deployment/worker --replicas=0)", true},
		"Auto says how to do it anyway":    {by(auto, besides(&appsv1.Deployment{}, "worker-1")), "", "or strategy Repoint to move Deployment mysql alone", true},
		"Auto, a Job runs":                 {by(auto, besides(&batchv1.Job{}, "worker-1")), "", `kubectl patch job/worker --type=merge -p '{"spec":{"suspend":true}}'`, true},
		"Auto, a DaemonSet":                {by(auto, besides(&appsv1.DaemonSet{}, "worker-1")), "", "stop what uses it first, and start it again", true},
		"Auto, a pod that isn't scheduled": {by(auto, bare), "", "kubectl delete pod debug", true},
		"Auto, two of them":                {by(auto, besides(&appsv1.Deployment{}, "worker-1"), bare), "", "while Deployment worker (pod worker-1), pod debug", true},
		"Auto, the other is stopped":       {by(auto, besides(&appsv1.Deployment{}, "")), replace, "Deployment worker mounts claim data too, and would stay", false},
		"Auto, a CronJob between runs":     {by(auto, besides(&batchv1.CronJob{}, "")), replace, "CronJob worker mounts claim data too", false},
		"Repoint by name":                  {by(repoint, besides(&appsv1.Deployment{}, "worker-1")), repoint, "asked for, although Deployment worker (pod worker-1) mounts claim data too, and stays on the previous volume", false},
		"Replace, the other runs":          {by(replace, besides(&appsv1.StatefulSet{}, "worker-0")), "", "StatefulSet worker (pod worker-0)", true},
		"Replace, the other is stopped":    {by(replace, besides(&appsv1.StatefulSet{}, "")), replace, "asked for", false},
		"ClaimsOnly":                       {by(v1alpha1.StrategyClaimsOnly, besides(&appsv1.Deployment{}, "worker-1")), v1alpha1.StrategyClaimsOnly, "asked for", false},
	} {
		t.Run(name, func(t *testing.T) {
			in := aRestorable(c.change)
			res, err := Resolve(in)
			if c.refuses {
				if reasonOf(err) != v1alpha1.ReasonClaimInUse || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || res.Strategy != c.want || !strings.Contains(res.Reason, c.says) {
				t.Fatalf("got %+v, %v", res, err)
			}
			warns := slices.ContainsFunc(res.Warnings, func(w Warning) bool { return w.Reason == v1alpha1.ReasonClaimShared })
			if warns != (name == "Repoint by name") {
				t.Errorf("warns: %+v", res.Warnings)
			}
		})
	}
}

// Another's pod comes after Repoint was chosen.
func TestAClaimThatComesToBeShared(t *testing.T) {
	comes := func(s *State) {
		s.Others = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "report"}, Spec: aPodSpec("n", "data")}}
	}
	s := aRepointing(nil)
	if p := (repoint{}).checkSwap(s); p != nil {
		t.Errorf("nobody came: %v", p)
	}
	comes(s)
	if p := (repoint{}).checkSwap(s); p == nil || p.Reason != v1alpha1.ReasonClaimInUse || !strings.Contains(p.Message, "pod report") {
		t.Errorf("before the stop: %v", p)
	}
	s.Restore.Spec.Target.Strategy = v1alpha1.StrategyRepoint
	if p := (repoint{}).checkSwap(s); p != nil {
		t.Errorf("asked for by name: %v", p)
	}
	s.Restore.Spec.Target.Strategy = v1alpha1.StrategyAuto
	setTrue(&s.Restore.Status, v1alpha1.ConditionSwapped)
	if p := (repoint{}).checkSwap(s); p != nil {
		t.Errorf("before a way back, whoever looks into the previous claim: %v", p)
	}
}

func TestMakes(t *testing.T) {
	ended := &batchv1.Job{}
	ended.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	owned := &appsv1.ReplicaSet{}
	owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "d", Controller: ptr.To(true)}}
	ofAnOperator := &appsv1.StatefulSet{ObjectMeta: owned.ObjectMeta}
	for name, c := range map[string]struct {
		obj  workload.Object
		want bool
	}{
		"a StatefulSet of a Deployment": {ofAnOperator, true},
		"a Job":                         {&batchv1.Job{}, true},
		"a Job that has ended":          {ended, false},
		"a ReplicaSet of a Deployment":  {owned, false},
		"a ReplicaSet":                  {&appsv1.ReplicaSet{}, true},
		"a CronJob":                     {&batchv1.CronJob{}, true},
	} {
		if got := workload.Of(c.obj, nil).Makes(); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
