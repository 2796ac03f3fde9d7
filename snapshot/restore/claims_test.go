package restore

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// aRecord is how every claim of the backup was, of the class and size.
func aRecord(class, size string) func(*Input) {
	return func(in *Input) {
		for i := range in.Backup.Status.Volumes {
			in.Backup.Status.Volumes[i].Claim = &v1alpha1.BackedUpClaim{
				Labels: map[string]string{"cost": "a1"}, Annotations: map[string]string{"helm.sh/resource-policy": "keep"},
				AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod},
				StorageClassName: ptr.To(class), Size: ptr.To(resource.MustParse(size)),
			}
		}
	}
}

// gone are the claims that the backup holds.
func gone(in *Input) {
	for _, v := range in.Backup.Status.Volumes {
		delete(in.Claims, v.ClaimName)
	}
}

// sizeless has a driver that gives no restoreSize.
func sizeless(in *Input) { in.Snapshots["s"].Status.RestoreSize = ptr.To(resource.MustParse("0")) }

// sized asks for a size.
func sized(size string) func(*Input) {
	return func(in *Input) { in.Restore.Spec.Target.Size = ptr.To(resource.MustParse(size)) }
}

func onAnother(in *Input) {
	in.Backup.Spec.ApplicationRef.Name = "old"
	in.Restore.Spec.Target.ApplicationRef = &in.Workload.Ref
}

// Backups, costs and security are steered by annotations too. A copy has those of
// its claim, but those that say what the one claim is to a tool.
func TestANewClaimHasTheAnnotationsOfItsClaim(t *testing.T) {
	annotate := func(in *Input) {
		in.Claims["data"].Annotations = map[string]string{
			"cost-center": "a1", "pv.kubernetes.io/bind-completed": "yes", "volume.kubernetes.io/selected-node": "n",
			"argocd.argoproj.io/tracking-id": "shop:/PersistentVolumeClaim:shop/data", "meta.helm.sh/release-name": "mysql",
			corev1.LastAppliedConfigAnnotation: "{}",
		}
	}
	for _, strategy := range []v1alpha1.RestoreStrategy{v1alpha1.StrategyRepoint, v1alpha1.StrategyReplace, v1alpha1.StrategyClaimsOnly} {
		in := aRestorable(func(in *Input) {
			annotate(in)
			in.Restore.Spec.Target.Strategy = strategy
		})
		res, err := Resolve(in)
		if err != nil {
			t.Fatal(err)
		}
		in.Restore.Status.Claims = res.Claims
		if got := NewClaim(in.Restore, &res.Claims[0]).Annotations; !maps.Equal(got, map[string]string{"cost-center": "a1"}) {
			t.Errorf("%s, new: %v", strategy, got)
		}
		bound := boundClaim(in.Restore, &res.Claims[0], side{"data", "pv-new"}).Annotations
		if bound["cost-center"] != "a1" || bound["meta.helm.sh/release-name"] != "mysql" || bound["pv.kubernetes.io/bind-completed"] != "" {
			t.Errorf("%s, in its place: %v", strategy, bound)
		}
	}
}

func TestWhatANewClaimIsLike(t *testing.T) {
	record := aRecord("fast", "5Gi")
	for name, c := range map[string]struct {
		changes []func(*Input)
		from    v1alpha1.ShapeSource
		mode    corev1.PersistentVolumeAccessMode
		// label is one that it carries, empty for none.
		label, size string
	}{
		"the claim is there":                   {[]func(*Input){record}, v1alpha1.ShapeFromClaim, corev1.ReadWriteOnce, "team", "3Gi"},
		"gone, and recorded":                   {[]func(*Input){record, gone}, v1alpha1.ShapeFromBackup, corev1.ReadWriteOncePod, "cost", "5Gi"},
		"gone, of a set, and recorded":         {[]func(*Input){aStatefulSet, record, gone}, v1alpha1.ShapeFromBackup, corev1.ReadWriteOncePod, "cost", "5Gi"},
		"gone, of a set, not recorded":         {[]func(*Input){aStatefulSet, gone}, v1alpha1.ShapeFromTemplate, corev1.ReadWriteOnce, "team", "3Gi"},
		"gone, of another set, and recorded":   {[]func(*Input){aStatefulSet, record, gone, onAnother}, v1alpha1.ShapeFromTemplate, corev1.ReadWriteOnce, "team", "3Gi"},
		"gone, and not recorded":               {[]func(*Input){gone}, v1alpha1.ShapeFromSnapshot, corev1.ReadWriteOnce, "", "3Gi"},
		"gone, recorded, no restoreSize":       {[]func(*Input){record, gone, sizeless}, v1alpha1.ShapeFromBackup, corev1.ReadWriteOncePod, "cost", "5Gi"},
		"gone, a size is asked for":            {[]func(*Input){gone, sizeless, sized("7Gi")}, v1alpha1.ShapeFromSnapshot, corev1.ReadWriteOnce, "", "7Gi"},
		"a size that is asked for stands over": {[]func(*Input){record, gone, sized("4Gi")}, v1alpha1.ShapeFromBackup, corev1.ReadWriteOncePod, "cost", "4Gi"},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := Resolve(aRestorable(func(in *Input) {
				for _, change := range c.changes {
					change(in)
				}
			}))
			if err != nil {
				t.Fatal(err)
			}
			shape := res.Claims[0].Shape
			if shape.From != c.from || shape.AccessModes[0] != c.mode || shape.Size.String() != c.size || (c.label == "") != (len(shape.Labels) == 0) {
				t.Errorf("got %+v of %s", shape, &shape.Size)
			}
			if _, ok := shape.Labels[c.label]; c.label != "" && !ok {
				t.Errorf("got labels %v", shape.Labels)
			}
			warns := slices.ContainsFunc(res.Warnings, func(w Warning) bool { return w.Reason == v1alpha1.ReasonClaimShapeUnknown })
			if warns != (c.from == v1alpha1.ShapeFromSnapshot) {
				t.Errorf("warns: %+v", res.Warnings)
			}
			made := boundClaim(&v1alpha1.VolumeRestore{}, &res.Claims[0], side{claim: "data", volume: "pv"})
			if kept := made.Annotations["helm.sh/resource-policy"]; (kept == "keep") != (c.from == v1alpha1.ShapeFromBackup) {
				t.Errorf("annotations: %v", made.Annotations)
			}
		})
	}
}

func TestSizesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		changes      []func(*Input)
		reason, says string
	}{
		"too small": {[]func(*Input){sized("2Gi")}, v1alpha1.ReasonSizeTooSmall, "spec.target.size is 2Gi, and a volume from the snapshot of claim data has to have 3Gi at least"},
		"nothing":   {[]func(*Input){sized("0"), sizeless}, v1alpha1.ReasonSizeUnknown, "Write a size into spec.target.size"},
		"unknown":   {[]func(*Input){gone, sizeless}, v1alpha1.ReasonSizeUnknown, "the driver gives no restoreSize"},
	} {
		_, err := Resolve(aRestorable(func(in *Input) {
			for _, change := range c.changes {
				change(in)
			}
		}))
		if reasonOf(err) != c.reason || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A policy may ask for labels on every claim.
func TestATemporaryClaimHasTheLabelsOfTheClaim(t *testing.T) {
	res, err := Resolve(aRestorable(func(in *Input) { in.Restore.Spec.Target.Strategy = v1alpha1.StrategyReplace }))
	if err != nil {
		t.Fatal(err)
	}
	if made := NewClaim(&v1alpha1.VolumeRestore{}, &res.Claims[0]); made.Name != res.Claims[0].TemporaryClaim || made.Labels["team"] != "shop" {
		t.Errorf("got %+v", made)
	}
}
