package integration

import (
	"strings"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

func commits(spec *v1alpha1.VolumeBackupSpec) {
	framework.Quiesce(spec).Stills = v1alpha1.StillsCommits
}

// What holds commits alone proves a copy of one instant, and no other. No hold proves a
// copy that lacks what the application says that it uses.
func TestAHoldOfCommitsIsJudgedByHowItWasCut(t *testing.T) {
	for name, c := range map[string]struct {
		begin   func(*fakeCluster) *v1alpha1.VolumeBackup
		verdict v1alpha1.Consistency
		says    string
	}{
		"files on two volumes": {func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data", "log")
			return fc.aBackup(fc.held)
		}, v1alpha1.Proven, ""},
		"commits on one volume": {func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data")
			return fc.aBackup(fc.held, commits)
		}, v1alpha1.Proven, ""},
		"commits on two volumes": {func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data", "log")
			return fc.aBackup(fc.held, commits)
		}, v1alpha1.Declared, "claims data, log were cut one after another"},
		"commits on two volumes, one of which is left out": {func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data", "log")
			return fc.aBackup(fc.held, commits, func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Exclude = []string{"log"} })
		}, v1alpha1.Proven, ""},
		"commits on two volumes, the one of which that is left out is used": {func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data", "log")
			return fc.aBackup(fc.heldBy("echo USES /data; echo USES /log; "+holds), commits, func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Exclude = []string{"log"} })
		}, v1alpha1.Declared, "/log is on claim log. Back up all volumes"},
		"files that are on no volume": {func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data")
			return fc.aBackup(fc.heldBy("echo USES /var/lib/db; " + holds))
		}, v1alpha1.Declared, "/var/lib/db is on no volume"},
		"files that are all on volumes": {func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data", "log")
			return fc.aBackup(fc.heldBy("echo USES /data/db; echo USES /log; " + holds))
		}, v1alpha1.Proven, ""},
		"commits, by the pod's own annotation": {func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.claims("data", "log")
			fc.runs("mysql", annotated(map[string]string{v1alpha1.AnnotationHoldStills: "Commits"}, "data", "log"), nil)
			return fc.aBackup(fc.held)
		}, v1alpha1.Declared, "Put data and log on one volume"},
		"commits of a claim, half of what its pod has": {func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data", "log")
			return fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data", fc.held, commits)
		}, v1alpha1.Declared, "its claim log isn't part of this backup"},
		"commits of replicas with a volume each": {func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.claims("data-db-0", "data-db-1")
			set := fc.aStatefulSet("db", 2, "data")
			fc.runs("db-0", template("data-db-0"), set)
			fc.runs("db-1", template("data-db-1"), set)
			return fc.aBackupOf(v1alpha1.KindStatefulSet, "db", fc.held, commits)
		}, v1alpha1.Proven, ""},
		"commits on storage that copies files": {func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data")
			fc.marksClass("true")
			return fc.aBackup(fc.held, commits)
		}, v1alpha1.Declared, "is marked lull.dev/copies-files"},
		"commits on storage of which nobody has said how it cuts": {func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data")
			fc.marksClass("")
			return fc.aBackup(fc.held, commits)
		}, v1alpha1.Declared, "isn't known. Where it does, by its makers' word: kubectl annotate volumesnapshotclass"},
		"files on storage that copies files": {func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data")
			fc.marksClass("true")
			return fc.aBackup(fc.held)
		}, v1alpha1.Proven, ""},
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			b := c.begin(fc)
			fc.aManager()
			b = fc.awaitComplete(b, c.verdict)
			fc.isMethod(b, v1alpha1.MethodHold, 1)
			for _, where := range []string{b.Status.Message, condition(b, v1alpha1.ConditionFrozen).Message} {
				if !strings.Contains(where, c.says) {
					t.Errorf("should say %q: %s", c.says, where)
				}
			}
			if !isTrue(b, v1alpha1.ConditionFrozen) {
				t.Errorf("it was frozen:\n%s", describe(b))
			}
		})
	}
}

// marksClass has the class of the fake cluster say how its driver cuts, or say
// nothing.
func (fc *fakeCluster) marksClass(copies string) {
	fc.Helper()
	class := &snapshotv1.VolumeSnapshotClass{}
	fc.must(admin.Get(fc.ctx, client.ObjectKey{Name: fc.namespace + "-class"}, class))
	class.Annotations = map[string]string{}
	if copies != "" {
		class.Annotations[v1alpha1.MarkCopiesFiles] = copies
	}
	fc.must(admin.Update(fc.ctx, class))
}
