package restore

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// ofPaths has a restore copy a path of the backup's snapshots into new claims.
func ofPaths(in *Input) {
	in.Restore.Spec.Source.VolumeBackupRef = &v1alpha1.LocalReference{Name: "b"}
	in.Restore.Spec.Source.Paths = []string{"/etc/app.conf"}
	in.Restore.Spec.Target.Strategy = v1alpha1.StrategyClaimsOnly
}

func aClass(name, driver string) *storagev1.StorageClass {
	c := &storagev1.StorageClass{Provisioner: driver}
	c.Name = name
	return c
}

func TestResolvePathsOfASnapshot(t *testing.T) {
	recorded := func(class, size string) func(*Input) {
		return func(in *Input) {
			in.Backup.Status.Volumes[0].Claim = &v1alpha1.BackedUpClaim{
				StorageClassName: ptr.To(class), Size: ptr.To(resource.MustParse(size)), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			}
		}
	}
	noSize := func(in *Input) {
		in.Snapshots["s"].Status.RestoreSize = nil
		in.Backup.Status.Volumes[0].RestoreSize = nil
	}
	for name, c := range map[string]struct {
		change            func(*Input)
		class, size, mode string
	}{
		"of which no record is left":                     {func(*Input) {}, "fast", "3Gi", "ReadWriteOnce"},
		"as the claim was":                               {recorded("fast", "5Gi"), "fast", "5Gi", "ReadWriteMany"},
		"of a class that is gone":                        {recorded("gone", "1Gi"), "fast", "3Gi", "ReadWriteMany"},
		"of a class that is another driver's now":        {recorded("other", "1Gi"), "fast", "3Gi", "ReadWriteMany"},
		"of no size that is known":                       {noSize, "fast", "1Gi", "ReadWriteOnce"},
		"into a claim of another driver":                 {func(in *Input) { in.Restore.Spec.Target.StorageClassName = ptr.To("other") }, "fast", "3Gi", "ReadWriteOnce"},
		"into a claim that is smaller than the snapshot": {func(in *Input) { in.Restore.Spec.Target.Size = ptr.To(resource.MustParse("10Mi")) }, "fast", "3Gi", "ReadWriteOnce"},
	} {
		in := aRestorable(func(in *Input) {
			ofPaths(in)
			in.Classes["other"] = aClass("other", "elsewhere")
			c.change(in)
		})
		res, err := Resolve(in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		claim := &res.Claims[0]
		if claim.SnapshotName != "s" || claim.Fill == nil || claim.Fill.Clone == nil || claim.Fill.SnapshotID != "" {
			t.Errorf("%s: %+v", name, claim)
			continue
		}
		clone := claim.Fill.Clone
		if ptr.Deref(clone.StorageClassName, "") != c.class || clone.Size.Cmp(resource.MustParse(c.size)) != 0 || string(clone.AccessModes[0]) != c.mode {
			t.Errorf("%s: the clone is %+v, %s of %s", name, clone, &clone.Size, ptr.Deref(clone.StorageClassName, "none"))
		}
		if made := NewClaim(in.Restore, claim); made.Spec.DataSource != nil || made.Labels[v1alpha1.LabelBackup] == "" && in.Restore.Status.Source != "" {
			t.Errorf("%s: the claim is made as %+v", name, made)
		}
		if asked := in.Restore.Spec.Target.Size; asked != nil && claim.Shape.Size.Cmp(*asked) != 0 {
			t.Errorf("%s: the claim has %s", name, &claim.Shape.Size)
		}
	}
	whole, err := Resolve(aRestorable(func(in *Input) { ofPaths(in); in.Restore.Spec.Source.Paths = nil }))
	if err != nil || whole.Claims[0].Fill != nil {
		t.Errorf("a whole snapshot is filled: %+v, %v", whole, err)
	}
}

func TestPathsThatCantBe(t *testing.T) {
	for says, change := range map[string]func(*Input){
		"claim data is a device of raw blocks, which has no paths": func(in *Input) {
			ofPaths(in)
			in.Contents["snapcontent-u"].Spec.SourceVolumeMode = ptr.To(corev1.PersistentVolumeBlock)
		},
		"claim disk is a device of raw blocks": func(in *Input) {
			ofPaths(in)
			inRepository(in, func(s *v1alpha1.RepositorySnapshot) {
				s.ClaimName, s.VolumeMode = "disk", corev1.PersistentVolumeBlock
			})
			in.Restore.Spec.Target.StorageClassName = ptr.To("fast")
		},
		"write one of that driver into spec.target.storageClassName": func(in *Input) {
			ofPaths(in)
			in.Classes = map[string]*storagev1.StorageClass{"a": aClass("a", "d"), "b": aClass("b", "d"), "other": aClass("other", "elsewhere")}
			in.Restore.Spec.Target.StorageClassName = ptr.To("other")
		},
		"isn't ready to be restored": func(in *Input) {
			ofPaths(in)
			in.Snapshots["s"].Status.ReadyToUse = ptr.To(false)
			in.Contents["snapcontent-u"].Status = nil
		},
	} {
		_, err := Resolve(aRestorable(change))
		var problem *v1alpha1.Problem
		if !errors.As(err, &problem) || !strings.Contains(problem.Message, says) {
			t.Errorf("%v doesn't say %q", err, says)
		}
	}
}

func TestPathsAreCopiedBeforeTheEnd(t *testing.T) {
	s := aReplacement(nil)
	s.Restore.Spec.Source.Paths, s.Restore.Status.Strategy = []string{"/etc/app.conf"}, v1alpha1.StrategyClaimsOnly
	s.Restore.Status.Source, s.FillTimeout = "b", time.Hour
	s.Filling = []string{"data: its pod starts"}
	step := Next(s)
	if step.Name != StepFill || !strings.Contains(step.Need().Wait.Message(), "fills the claims from VolumeBackup b: data: its pod starts") {
		t.Errorf("%+v", step)
	}
	s.Filling = nil
	setTrue(&s.Restore.Status, v1alpha1.ConditionClaimsFilled)
	if step := Next(s); step.Name != StepEnd {
		t.Errorf("after it comes %s", step.Name)
	}
}

func TestWhatIsSaidOfPathsThatArentCopied(t *testing.T) {
	r := &v1alpha1.VolumeRestore{}
	r.Spec.Source.Paths, r.Status.Source = []string{"/a"}, "b"
	r.Status.Claims = []v1alpha1.RestoredClaim{{ClaimName: "data"}}
	for _, c := range []struct {
		change     func()
		unreadable bool
		want       string
	}{
		{func() {}, false, "claim data could not be filled from VolumeBackup b: NotFound: no /a"},
		{func() {}, true, "claim data could not be filled from VolumeBackup b: NotFound: no /a. A mover may read every file in a namespace that an administrator has annotated with lull.dev/privileged-movers=true"},
		{func() { r.Status.Claims = append(r.Status.Claims, r.Status.Claims[0]) }, false, "claim data could not be filled from VolumeBackup b: NotFound: no /a. The paths are asked of every claim: spec.volumes.include says of which alone"},
		{func() { inRepository(&Input{Restore: r}, nil); r.Spec.Source.Paths = nil }, true, "claim data could not be filled from ResticRepository offsite: NotFound: no /a"},
	} {
		c.change()
		if got := FillFailed(r, &v1alpha1.RestoredClaim{ClaimName: "data"}, "NotFound", "no /a", c.unreadable).Message; got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
	if got := OwnersNotRestored(r, 5).Message; !strings.Contains(got, "user 5") || !strings.Contains(got, "spec.mover.securityContext.runAsUser of ResticRepository offsite. ") || !strings.Contains(got, "set spec.mover.privileged there, and have an administrator") {
		t.Error(got)
	}
	r.Spec.Source.Repository = nil
	if got := OwnersNotRestored(r, 5).Message; strings.Contains(got, "spec.mover") || !strings.Contains(got, "have an administrator annotate") {
		t.Error(got)
	}
}
