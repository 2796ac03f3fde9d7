package restore

import (
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// aReplacement is a restore by Replace whose new claims mount, and what is there
// of it: the application runs on pv-old.
func aReplacement(change func(*v1alpha1.VolumeRestoreStatus, *Observed)) *State {
	r := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Name: "r", UID: "r-uid"}}
	r.Status = v1alpha1.VolumeRestoreStatus{
		Strategy: v1alpha1.StrategyReplace, Source: "b", Application: &v1alpha1.ApplicationReference{Kind: "StatefulSet", Name: "db"},
		Claims: []v1alpha1.RestoredClaim{{
			ClaimName: "data", PreviousClaim: "data", RestoredClaim: "data", TemporaryClaim: "t",
			PreviousVolume: "pv-old", RestoredVolume: "pv-new", PreviousPolicy: "Delete", RestoredPolicy: "Delete",
		}},
	}
	setTrue(&r.Status, v1alpha1.ConditionClaimsReady)
	o := Observed{
		Workload: &workload.Workload{Object: &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db"}}, Replicas: 1},
		Pods:     []corev1.Pod{{}},
		Claims:   map[string]*corev1.PersistentVolumeClaim{"data": aClaim("data", "pv-old", "1Gi"), "t": aClaim("t", "pv-new", "1Gi")},
		Volumes:  map[string]*corev1.PersistentVolume{"pv-old": aVolume("pv-old", "data"), "pv-new": aVolume("pv-new", "t")},
	}
	if change != nil {
		change(&r.Status, &o)
	}
	return &State{Restore: r, Observed: o, Now: now, ClaimTimeout: time.Hour}
}

// aVolume is one that goes with its claim.
func aVolume(name, claim string) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}}
	v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
	v.Spec.ClaimRef = &corev1.ObjectReference{Name: claim, UID: types.UID("uid-of-" + claim)}
	return v
}

// now is when the tests are looked at.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func setTrue(s *v1alpha1.VolumeRestoreStatus, kind string) {
	meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: "x", LastTransitionTime: metav1.NewTime(now)})
}

func TestNext(t *testing.T) {
	type status = *v1alpha1.VolumeRestoreStatus
	now := ptr.To(metav1.NewMicroTime(now))
	kept := keep
	ready := func(o *Observed) {
		kept(o)
		delete(o.Claims, "t")
		o.Volumes["pv-new"].Spec.ClaimRef = &corev1.ObjectReference{Name: "data"}
	}
	down := func(s status, o *Observed) {
		ready(o)
		s.ScaledDownAt, s.Replicas, o.Workload.Replicas, o.Pods = now, ptr.To[int32](1), 0, nil
	}
	swapped := func(s status, o *Observed) {
		down(s, o)
		setTrue(s, v1alpha1.ConditionSwapped)
		o.Claims["data"].Spec.VolumeName = "pv-new"
	}
	back := func(s status) { s.RollBack = &v1alpha1.RollBackStatus{} }
	pastLater := func(s status, o *Observed) { // a later restore has repointed it since
		swapped(s, o)
		back(s)
		s.Strategy, s.Claims[0].RestoredClaim, s.Claims[0].TemporaryClaim, s.Claims[0].TemplateVolumes = v1alpha1.StrategyRepoint, "new", "", []string{"v-later"}
		o.Workload.Replicas, o.Workload.Template = 1, templateOf("later")
		o.Workload.Object = &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "db"}}
		o.Claims["later"], o.Volumes["pv-later"] = aClaim("later", "pv-later", "1Gi"), aVolume("pv-later", "later")
	}
	for name, c := range map[string]struct {
		change func(status, *Observed)
		want   StepName
	}{
		"new":                     {func(s status, o *Observed) { s.Conditions = nil; delete(o.Claims, "t") }, StepMakeClaims},
		"claims that aren't ours": {func(s status, _ *Observed) { s.Conditions = nil }, StepMakeClaims},
		"made": {func(s status, o *Observed) {
			s.Conditions = nil
			o.Claims["t"].Labels = map[string]string{v1alpha1.LabelRestoreUID: "r-uid"}
		}, StepCheckMounts},
		"proven, the pod is there": {func(_ status, o *Observed) { o.MountChecks = map[string]*corev1.Pod{"p": {}} }, StepEndMountCheck},
		"proven":                   {nil, StepKeepVolumes},
		"one volume kept of two": {func(_ status, o *Observed) {
			kept(o)
			o.Volumes["pv-new"].Spec.PersistentVolumeReclaimPolicy = "Delete"
		}, StepKeepVolumes},
		"kept":                           {func(_ status, o *Observed) { kept(o) }, StepReserveVolumes},
		"the temporary claim is left":    {func(_ status, o *Observed) { ready(o); o.Claims["t"] = aClaim("t", "pv-new", "1Gi") }, StepReserveVolumes},
		"reserved":                       {func(_ status, o *Observed) { ready(o) }, StepScaleDown},
		"at zero before it was written":  {func(_ status, o *Observed) { ready(o); o.Workload.Replicas = 0 }, StepScaleDown},
		"written, not yet told":          {func(s status, o *Observed) { ready(o); s.ScaledDownAt = now }, StepScaleDown},
		"told, its pods are there":       {func(s status, o *Observed) { down(s, o); o.Pods = []corev1.Pod{{}} }, StepAwaitPodsGone},
		"down":                           {down, StepSwap},
		"scaled up by another meanwhile": {func(s status, o *Observed) { down(s, o); o.Workload.Replicas = 1 }, StepScaleDown},
		"a volume may go meanwhile": {func(s status, o *Observed) {
			down(s, o)
			o.Volumes["pv-old"].Spec.PersistentVolumeReclaimPolicy = "Delete"
		}, StepKeepVolumes},
		"swapped":                   {swapped, StepScaleUp},
		"up, written only":          {func(s status, o *Observed) { swapped(s, o); s.ScaledUpAt = now }, StepScaleUp},
		"up":                        {func(s status, o *Observed) { swapped(s, o); s.ScaledUpAt = now; o.Workload.Replicas = 1 }, StepAwaitReady},
		"up, an autoscaler goes on": {func(s status, o *Observed) { swapped(s, o); s.ScaledUpAt = now; o.Workload.Replicas = 4 }, StepAwaitReady},
		"ready":                     {func(s status, o *Observed) { swapped(s, o); setTrue(s, v1alpha1.ConditionApplicationReady) }, StepRelease},
		"released": {func(s status, o *Observed) {
			swapped(s, o)
			setTrue(s, v1alpha1.ConditionApplicationReady)
			o.Volumes["pv-new"].Spec.PersistentVolumeReclaimPolicy, o.Volumes["pv-new"].Labels = "Delete", nil
		}, StepEnd},

		"back before anything was stopped":         {func(s status, o *Observed) { ready(o); back(s) }, StepDiscard},
		"back before the swap":                     {func(s status, o *Observed) { down(s, o); back(s) }, StepScaleUp},
		"back before the swap, its pods are there": {func(s status, o *Observed) { down(s, o); back(s); o.Pods = []corev1.Pod{{}} }, StepAwaitPodsGone},
		"back before the swap because they hang": {func(s status, o *Observed) {
			down(s, o)
			back(s)
			s.RollBack.Reason, o.Pods = v1alpha1.ReasonPodsRemain, []corev1.Pod{{}}
		}, StepScaleUp},
		"back before the swap, waited for long enough": {func(s status, o *Observed) {
			down(s, o)
			back(s)
			s.RollBack.ScaledUpAt, o.Pods = now, []corev1.Pod{{}}
		}, StepScaleUp},
		"back before it was told to stop": {func(s status, o *Observed) {
			ready(o)
			back(s)
			s.ScaledDownAt, s.Replicas = now, ptr.To[int32](1)
		}, StepScaleUp},
		"back after the swap, its pods are there": {func(s status, o *Observed) {
			swapped(s, o)
			back(s)
			s.RollBack.ScaledDownAt, o.Pods = now, []corev1.Pod{{}}
		}, StepAwaitPodsGone},
		"back after the swap": {func(s status, o *Observed) { swapped(s, o); back(s); o.Workload.Replicas = 1 }, StepScaleDown},
		"back while it lets volumes go": {func(s status, o *Observed) {
			swapped(s, o)
			back(s)
			o.Volumes["pv-new"].Spec.PersistentVolumeReclaimPolicy = "Delete"
		}, StepKeepVolumes},
		"back, past a later restore": {pastLater, StepKeepVolumes},
		"back, past a later restore whose volume is kept": {func(s status, o *Observed) {
			pastLater(s, o)
			o.Claims["later"].Labels = map[string]string{v1alpha1.LabelPrevious: "true"}
			o.Volumes["pv-later"].Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		}, StepScaleDown},
		"back, down": {func(s status, o *Observed) { swapped(s, o); back(s); s.RollBack.ScaledDownAt = now }, StepSwapBack},
		"back, up": {func(s status, o *Observed) {
			down(s, o)
			back(s)
			s.RollBack.ScaledUpAt = now
			o.Workload.Replicas = 1
		}, StepAwaitReady},
		"back and ready, its claim is deleted": {func(s status, o *Observed) {
			down(s, o)
			back(s)
			s.RollBack.ScaledUpAt, s.RollBack.ReadyAt, o.Workload.Replicas = now, now, 1
			o.Claims["data"].DeletionTimestamp = ptr.To(metav1.NewTime(now.Time))
		}, StepDiscard},
		"back, its application is gone": {func(s status, o *Observed) { down(s, o); back(s); o.Workload = nil; s.RollBack.ReadyAt = now }, StepDiscard},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Next(aReplacement(c.change)); got.Name != c.want {
				t.Errorf("got %s (%s), want %s", got.Name, got.What, c.want)
			}
		})
	}
}

func TestNewClaimsAreThere(t *testing.T) {
	type status = *v1alpha1.VolumeRestoreStatus
	now := ptr.To(metav1.NewTime(now))
	repoint := func(s status, o *Observed) {
		s.Strategy, s.Claims[0].TemporaryClaim, s.Claims[0].RestoredClaim = v1alpha1.StrategyRepoint, "", "new"
		o.Claims["new"], o.Volumes["pv-new"] = aClaim("new", "pv-new", "1Gi"), aVolume("pv-new", "new")
		delete(o.Claims, "t")
	}
	for name, c := range map[string]struct {
		change func(status, *Observed)
		lost   bool
	}{
		"all there":                         {nil, false},
		"all there, repoint":                {repoint, false},
		"the volume":                        {func(_ status, o *Observed) { delete(o.Volumes, "pv-new") }, true},
		"the volume is going":               {func(_ status, o *Observed) { o.Volumes["pv-new"].DeletionTimestamp = now }, true},
		"the claim, repoint":                {func(s status, o *Observed) { repoint(s, o); delete(o.Claims, "new") }, true},
		"the claim is another one, repoint": {func(s status, o *Observed) { repoint(s, o); o.Claims["new"].Spec.VolumeName = "pv-other" }, true},
		"the temporary claim before its volume is retained": {func(_ status, o *Observed) { delete(o.Claims, "t") }, true},
		"the temporary claim afterwards": {func(_ status, o *Observed) {
			delete(o.Claims, "t")
			keep(o)
		}, false},
		"its volume is somebody else's": {func(_ status, o *Observed) { o.Volumes["pv-new"].Spec.ClaimRef.Namespace = "bank" }, true},
		"not proven yet":                {func(s status, o *Observed) { s.Conditions = nil; delete(o.Volumes, "pv-new") }, false},
		"swapped already":               {func(s status, o *Observed) { setTrue(s, v1alpha1.ConditionSwapped); delete(o.Claims, "t") }, false},
		"on its way back": {func(s status, o *Observed) {
			s.RollBack = &v1alpha1.RollBackStatus{}
			delete(o.Volumes, "pv-new")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Objection(aReplacement(c.change), Step{}).Problem; (got != nil) != c.lost {
				t.Errorf("got %v", got)
			}
		})
	}
}

// aRepointing is a restore by Repoint of an application that mounts data, and
// whose new claim is there.
func aRepointing(change func(*v1alpha1.VolumeRestore, *Observed)) *State {
	state := aReplacement(func(s *v1alpha1.VolumeRestoreStatus, o *Observed) {
		s.Strategy, s.Application = v1alpha1.StrategyRepoint, &v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "db"}
		s.Claims[0].TemporaryClaim, s.Claims[0].RestoredClaim, s.Claims[0].TemplateVolumes = "", "new", []string{"v-data"}
		o.Workload.Object = &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "db"}}
		leads(o, [2]string{"v-data", "data"})
		o.Claims["new"] = aClaim("new", "pv-new", "1Gi")
		o.Volumes["pv-new"] = aVolume("pv-new", "new")
		delete(o.Claims, "t")
	})
	if change != nil {
		change(state.Restore, &state.Observed)
	}
	return state
}

// leads has the volumes of the template, by name and claim.
func leads(o *Observed, volumes ...[2]string) {
	o.Workload.Template = templateOf()
	for _, v := range volumes {
		one := templateOf(v[1])
		one.Spec.Volumes[0].Name = v[0]
		o.Workload.Template.Spec.Volumes = append(o.Workload.Template.Spec.Volumes, one.Spec.Volumes...)
	}
	o.Workload.Object.(*appsv1.Deployment).Spec.Template = o.Workload.Template
}

func TestWhatTheTemplateMounts(t *testing.T) {
	now := ptr.To(metav1.NewMicroTime(now))
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
			s := aRepointing(func(r *v1alpha1.VolumeRestore, o *Observed) {
				leads(o, c.volumes...)
				if c.stopped {
					r.Status.ScaledDownAt = now
				}
			})
			claim := &s.Restore.Status.Claims[0]
			if got := checkTemplate(s).Problem; (got != nil) != c.lost {
				t.Errorf("lost: got %v", got)
			}
			if got := s.isSwappedBack(); got != c.previous {
				t.Errorf("on the previous claim: got %v", got)
			}
			if got := (repoint{}).isInUse(s, claim); got != c.used {
				t.Errorf("the new claim is used: got %v", got)
			}
			if got := StillMounted(s, claim); (got != "") != c.old {
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
			s := aRepointing(func(r *v1alpha1.VolumeRestore, o *Observed) {
				r.Spec.PreviousClaims = v1alpha1.PreviousDelete
				leads(o, [2]string{"v-data", "new"})
				setTrue(&r.Status, v1alpha1.ConditionSwapped)
				setTrue(&r.Status, v1alpha1.ConditionApplicationReady)
				other := corev1.Pod{Spec: templateOf("data").Spec}
				c.pod(&other)
				o.Others = []corev1.Pod{other}
			})
			if next := Next(s).Name; (next == StepEnd) != c.kept {
				t.Errorf("got %s", next)
			}
		})
	}
}

func TestPlanStopsNothingBeforeTheNewVolumesAreThere(t *testing.T) {
	for _, strategy := range []v1alpha1.RestoreStrategy{v1alpha1.StrategyRepoint, v1alpha1.StrategyReplace} {
		s := aReplacement(nil)
		s.Restore.Status.Strategy = strategy
		var steps []StepName
		for _, step := range Plan(s) {
			steps = append(steps, step.Name)
		}
		stop, swap := slices.Index(steps, StepScaleDown), slices.Index(steps, StepSwap)
		for _, before := range []StepName{StepMakeClaims, StepCheckMounts, StepEndMountCheck, StepKeepVolumes} {
			if i := slices.Index(steps, before); i < 0 || i > stop {
				t.Errorf("%s: %s has to come before the application is stopped: %v", strategy, before, steps)
			}
		}
		if gone := slices.Index(steps, StepAwaitPodsGone); gone < stop || gone > swap {
			t.Errorf("%s: nothing is swapped while a pod is there: %v", strategy, steps)
		}
	}
	s := aReplacement(nil)
	s.Restore.Status.Strategy = v1alpha1.StrategyClaimsOnly
	if next := Next(s); next.Name != StepEnd {
		t.Errorf("claims only: got %s", next.Name)
	}
}
