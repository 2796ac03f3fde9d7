package snapshot

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// aReplacement is a restore by Replace that has proven its claims, and what is
// there of it: the application runs on pv-old.
func aReplacement(change func(*v1alpha1.VolumeRestoreStatus, *RestoreObserved)) (*v1alpha1.VolumeRestore, RestoreObserved) {
	r := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Name: "r", UID: "r-uid"}}
	r.Status = v1alpha1.VolumeRestoreStatus{
		Strategy: v1alpha1.StrategyReplace, Source: "b", Application: &v1alpha1.ApplicationReference{Kind: "StatefulSet", Name: "db"},
		Claims: []v1alpha1.RestoredClaim{{
			ClaimName: "data", PreviousClaim: "data", RestoredClaim: "data", TemporaryClaim: "t",
			PreviousVolume: "pv-old", RestoredVolume: "pv-new", PreviousPolicy: "Delete", RestoredPolicy: "Delete",
		}},
	}
	setTrue(&r.Status, v1alpha1.ConditionClaimsReady)
	o := RestoreObserved{
		Workload: &Workload{Replicas: 1},
		Pods:     []corev1.Pod{{}},
		Claims:   map[string]*corev1.PersistentVolumeClaim{"data": aClaim("data", "pv-old", "1Gi"), "t": aClaim("t", "pv-new", "1Gi")},
		Volumes:  map[string]*corev1.PersistentVolume{"pv-old": aVolume("data", "Delete"), "pv-new": aVolume("t", "Delete")},
	}
	if change != nil {
		change(&r.Status, &o)
	}
	return r, o
}

func aVolume(claim string, policy corev1.PersistentVolumeReclaimPolicy) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{}
	v.Spec.PersistentVolumeReclaimPolicy = policy
	v.Spec.ClaimRef = &corev1.ObjectReference{Name: claim, UID: "uid-of-claim"}
	return v
}

func setTrue(s *v1alpha1.VolumeRestoreStatus, kind string) {
	meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: "x"})
}

func TestNextRestoreStep(t *testing.T) {
	type status = *v1alpha1.VolumeRestoreStatus
	now := ptr.To(metav1.NowMicro())
	kept := func(o *RestoreObserved) {
		for _, v := range o.Volumes {
			v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		}
		o.Volumes["pv-old"].Labels = map[string]string{v1alpha1.LabelPrevious: "true"}
	}
	ready := func(o *RestoreObserved) {
		kept(o)
		delete(o.Claims, "t")
		o.Volumes["pv-new"].Spec.ClaimRef = &corev1.ObjectReference{Name: "data"}
	}
	down := func(s status, o *RestoreObserved) {
		ready(o)
		s.ScaledDownAt, s.Replicas, o.Workload.Replicas, o.Pods = now, ptr.To[int32](1), 0, nil
	}
	swapped := func(s status, o *RestoreObserved) {
		down(s, o)
		setTrue(s, v1alpha1.ConditionSwapped)
		o.Claims["data"].Spec.VolumeName = "pv-new"
	}
	back := func(s status) { s.RollBack = &v1alpha1.RollBackStatus{} }
	pastLater := func(s status, o *RestoreObserved) { // a later restore has repointed it since
		swapped(s, o)
		back(s)
		s.Strategy, s.Claims[0].RestoredClaim, s.Claims[0].TemporaryClaim, s.Claims[0].TemplateVolumes = v1alpha1.StrategyRepoint, "new", "", []string{"v-later"}
		o.Workload.Replicas, o.Workload.Template = 1, templateOf("later")
		o.Claims["later"], o.Volumes["pv-later"] = aClaim("later", "pv-later", "1Gi"), aVolume("later", "Delete")
	}
	for name, c := range map[string]struct {
		change func(status, *RestoreObserved)
		want   RestoreStep
	}{
		"new":                     {func(s status, o *RestoreObserved) { s.Conditions = nil; delete(o.Claims, "t") }, StepMakeClaims},
		"claims that aren't ours": {func(s status, _ *RestoreObserved) { s.Conditions = nil }, StepMakeClaims},
		"made": {func(s status, o *RestoreObserved) {
			s.Conditions = nil
			o.Claims["t"].Labels = map[string]string{v1alpha1.LabelRestoreUID: "r-uid"}
		}, StepProveClaims},
		"proven, the pod is there": {func(_ status, o *RestoreObserved) { o.Proofs = map[string]*corev1.Pod{"p": {}} }, StepEndProof},
		"proven":                   {nil, StepKeepVolumes},
		"one volume kept of two": {func(_ status, o *RestoreObserved) {
			kept(o)
			o.Volumes["pv-new"].Spec.PersistentVolumeReclaimPolicy = "Delete"
		}, StepKeepVolumes},
		"kept":                           {func(_ status, o *RestoreObserved) { kept(o) }, StepReserveVolumes},
		"the temporary claim is left":    {func(_ status, o *RestoreObserved) { ready(o); o.Claims["t"] = aClaim("t", "pv-new", "1Gi") }, StepReserveVolumes},
		"reserved":                       {func(_ status, o *RestoreObserved) { ready(o) }, StepScaleDown},
		"at zero before it was written":  {func(_ status, o *RestoreObserved) { ready(o); o.Workload.Replicas = 0 }, StepScaleDown},
		"written, not yet told":          {func(s status, o *RestoreObserved) { ready(o); s.ScaledDownAt = now }, StepScaleDown},
		"told, its pods are there":       {func(s status, o *RestoreObserved) { down(s, o); o.Pods = []corev1.Pod{{}} }, StepAwaitGone},
		"down":                           {down, StepSwap},
		"scaled up by another meanwhile": {func(s status, o *RestoreObserved) { down(s, o); o.Workload.Replicas = 1 }, StepScaleDown},
		"a volume may go meanwhile": {func(s status, o *RestoreObserved) {
			down(s, o)
			o.Volumes["pv-old"].Spec.PersistentVolumeReclaimPolicy = "Delete"
		}, StepKeepVolumes},
		"swapped":                   {swapped, StepScaleUp},
		"up, written only":          {func(s status, o *RestoreObserved) { swapped(s, o); s.ScaledUpAt = now }, StepScaleUp},
		"up":                        {func(s status, o *RestoreObserved) { swapped(s, o); s.ScaledUpAt = now; o.Workload.Replicas = 1 }, StepAwaitStart},
		"up, an autoscaler goes on": {func(s status, o *RestoreObserved) { swapped(s, o); s.ScaledUpAt = now; o.Workload.Replicas = 4 }, StepAwaitStart},
		"ready":                     {func(s status, o *RestoreObserved) { swapped(s, o); setTrue(s, v1alpha1.ConditionApplicationReady) }, StepRelease},
		"released": {func(s status, o *RestoreObserved) {
			swapped(s, o)
			setTrue(s, v1alpha1.ConditionApplicationReady)
			o.Volumes["pv-new"].Spec.PersistentVolumeReclaimPolicy = "Delete"
		}, StepFinish},

		"back before anything was stopped":         {func(s status, o *RestoreObserved) { ready(o); back(s) }, StepDiscard},
		"back before the swap":                     {func(s status, o *RestoreObserved) { down(s, o); back(s) }, StepScaleUp},
		"back before the swap, its pods are there": {func(s status, o *RestoreObserved) { down(s, o); back(s); o.Pods = []corev1.Pod{{}} }, StepAwaitGone},
		"back before the swap because they hang": {func(s status, o *RestoreObserved) {
			down(s, o)
			back(s)
			s.RollBack.Reason, o.Pods = v1alpha1.ReasonPodsRemain, []corev1.Pod{{}}
		}, StepScaleUp},
		"back before the swap, waited for long enough": {func(s status, o *RestoreObserved) {
			down(s, o)
			back(s)
			s.RollBack.ScaledUpAt, o.Pods = now, []corev1.Pod{{}}
		}, StepScaleUp},
		"back before it was told to stop": {func(s status, o *RestoreObserved) {
			ready(o)
			back(s)
			s.ScaledDownAt, s.Replicas = now, ptr.To[int32](1)
		}, StepScaleUp},
		"back after the swap, its pods are there": {func(s status, o *RestoreObserved) {
			swapped(s, o)
			back(s)
			s.RollBack.ScaledDownAt, o.Pods = now, []corev1.Pod{{}}
		}, StepAwaitGone},
		"back after the swap": {func(s status, o *RestoreObserved) { swapped(s, o); back(s); o.Workload.Replicas = 1 }, StepScaleDown},
		"back while it lets volumes go": {func(s status, o *RestoreObserved) {
			swapped(s, o)
			back(s)
			o.Volumes["pv-new"].Spec.PersistentVolumeReclaimPolicy = "Delete"
		}, StepKeepVolumes},
		"back, past a later restore": {pastLater, StepKeepVolumes},
		"back, past a later restore whose volume is kept": {func(s status, o *RestoreObserved) {
			pastLater(s, o)
			o.Volumes["pv-later"].Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		}, StepScaleDown},
		"back, down": {func(s status, o *RestoreObserved) { swapped(s, o); back(s); s.RollBack.ScaledDownAt = now }, StepSwapBack},
		"back, up": {func(s status, o *RestoreObserved) {
			down(s, o)
			back(s)
			s.RollBack.ScaledUpAt = now
			o.Workload.Replicas = 1
		}, StepAwaitStart},
		"back, its application is gone": {func(s status, o *RestoreObserved) { down(s, o); back(s); o.Workload = nil; s.RollBack.ReadyAt = now }, StepDiscard},
	} {
		t.Run(name, func(t *testing.T) {
			r, o := aReplacement(c.change)
			if got := NextRestoreStep(r, o); got.Step != c.want {
				t.Errorf("got %s (%s), want %s", got.Step, got.What, c.want)
			}
		})
	}
}

func TestLostClaims(t *testing.T) {
	type status = *v1alpha1.VolumeRestoreStatus
	now := ptr.To(metav1.Now())
	repoint := func(s status, o *RestoreObserved) {
		s.Strategy, s.Claims[0].TemporaryClaim, s.Claims[0].RestoredClaim = v1alpha1.StrategyRepoint, "", "new"
		o.Claims["new"] = aClaim("new", "pv-new", "1Gi")
		delete(o.Claims, "t")
	}
	for name, c := range map[string]struct {
		change func(status, *RestoreObserved)
		lost   bool
	}{
		"all there":                         {nil, false},
		"all there, repoint":                {repoint, false},
		"the volume":                        {func(_ status, o *RestoreObserved) { delete(o.Volumes, "pv-new") }, true},
		"the volume is going":               {func(_ status, o *RestoreObserved) { o.Volumes["pv-new"].DeletionTimestamp = now }, true},
		"the claim, repoint":                {func(s status, o *RestoreObserved) { repoint(s, o); delete(o.Claims, "new") }, true},
		"the claim is another one, repoint": {func(s status, o *RestoreObserved) { repoint(s, o); o.Claims["new"].Spec.VolumeName = "pv-other" }, true},
		"the temporary claim before its volume is retained": {func(_ status, o *RestoreObserved) { delete(o.Claims, "t") }, true},
		"the temporary claim afterwards": {func(_ status, o *RestoreObserved) {
			delete(o.Claims, "t")
			o.Volumes["pv-new"].Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		}, false},
		"not proven yet":  {func(s status, o *RestoreObserved) { s.Conditions = nil; delete(o.Volumes, "pv-new") }, false},
		"swapped already": {func(s status, o *RestoreObserved) { setTrue(s, v1alpha1.ConditionSwapped); delete(o.Claims, "t") }, false},
		"on its way back": {func(s status, o *RestoreObserved) {
			s.RollBack = &v1alpha1.RollBackStatus{}
			delete(o.Volumes, "pv-new")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, o := aReplacement(c.change)
			if got := LostClaims(r, o); (got != "") != c.lost {
				t.Errorf("got %q", got)
			}
		})
	}
}

// aRepointing is a restore by Repoint of an application that mounts data, and
// whose new claim is there.
func aRepointing(change func(*v1alpha1.VolumeRestore, *RestoreObserved)) (*v1alpha1.VolumeRestore, RestoreObserved) {
	r, o := aReplacement(func(s *v1alpha1.VolumeRestoreStatus, o *RestoreObserved) {
		s.Strategy, s.Application = v1alpha1.StrategyRepoint, &v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "db"}
		s.Claims[0].TemporaryClaim, s.Claims[0].RestoredClaim, s.Claims[0].TemplateVolumes = "", "new", []string{"v-data"}
		o.Workload.Template = templateOf("data")
		o.Claims["new"] = aClaim("new", "pv-new", "1Gi")
		delete(o.Claims, "t")
	})
	if change != nil {
		change(r, &o)
	}
	return r, o
}

// leads has the volumes of the template, by name and claim.
func leads(o *RestoreObserved, volumes ...[2]string) {
	o.Workload.Template = templateOf()
	for _, v := range volumes {
		one := templateOf(v[1])
		one.Spec.Volumes[0].Name = v[0]
		o.Workload.Template.Spec.Volumes = append(o.Workload.Template.Spec.Volumes, one.Spec.Volumes...)
	}
}

func TestWhatTheTemplateMounts(t *testing.T) {
	now := ptr.To(metav1.NowMicro())
	const volume = "v-data"
	for name, c := range map[string]struct {
		volumes                   [][2]string
		stopped                   bool
		lost, previous, used, old bool
	}{
		"as it was":                     {volumes: [][2]string{{volume, "data"}}, previous: true, old: true},
		"repointed":                     {volumes: [][2]string{{volume, "new"}}, stopped: true, used: true},
		"repointed before it was time":  {volumes: [][2]string{{volume, "new"}}, lost: true, used: true},
		"renamed":                       {volumes: [][2]string{{"renamed", "data"}}, lost: true, previous: true, old: true},
		"renamed while it was stopped":  {volumes: [][2]string{{"renamed", "data"}}, stopped: true, lost: true, previous: true, old: true},
		"renamed after it was led":      {volumes: [][2]string{{"renamed", "new"}}, stopped: true, lost: true, used: true},
		"taken out":                     {lost: true, previous: true},
		"pointed elsewhere":             {volumes: [][2]string{{volume, "other"}}, lost: true},
		"repointed, the old one beside": {volumes: [][2]string{{volume, "new"}, {"old", "data"}}, stopped: true, used: true, old: true},
	} {
		t.Run(name, func(t *testing.T) {
			r, o := aRepointing(func(r *v1alpha1.VolumeRestore, o *RestoreObserved) {
				leads(o, c.volumes...)
				if c.stopped {
					r.Status.ScaledDownAt = now
				}
			})
			claim := &r.Status.Claims[0]
			if got := LostMounts(r, o); (got != "") != c.lost {
				t.Errorf("lost: got %q", got)
			}
			if got := OnPrevious(r, claim, o); got != c.previous {
				t.Errorf("on the previous claim: got %v", got)
			}
			if got := InUse(r, claim, o); got != c.used {
				t.Errorf("the new claim is used: got %v", got)
			}
			if got := StillMounted(r, claim, o); (got != "") != c.old {
				t.Errorf("the previous claim is mounted: got %q", got)
			}
		})
	}
}

func TestAPreviousClaimIsKeptWhileAPodMountsIt(t *testing.T) {
	for name, c := range map[string]struct {
		pod  func(*corev1.Pod)
		kept bool
	}{
		"running":           {func(p *corev1.Pod) { p.Spec.NodeName = "n" }, true},
		"without a node":    {func(*corev1.Pod) {}, true},
		"finished":          {func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, false},
		"of another volume": {func(p *corev1.Pod) { p.Spec = templateOf("files").Spec }, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, o := aRepointing(func(r *v1alpha1.VolumeRestore, o *RestoreObserved) {
				r.Spec.PreviousClaims = v1alpha1.PreviousDelete
				leads(o, [2]string{"v-data", "new"})
				setTrue(&r.Status, v1alpha1.ConditionSwapped)
				setTrue(&r.Status, v1alpha1.ConditionApplicationReady)
				other := corev1.Pod{Spec: templateOf("data").Spec}
				c.pod(&other)
				o.Others = []corev1.Pod{other}
			})
			if next := NextRestoreStep(r, o).Step; (next == StepFinish) != c.kept {
				t.Errorf("got %s", next)
			}
		})
	}
}

func TestPlanStopsNothingBeforeTheNewVolumesAreThere(t *testing.T) {
	for _, strategy := range []v1alpha1.RestoreStrategy{v1alpha1.StrategyRepoint, v1alpha1.StrategyReplace} {
		r, o := aReplacement(nil)
		r.Status.Strategy = strategy
		var steps []RestoreStep
		for _, s := range PlanRestore(r, o) {
			steps = append(steps, s.Step)
		}
		stop, swap := slices.Index(steps, StepScaleDown), slices.Index(steps, StepSwap)
		for _, before := range []RestoreStep{StepMakeClaims, StepProveClaims, StepEndProof, StepKeepVolumes} {
			if i := slices.Index(steps, before); i < 0 || i > stop {
				t.Errorf("%s: %s has to come before the application is stopped: %v", strategy, before, steps)
			}
		}
		if gone := slices.Index(steps, StepAwaitGone); gone < stop || gone > swap {
			t.Errorf("%s: nothing is swapped while a pod is there: %v", strategy, steps)
		}
	}
	r, o := aReplacement(nil)
	r.Status.Strategy = v1alpha1.StrategyClaimsOnly
	if next := NextRestoreStep(r, o); next.Step != StepFinish {
		t.Errorf("claims only: got %s", next.Step)
	}
}
