package restore

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// inRepository has a restore be from a repository, which has the claim data of
// shop/mysql.
func inRepository(in *Input, change func(*v1alpha1.RepositorySnapshot)) {
	in.Restore.Spec.Source.Repository = &v1alpha1.RepositorySource{Ref: v1alpha1.RepositoryReference{Name: "offsite"}}
	if in.Restore.Spec.Target.ApplicationRef == nil && in.Restore.Spec.Target.Strategy != v1alpha1.StrategyClaimsOnly {
		in.Restore.Spec.Target.ApplicationRef = &v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "mysql"}
	}
	s := v1alpha1.RepositorySnapshot{ClaimName: "data", SnapshotID: "0123456789abcdef", Size: resource.MustParse("100Mi")}
	if change != nil {
		change(&s)
	}
	in.Restore.Status.Found = &v1alpha1.FoundBackup{Application: "shop/mysql", Snapshots: []v1alpha1.RepositorySnapshot{s}}
	in.Restore.Status.Source = FoundSource("offsite", in.Restore.Status.Found)
	in.Backup, in.Snapshots, in.Contents = BackupIn(in.Restore), nil, nil
}

func TestResolveFromARepository(t *testing.T) {
	block := func(s *v1alpha1.RepositorySnapshot) { s.VolumeMode = corev1.PersistentVolumeBlock }
	claimsOnly := func(in *Input) {
		in.Restore.Spec.Target.Strategy = v1alpha1.StrategyClaimsOnly
		in.Workload, in.Claims = nil, nil
	}
	for name, c := range map[string]struct {
		change   func(*Input)
		snapshot func(*v1alpha1.RepositorySnapshot)
		want     v1alpha1.RestoreStrategy
		from     v1alpha1.ShapeSource
		size     string
	}{
		"onto an application": {func(*Input) {}, nil, v1alpha1.StrategyRepoint, v1alpha1.ShapeFromClaim, "1Gi"},
		"more files than the claim has room for, which may have holes": {func(*Input) {},
			func(s *v1alpha1.RepositorySnapshot) { s.Size = resource.MustParse("5Gi") }, v1alpha1.StrategyRepoint, v1alpha1.ShapeFromClaim, "1Gi"},
		"claims alone, of which nothing is known": {func(in *Input) {
			claimsOnly(in)
			delete(in.Classes, "other")
		}, nil, v1alpha1.StrategyClaimsOnly, v1alpha1.ShapeFromRepository, "184Mi"},
		"a device, which has what it has": {func(in *Input) {
			claimsOnly(in)
			delete(in.Classes, "other")
		}, block, v1alpha1.StrategyClaimsOnly, v1alpha1.ShapeFromRepository, "100Mi"},
	} {
		res, err := Resolve(aRestorable(func(in *Input) {
			c.change(in)
			inRepository(in, c.snapshot)
		}))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		claim := res.Claims[0]
		if res.Strategy != c.want || claim.Shape.From != c.from || claim.Shape.Size.Cmp(resource.MustParse(c.size)) != 0 || claim.Fill == nil || claim.Fill.SnapshotID != "0123456789abcdef" {
			t.Errorf("%s: %s, %+v, %s", name, res.Strategy, claim, &claim.Shape.Size)
		}
		r := aRestorable(func(in *Input) { inRepository(in, nil) }).Restore
		if made := NewClaim(r, &claim); made.Spec.DataSource != nil || made.Labels[v1alpha1.LabelRepository] != "offsite" || made.Labels[v1alpha1.LabelBackup] != "" {
			t.Errorf("%s: the claim is made as %+v", name, made)
		}
	}
	for says, c := range map[string]func(*Input){
		"write one into spec.target.storageClassName": func(in *Input) {
			claimsOnly(in) // there are two classes, and none is the default
			inRepository(in, nil)
		},
		"what is in the repository was a volume of mode Block": func(in *Input) { inRepository(in, block) },
		"which ResticRepository offsite doesn't hold: it holds data": func(in *Input) {
			in.Restore.Spec.Volumes.Include = []string{"logs"}
			inRepository(in, nil)
		},
		"ResticRepository offsite holds claim \"other\", which Deployment mysql doesn't mount": func(in *Input) {
			inRepository(in, func(s *v1alpha1.RepositorySnapshot) { s.ClaimName = "other" })
		},
	} {
		_, err := Resolve(aRestorable(c))
		var problem *v1alpha1.Problem
		if !errors.As(err, &problem) || !strings.Contains(problem.Message, says) {
			t.Errorf("%v doesn't say %q", err, says)
		}
	}
}

// The claims of another StatefulSet go to the same replicas.
func TestClaimsOfAnotherStatefulSetInARepository(t *testing.T) {
	res, err := Resolve(aRestorable(func(in *Input) {
		aStatefulSet(in)
		in.Restore.Spec.Target.ApplicationRef = &v1alpha1.ApplicationReference{Kind: v1alpha1.KindStatefulSet, Name: "mysql"}
		inRepository(in, func(s *v1alpha1.RepositorySnapshot) { s.ClaimName = "data-old-5" })
		in.Restore.Status.Found.Application = "prod/old"
		in.Backup = BackupIn(in.Restore)
	}))
	if err != nil || res.Claims[0].PreviousClaim != "data-mysql-5" {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestClaimsAreFilledBeforeAnythingIsStopped(t *testing.T) {
	s := aReplacement(nil)
	s.Restore.Spec.Source.Repository = &v1alpha1.RepositorySource{Ref: v1alpha1.RepositoryReference{Name: "offsite"}}
	s.FillTimeout = time.Hour
	if step := Next(s); step.Name != StepFill {
		t.Fatalf("next is %s", step.Name)
	}
	s.Filling = []string{"data: its pod starts"}
	need := Next(s).Need()
	if need.Wait == nil || len(need.Changes) > 0 || !need.Wait.Until.Equal(now.Add(time.Hour)) || !strings.Contains(need.Wait.Message(), "data: its pod starts; the application runs") {
		t.Errorf("while it is filled: %+v", need)
	}
	s.Filling = nil
	if need := Next(s).Need(); !need.IsNothing() {
		t.Errorf("once it is filled: %+v", need)
	}
	setTrue(&s.Restore.Status, v1alpha1.ConditionClaimsFilled)
	if step := Next(s); step.Name != StepKeepVolumes {
		t.Errorf("after it comes %s", step.Name)
	}
	meta.FindStatusCondition(s.Restore.Status.Conditions, v1alpha1.ConditionClaimsFilled).LastTransitionTime = metav1.NewTime(now.Add(5 * time.Hour))
	if until := s.runningUntil(); !until.Equal(now.Add(6 * time.Hour)) {
		t.Errorf("what comes after may take until %s: filling may take long", until)
	}
	s.Restore.Status.RollBack = &v1alpha1.RollBackStatus{StartedAt: *ptr.To(metav1.NewMicroTime(now))}
	for _, step := range Plan(s) {
		if step.Name == StepFill {
			t.Error("the way back fills claims")
		}
	}
}

// Its snapshots went once it was exported: it comes back from the repository, with
// all that it knows of its claims.
func TestABackupThatIsOnlyExportedIsRestoredFromTheRepository(t *testing.T) {
	in := aRestorable(func(*Input) {})
	b := in.Backup
	b.Namespace, b.UID = "shop", "uid-b"
	if found, same := OnlyExported(b); found != nil || same != b {
		t.Fatalf("it has its snapshots, and %+v was found", found)
	}
	b.Spec.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: "offsite"}}
	b.Status.Conditions = append(b.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionSnapshotsReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonOnlyExported})
	for i := range b.Status.Volumes {
		b.Status.Volumes[i].Export = &v1alpha1.ExportStatus{SnapshotID: "0123456789abcdef", Processed: ptr.To(resource.MustParse("100Mi"))}
	}
	found, without := OnlyExported(b)
	in.Restore.Status.Found, in.Restore.Status.Source = found, b.Name
	in.Backup, in.Snapshots, in.Contents = without, nil, nil
	res, err := Resolve(in)
	if err != nil {
		t.Fatal(err)
	}
	if c := res.Claims[0]; c.SnapshotName != "" || c.Fill == nil || c.Fill.SnapshotID != "0123456789abcdef" {
		t.Errorf("its claim: %+v", c)
	}
	if RepositoryOf(in.Restore) != "offsite" || SourceOf(in.Restore) != "ResticRepository offsite" || found.BackupUID != "uid-b" {
		t.Errorf("%+v", found)
	}
	if b.Status.Volumes[0].SnapshotName == "" {
		t.Error("the backup itself was changed")
	}
}
