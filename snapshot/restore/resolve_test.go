package restore

import (
	"errors"
	"slices"
	"strings"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// aRestorable is a Deployment mysql with the claim data, and its complete
// backup.
func aRestorable(change func(*Input)) Input {
	ref := v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "mysql"}
	backup := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "shop"}}
	backup.Spec.ApplicationRef = ref
	backup.Status.Phase, backup.Status.ApplicationUID = v1alpha1.PhaseCompleted, "app"
	backup.Status.Volumes = []v1alpha1.VolumeStatus{{ClaimName: "data", SnapshotName: "s", Driver: "d", ReadyToUse: true}}
	meta.SetStatusCondition(&backup.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: "x"})
	snap := &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Name: "s", UID: "u"}}
	snap.Status = &snapshotv1.VolumeSnapshotStatus{
		BoundVolumeSnapshotContentName: ptr.To("snapcontent-u"), ReadyToUse: ptr.To(true), RestoreSize: ptr.To(resource.MustParse("3Gi")),
	}
	content := &snapshotv1.VolumeSnapshotContent{ObjectMeta: metav1.ObjectMeta{Name: "snapcontent-u"}}
	content.Spec.VolumeSnapshotRef.UID, content.Spec.Driver = "u", "d"
	content.Spec.SourceVolumeMode = ptr.To(corev1.PersistentVolumeFilesystem)
	content.Status = &snapshotv1.VolumeSnapshotContentStatus{SnapshotHandle: ptr.To("h")}
	in := Input{
		Restore:   &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Name: "r", Namespace: "shop", UID: "r-uid"}},
		Backup:    backup,
		Workload:  &workload.Workload{Ref: ref, Meta: metav1.ObjectMeta{Name: "mysql", UID: "app"}, Replicas: 1, Template: templateOf("data")},
		Snapshots: map[string]*snapshotv1.VolumeSnapshot{"s": snap},
		Contents:  map[string]*snapshotv1.VolumeSnapshotContent{content.Name: content},
		Claims:    map[string]*corev1.PersistentVolumeClaim{"data": aClaim("data", "pv-old", "1Gi")},
		Classes:   map[string]*storagev1.StorageClass{"fast": {ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "d"}, "other": {ObjectMeta: metav1.ObjectMeta{Name: "other"}, Provisioner: "e"}},
	}
	if change != nil {
		change(&in)
	}
	return in
}

func templateOf(claims ...string) corev1.PodTemplateSpec {
	var t corev1.PodTemplateSpec
	for _, c := range claims {
		t.Spec.Volumes = append(t.Spec.Volumes, corev1.Volume{Name: "v-" + c, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c},
		}})
	}
	return t
}

func aClaim(name, volume, size string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-of-" + name), Labels: map[string]string{"team": "shop"}},
		Spec: corev1.PersistentVolumeClaimSpec{
			VolumeName: volume, StorageClassName: ptr.To("fast"),
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound},
	}
}

func aStatefulSet(in *Input) {
	ref := v1alpha1.ApplicationReference{Kind: v1alpha1.KindStatefulSet, Name: "mysql"}
	in.Backup.Spec.ApplicationRef, in.Workload.Ref = ref, ref
	in.Workload.Template = corev1.PodTemplateSpec{}
	in.Workload.ClaimTemplates = []corev1.PersistentVolumeClaim{*aClaim("data", "", "1Gi"), *aClaim("logs", "", "1Gi")}
	in.Workload.Start, in.Workload.Replicas = 5, 2
	in.Backup.Status.Volumes = nil
	for _, claim := range []string{"data-mysql-5", "data-mysql-6", "logs-mysql-5", "logs-mysql-6"} {
		in.Backup.Status.Volumes = append(in.Backup.Status.Volumes, v1alpha1.VolumeStatus{ClaimName: claim, SnapshotName: "s", Driver: "d"})
		in.Claims[claim] = aClaim(claim, "pv-"+claim, "1Gi")
	}
}

func TestResolveStrategy(t *testing.T) {
	label := func(key, value string) func(*Input) {
		return func(in *Input) { in.Workload.Meta.Labels = map[string]string{key: value} }
	}
	annotation := func(key string) func(*Input) {
		return func(in *Input) { in.Workload.Meta.Annotations = map[string]string{key: "x"} }
	}
	for name, c := range map[string]struct {
		change func(*Input)
		want   v1alpha1.RestoreStrategy
		says   string
	}{
		"a Deployment":                     {want: "Repoint"},
		"a StatefulSet":                    {change: aStatefulSet, want: "Replace", says: "StatefulSet"},
		"Argo CD by label":                 {change: label("argocd.argoproj.io/instance", "shop"), want: "Replace", says: "Argo CD"},
		"Argo CD by annotation":            {change: annotation("argocd.argoproj.io/tracking-id"), want: "Replace", says: "Argo CD"},
		"the label that Argo CD may use":   {change: label("app.kubernetes.io/instance", "shop"), want: "Replace", says: "perhaps"},
		"Flux's Kustomization":             {change: label("kustomize.toolkit.fluxcd.io/name", "shop"), want: "Replace", says: "Flux"},
		"Flux's HelmRelease":               {change: label("helm.toolkit.fluxcd.io/name", "shop"), want: "Replace", says: "Flux"},
		"Helm by label":                    {change: label("app.kubernetes.io/managed-by", "Helm"), want: "Replace", says: "Helm"},
		"Helm by annotation":               {change: annotation("meta.helm.sh/release-name"), want: "Replace", says: "Helm"},
		"managed by nobody that undoes":    {change: label("app.kubernetes.io/managed-by", "hand"), want: "Repoint"},
		"a paused rollout, all rolled out": {change: func(in *Input) { in.Workload.Paused = true }, want: "Repoint"},
		"a paused rollout with changes":    {change: func(in *Input) { in.Workload.Paused, in.Workload.HasHeldRollout = true, true }, want: "Replace", says: "paused"},
		"a DaemonSet": {change: func(in *Input) {
			in.Backup.Spec.ApplicationRef.Kind, in.Workload = v1alpha1.KindDaemonSet, nil
		}, want: "ClaimsOnly", says: "DaemonSet"},
		"no workload is needed for claims": {change: func(in *Input) {
			in.Restore.Spec.Target.Strategy, in.Workload = v1alpha1.StrategyClaimsOnly, nil
		}, want: "ClaimsOnly"},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := Resolve(aRestorable(c.change))
			if err != nil || res.Strategy != c.want || !strings.Contains(res.Reason, c.says) {
				t.Errorf("got %+v, %v; want %s because of %q", res, err, c.want, c.says)
			}
		})
	}
}

func TestResolveRefuses(t *testing.T) {
	target := func(change func(*v1alpha1.RestoreTarget)) func(*Input) {
		return func(in *Input) { change(&in.Restore.Spec.Target) }
	}
	repoint := func(also func(*Input)) func(*Input) {
		return func(in *Input) { in.Restore.Spec.Target.Strategy = v1alpha1.StrategyRepoint; also(in) }
	}
	replace := func(also func(*Input)) func(*Input) {
		return func(in *Input) { in.Restore.Spec.Target.Strategy = v1alpha1.StrategyReplace; also(in) }
	}
	scaler := func(change func(*autoscalingv2.HorizontalPodAutoscaler)) func(*Input) {
		return func(in *Input) {
			h := autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "scaler"}}
			h.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: "mysql"}
			change(&h)
			in.Autoscalers = append(in.Autoscalers, h)
		}
	}
	stranger := func(phase corev1.PodPhase) func(*Input) {
		return func(in *Input) {
			p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "report"}, Spec: templateOf("data").Spec}
			p.Spec.NodeName, p.Status.Phase = "n", phase
			in.Pods = append(in.Pods, p)
		}
	}
	for name, c := range map[string]struct {
		change       func(*Input)
		reason, says string
	}{
		"a backup under way":      {func(in *Input) { in.Backup.Status.Conditions, in.Backup.Status.Phase = nil, "Quiescing" }, v1alpha1.ReasonBackupIncomplete, "kubectl wait"},
		"a backup that failed":    {func(in *Input) { in.Backup.Status.Phase = v1alpha1.PhaseFailed }, v1alpha1.ReasonBackupIncomplete, "another"},
		"a backup of nothing":     {func(in *Input) { in.Backup.Status.Volumes = nil }, v1alpha1.ReasonBackupIncomplete, "no volume"},
		"a snapshot that is gone": {func(in *Input) { in.Snapshots = nil }, v1alpha1.ReasonSnapshotNotFound, `"s"`},
		"a content that is gone":  {func(in *Input) { in.Contents = nil }, v1alpha1.ReasonSnapshotNotFound, "snapcontent-u"},
		"a snapshot of its name": {func(in *Input) { in.Backup.Status.Volumes[0].SnapshotUID = "before" },
			v1alpha1.ReasonSnapshotReplaced, `VolumeSnapshot "s" of claim data isn't the one that was cut for VolumeBackup b: the UID should be before and is u.`},
		"a copy of another volume":  {func(in *Input) { in.Backup.Status.Volumes[0].SnapshotHandle = "x" }, v1alpha1.ReasonSnapshotReplaced, "the snapshotHandle should be x and is h"},
		"a snapshot not ready":      {func(in *Input) { in.Snapshots["s"].Status.ReadyToUse = nil }, v1alpha1.ReasonSnapshotNotReady, "wait"},
		"a typing error":            {func(in *Input) { in.Restore.Spec.Volumes.Include = []string{"dota"} }, v1alpha1.ReasonClaimNotFound, "holds data"},
		"everything excluded":       {func(in *Input) { in.Restore.Spec.Volumes.Exclude = []string{"data"} }, v1alpha1.ReasonNoVolumes, "leave at least one"},
		"no such application":       {func(in *Input) { in.Workload = nil }, v1alpha1.ReasonApplicationNotFound, "ClaimsOnly"},
		"another of the same name":  {func(in *Input) { in.Workload.Meta.UID = "new" }, v1alpha1.ReasonApplicationReplaced, "spec.target.applicationRef"},
		"a class that is missing":   {target(func(t *v1alpha1.RestoreTarget) { t.StorageClassName = ptr.To("slow") }), v1alpha1.ReasonNoStorageClass, `"slow"`},
		"a class of another driver": {target(func(t *v1alpha1.RestoreTarget) { t.StorageClassName = ptr.To("other") }), v1alpha1.ReasonStorageMismatch, `"d"`},
		"no class at all":           {func(in *Input) { in.Claims["data"].Spec.StorageClassName = ptr.To("") }, v1alpha1.ReasonNoStorageClass, "spec.target.storageClassName"},
		"another volume mode":       {func(in *Input) { in.Claims["data"].Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock) }, v1alpha1.ReasonVolumeModeMismatch, "allow-volume-mode-change"},
		"a name that is taken":      {target(func(t *v1alpha1.RestoreTarget) { t.Claims = map[string]v1alpha1.ClaimName{"data": "data"} }), v1alpha1.ReasonClaimExists, "another name"},
		"a name for two claims": {func(in *Input) {
			in.Backup.Status.Volumes = append(in.Backup.Status.Volumes, v1alpha1.VolumeStatus{ClaimName: "logs", SnapshotName: "s", Driver: "d"})
			in.Claims["logs"], in.Workload.Template = aClaim("logs", "pv-logs", "1Gi"), templateOf("data", "logs")
			in.Restore.Spec.Target.Claims = map[string]v1alpha1.ClaimName{"data": "zz", "logs": "zz"}
		}, v1alpha1.ReasonClaimExists, "claims data and logs of the backup"},
		"an autoscaler from zero": {scaler(func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Spec.MinReplicas = ptr.To[int32](0) }), v1alpha1.ReasonAutoscalerFights, "scaler"},
		"KEDA": {scaler(func(h *autoscalingv2.HorizontalPodAutoscaler) {
			h.OwnerReferences = []metav1.OwnerReference{{Kind: "ScaledObject", Name: "so", Controller: ptr.To(true)}}
		}), v1alpha1.ReasonAutoscalerFights, "so"},
		"to repoint a StatefulSet": {repoint(aStatefulSet), v1alpha1.ReasonStrategyImpossible, "Replace"},
		"to repoint what Flux manages": {repoint(func(in *Input) {
			in.Workload.Meta.Labels = map[string]string{"kustomize.toolkit.fluxcd.io/name": "shop"}
		}), v1alpha1.ReasonManagedByOther, "spec.template.spec.volumes[name=v-data].persistentVolumeClaim.claimName: data-restored-"},
		"to repoint a held rollout": {repoint(func(in *Input) { in.Workload.HasHeldRollout = true }), v1alpha1.ReasonRolloutPaused, "kubectl rollout resume"},
		"to replace in a DaemonSet": {replace(func(in *Input) { in.Backup.Spec.ApplicationRef.Kind = v1alpha1.KindDaemonSet }), v1alpha1.ReasonStrategyImpossible, "ClaimsOnly"},
		"a ReplicaSet of a Deployment": {func(in *Input) {
			in.Workload.Meta.OwnerReferences = []metav1.OwnerReference{{Kind: "Deployment", Name: "up", Controller: ptr.To(true)}}
		}, v1alpha1.ReasonManagedByOther, "Deployment up"},
		"to repoint a ReplicaSet of a Deployment": {repoint(func(in *Input) {
			in.Workload.Meta.OwnerReferences = []metav1.OwnerReference{{Kind: "Deployment", Name: "up", Controller: ptr.To(true)}}
		}), v1alpha1.ReasonManagedByOther, "write that into spec.target.applicationRef"},
		"claims that go with replicas": {func(in *Input) { aStatefulSet(in); in.Workload.DeletesClaims = true }, v1alpha1.ReasonClaimsScaledAway, "Retain"},
		"a claim that others use":      {replace(stranger(corev1.PodRunning)), v1alpha1.ReasonClaimInUse, "report"},
		"a claim of a finished pod":    {replace(stranger(corev1.PodSucceeded)), v1alpha1.ReasonClaimInUse, "delete it"},
		"a claim that is held":         {replace(func(in *Input) { in.Claims["data"].Finalizers = []string{"other.io/f"} }), v1alpha1.ReasonClaimHeld, "other.io/f"},
		"a claim that isn't mounted":   {func(in *Input) { in.Workload.Template = templateOf("files") }, v1alpha1.ReasonClaimNotMounted, "it mounts files"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Resolve(aRestorable(c.change))
			if reasonOf(err) != c.reason || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v; want reason %s, with %q", err, c.reason, c.says)
			}
		})
	}
}

func TestResolveAllows(t *testing.T) {
	in := aRestorable(func(in *Input) {
		in.Autoscalers = []autoscalingv2.HorizontalPodAutoscaler{{ObjectMeta: metav1.ObjectMeta{Name: "scaler"}, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			MinReplicas: ptr.To[int32](2), ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: "Deployment", Name: "mysql"},
		}}}
		in.Workload.Meta.UID = "new"
		in.Restore.Spec.Target.ApplicationRef = &in.Workload.Ref
	})
	res, err := Resolve(in)
	if err != nil || res.Autoscaler != "scaler" {
		t.Errorf("an autoscaler that steps aside at zero is noted, and a named application may be another: got %+v, %v", res, err)
	}
}

func TestResolveClaims(t *testing.T) {
	res, err := Resolve(aRestorable(nil))
	if err != nil {
		t.Fatal(err)
	}
	c := res.Claims[0]
	if c.PreviousClaim != "data" || !strings.HasPrefix(c.RestoredClaim, "data-restored-") || c.TemporaryClaim != "" || !slices.Equal(c.TemplateVolumes, []string{"v-data"}) {
		t.Errorf("repointed: got %+v", c)
	}
	if c.Shape.Size.String() != "3Gi" || c.Shape.PreviousSize.String() != "1Gi" {
		t.Errorf("no smaller than the snapshot needs: got %s", &c.Shape.Size)
	}
	res, err = Resolve(aRestorable(func(in *Input) { aStatefulSet(in); in.Workload.Replicas = 3 }))
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Claims) != 4 || !slices.Equal(res.Unrestored, []string{"data-mysql-7", "logs-mysql-7"}) {
		t.Errorf("a replica that came since has no backup: got %v and %v", res.Claims, res.Unrestored)
	}
	c = res.Claims[0]
	if c.RestoredClaim != "data-mysql-5" || c.TemporaryClaim == "" || c.MountCheckPod != res.Claims[2].MountCheckPod || c.MountCheckPod == res.Claims[1].MountCheckPod {
		t.Errorf("replaced, and mounted with the other claims of its replica: got %+v", c)
	}
}

func TestResolveOfSomeClaims(t *testing.T) {
	res, err := Resolve(aRestorable(func(in *Input) {
		aStatefulSet(in)
		in.Workload.Replicas = 3
		in.Restore.Spec.Volumes.Include = []string{"data-mysql-5"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Claims) != 1 || !slices.Equal(res.Unrestored, []string{"data-mysql-7", "logs-mysql-7"}) {
		t.Errorf("what is left out is in the backup all the same: got %v and %v", res.Claims, res.Unrestored)
	}
}

func TestResolveAfterAnEarlierRestore(t *testing.T) {
	in := aRestorable(func(in *Input) {
		in.Workload.Template = templateOf("data-restored-1")
		in.Claims["data-restored-1"] = aClaim("data-restored-1", "pv-1", "1Gi")
		in.Claims["data-restored-1"].Labels = map[string]string{v1alpha1.LabelRestoreUID: "earlier", v1alpha1.LabelClaim: "data"}
	})
	res, err := Resolve(in)
	if err != nil {
		t.Fatal(err)
	}
	if c := res.Claims[0]; c.PreviousClaim != "data-restored-1" || !strings.HasPrefix(c.RestoredClaim, "data-restored-") || strings.Count(c.RestoredClaim, "restored") != 1 {
		t.Errorf("the copy stands for the claim, and names don't grow: got %+v", c)
	}
}

func TestResolveWithoutTheClaim(t *testing.T) {
	res, err := Resolve(aRestorable(func(in *Input) { aStatefulSet(in); delete(in.Claims, "data-mysql-5") }))
	if err != nil || ptr.Deref(res.Claims[0].Shape.StorageClassName, "") != "fast" || res.Claims[0].Shape.PreviousSize != nil {
		t.Errorf("a claim that is gone is made as the template says: got %+v, %v", res, err)
	}
	res, err = Resolve(aRestorable(func(in *Input) { delete(in.Claims, "data") }))
	if err != nil || ptr.Deref(res.Claims[0].Shape.StorageClassName, "") != "fast" {
		t.Errorf("or by the only class of the driver: got %+v, %v", res, err)
	}
	res, err = Resolve(aRestorable(func(in *Input) {
		delete(in.Claims, "data")
		in.Contents["snapcontent-u"].Spec.SourceVolumeMode = ptr.To(corev1.PersistentVolumeBlock)
	}))
	if err != nil || ptr.Deref(res.Claims[0].Shape.VolumeMode, "") != corev1.PersistentVolumeBlock {
		t.Errorf("and with the volume mode that was backed up: got %+v, %v", res, err)
	}
}

func TestNewClaimsArentPruned(t *testing.T) {
	res, err := Resolve(aRestorable(func(in *Input) {
		in.Claims["data"].Labels["argocd.argoproj.io/instance"] = "shop"
		in.Claims["data"].Annotations = map[string]string{"pv.kubernetes.io/bind-completed": "yes", "note": "mine"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	r := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Name: "r", UID: "r-uid"}}
	claim := NewClaim(r, &res.Claims[0])
	if claim.Labels["argocd.argoproj.io/instance"] != "" || claim.Labels["team"] != "shop" || claim.Labels[v1alpha1.LabelRestoreUID] != "r-uid" {
		t.Errorf("labels of the old claim, but those that a tool prunes by: got %v", claim.Labels)
	}
	old := boundClaim(r, &res.Claims[0], side{res.Claims[0].RestoredClaim, "pv-9"})
	if old.Labels["argocd.argoproj.io/instance"] != "shop" || old.Annotations["note"] != "mine" || len(old.Annotations) != 1 || old.Spec.VolumeName != "pv-9" {
		t.Errorf("a claim of the old name is the old one with another volume: got %+v", old)
	}
}

func reasonOf(err error) string {
	var p *v1alpha1.Problem
	if !errors.As(err, &p) {
		return ""
	}
	return p.Reason
}

// What would make the status too large, or hold millions of names, is refused before
// anything is made.
func TestTooMuchIsNotRestored(t *testing.T) {
	crowd := func(in *Input) {
		aStatefulSet(in)
		in.Workload.Replicas = 200_000
	}
	heavy := func(in *Input) {
		aStatefulSet(in)
		for _, claim := range in.Claims {
			claim.Annotations = map[string]string{"example.com/a": strings.Repeat("x", 300<<10)}
		}
	}
	for name, c := range map[string]struct {
		change func(*Input)
		says   string
	}{
		"replicas":                    {crowd, "StatefulSet mysql mounts 400000 claims"},
		"annotations":                 {heavy, "4 claim(s) with their labels and annotations, which are made anew with the claims, take 120"},
		"of a claim that is left out": {func(in *Input) { heavy(in); in.Restore.Spec.Volumes.Include = []string{"data-mysql-5"} }, ""},
	} {
		_, err := Resolve(aRestorable(c.change))
		var problem *v1alpha1.Problem
		if errors.As(err, &problem) != (c.says != "") || c.says != "" && (problem.Reason != v1alpha1.ReasonLimitExceeded || !strings.Contains(problem.Message, c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	only := aRestorable(func(in *Input) { crowd(in); in.Restore.Spec.Target.Strategy = v1alpha1.StrategyClaimsOnly })
	if res, err := Resolve(only); err != nil || len(res.Claims) != 4 {
		t.Errorf("claims alone: %+v, %v", res, err)
	}
}
