package e2e

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("a group of volumes", Label("driver"), func() {
	It("is cut at one instant, restored volume by volume, and goes with its backup", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "log", "index"))
		write(ctx, app, "before", "/data/mark", "/log/mark", "/index/mark")
		backup := theBackup(ctx, aBackup(ctx, app, hold(holdStill), ofGroupClass(aGroupClass(ctx))))
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		group := backup.Status.Quiesce.GroupSnapshotName
		Expect(groupsIn(ctx)).To(ConsistOf(group))
		for _, v := range backup.Status.Volumes {
			Expect(v).To(And(HaveField("ReadyToUse", true), HaveField("SnapshotName", Not(BeEmpty())), HaveField("ContentName", Not(BeEmpty()))))
			Expect(v.CreationTime).To(Equal(backup.Status.Volumes[0].CreationTime))
			Expect(theClaim(ctx, v.ClaimName).Labels).To(HaveKeyWithValue(v1alpha1.LabelGroup, group))
		}

		By("a restore")
		write(ctx, app, "after", "/data/mark", "/log/mark", "/index/mark")
		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyRepoint))).To(beRestoredBy(v1alpha1.StrategyRepoint))
		for _, file := range []string{"/data/mark", "/log/mark", "/index/mark"} {
			Expect(read(ctx, app, file)).To(Equal([]string{"before"}))
		}

		By("another backup, of the volumes that it has now")
		again := theBackup(ctx, aBackup(ctx, app, hold(holdStill), ofGroupClass(aGroupClass(ctx))))
		Expect(again).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(again.Status.Quiesce.Attempt).To(BeEquivalentTo(1))

		By("their deletion")
		Expect(cluster.Delete(ctx, backup)).To(Succeed())
		Expect(cluster.Delete(ctx, again)).To(Succeed())
		nothingIsLeft(ctx)
	})

	It("is kept without its backup, where that is asked for", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "log"))
		backup := theBackup(ctx, aBackup(ctx, app, retained, ofGroupClass(aGroupClass(ctx))))
		Expect(cluster.Delete(ctx, backup)).To(Succeed())
		gone(ctx, backup)
		groups, _, err := cluster.Groups(ctx, namespace)
		Expect(err).NotTo(HaveOccurred())
		Expect(groups).To(HaveLen(1))
		group := &groups[0]
		Expect(group.GetName()).To(Equal(backup.Status.Quiesce.GroupSnapshotName))
		Expect(group.GetDeletionTimestamp()).To(BeNil())
		Expect(group.GetLabels()).NotTo(HaveKey(v1alpha1.LabelBackupUID))
		Expect(group.GetAnnotations()).To(HaveKeyWithValue(v1alpha1.AnnotationRetainedFrom, backup.Name))
		Expect(snapshotsIn(ctx)).To(HaveEach(HaveField("Labels", Not(HaveKey(v1alpha1.LabelBackupUID)))))
		Expect(snapshotsIn(ctx)).To(HaveLen(2))
		Expect(cluster.Delete(ctx, group)).To(Succeed())
		nothingIsLeft(ctx)
	})

	It("is cut too late: the application is thawed in time, the late cut is discarded", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "log"))
		b := aBackup(ctx, app, hold(holdStill), timeout(4*time.Second), ofGroupClass(aGroupClass(ctx, "cutDelay", "8s", "times", "1")))
		Eventually(ctx, func() *v1alpha1.QuiesceStatus { return now(ctx, b).Status.Quiesce }).Should(HaveField("Failure", Not(BeEmpty())))
		q := now(ctx, b).Status.Quiesce
		Expect(q.ThawedAt.Time).To(BeTemporally("<=", q.Deadline.Time))

		backup := theBackup(ctx, b)
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(backup.Status.Quiesce.Attempt).To(BeEquivalentTo(2))
		Eventually(ctx, groupsIn).Should(ConsistOf(backup.Status.Quiesce.GroupSnapshotName))
		Eventually(ctx, contentsOf).Should(HaveLen(2))
		Expect(cluster.Delete(ctx, backup)).To(Succeed())
		nothingIsLeft(ctx)
	})

	It("is ready much later: the backup waits for that, and a restore finds it so", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "log"))
		b := aBackup(ctx, app, hold(holdStill), ofGroupClass(aGroupClass(ctx, "readyAfter", "6s")))
		Eventually(ctx, func() v1alpha1.Consistency { return now(ctx, b).Status.Consistency }).Should(Equal(v1alpha1.Proven))
		Expect(isTrue(now(ctx, b), v1alpha1.ConditionComplete)).To(BeFalse())
		backup := theBackup(ctx, b)
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyClaimsOnly))
	})

	It("is deleted by somebody before it is ready: the backup says so", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "log"))
		b := aBackup(ctx, app, ofGroupClass(aGroupClass(ctx, "readyAfter", "never")))
		Eventually(ctx, func() string { return now(ctx, b).Status.Message }).Should(ContainSubstring("waits until VolumeGroupSnapshot"))
		groups, _, err := cluster.Groups(ctx, namespace)
		Expect(err).NotTo(HaveOccurred())
		Expect(groups).To(HaveLen(1))
		Expect(cluster.Delete(ctx, &groups[0])).To(Succeed())
		Expect(theBackup(ctx, b)).To(haveFailed("SnapshotLost", "VolumeGroupSnapshot "+groups[0].GetName(), "was deleted"))
		nothingIsLeft(ctx)
	})

	It("is one at a time: backups of the same volumes wait for each other", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "log"))
		scaleToZero(ctx, app)
		class := aGroupClass(ctx)
		var backups []*v1alpha1.VolumeBackup
		for range 3 {
			backups = append(backups, aBackup(ctx, app, ofGroupClass(class)))
		}
		for _, b := range backups {
			backup := theBackup(ctx, b)
			Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodIdle))
			Expect(backup.Status.Quiesce.Attempt).To(BeEquivalentTo(1))
		}
	})

	It("can't be cut: the backup fails with the driver's words", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "log"))
		backup := theBackup(ctx, aBackup(ctx, app, attempts(2), hold(holdStill), ofGroupClass(aGroupClass(ctx, "error", "Internal"))))
		Expect(backup).To(haveFailed("QuiesceFailed", "after 2 attempt(s)", "code = Internal"))
		nothingIsLeft(ctx)
	})

	It("is asked for by a class that can't be", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "log"))
		Expect(theBackup(ctx, aBackup(ctx, app, ofGroupClass("nothing")))).To(haveFailed("NoSnapshotClass", `there is no VolumeGroupSnapshotClass "nothing"`, "leave out spec.volumeGroupSnapshotClassName"))
		other := created(ctx, framework.GroupClass("other.csi.example.com", nil))
		Expect(theBackup(ctx, aBackup(ctx, app, ofGroupClass(other)))).To(haveFailed("SnapshotClassMismatch", "other.csi.example.com", theDriver(ctx)))
		nothingIsLeft(ctx)
	})

	It("is what several volumes are cut as by default, where the driver has a default class, and one by one after that failed", Serial, func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "log"))
		class := framework.GroupClass(theDriver(ctx), framework.Parameters("error", "Internal", "times", "1"))
		class.SetAnnotations(map[string]string{"groupsnapshot.storage.kubernetes.io/is-default-class": "true"})
		created(ctx, class)

		backup := theBackup(ctx, aBackup(ctx, app, hold(holdStill)))
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(backup.Status.Quiesce).To(And(HaveField("Attempt", BeEquivalentTo(2)), HaveField("GroupSnapshotName", BeEmpty())))

		next := theBackup(ctx, aBackup(ctx, app, hold(holdStill)))
		Expect(next).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(next.Status.Quiesce).To(And(HaveField("Attempt", BeEquivalentTo(1)), HaveField("GroupSnapshotName", Not(BeEmpty()))))
	})
})

// groupsIn are the names of the groups in the spec's namespace.
func groupsIn(ctx context.Context) (names []string, err error) {
	groups, _, err := cluster.Groups(ctx, namespace)
	for i := range groups {
		names = append(names, groups[i].GetName())
	}
	return names, err
}

// nothingIsLeft waits until there is neither a snapshot nor a group.
func nothingIsLeft(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func() ([]unstructured.Unstructured, error) {
		groups, contents, err := cluster.Groups(ctx, namespace)
		return append(groups, contents...), err
	}).Should(BeEmpty())
	Eventually(ctx, snapshotsIn).Should(BeEmpty())
	Eventually(ctx, contentsOf).Should(BeEmpty())
}
