package e2e

import (
	"context"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("two restores of one application", func() {
	DescribeTable("take turns; undoing the first leads back to the beginning, and then the second can't be undone",
		func(ctx SpecContext, strategy v1alpha1.RestoreStrategy) {
			app := running(ctx, tools("app", slowToStop, "data"))
			write(ctx, app, "monday", "/data/mark")
			monday := theBackup(ctx, aBackup(ctx, app))
			write(ctx, app, "tuesday", "/data/mark")
			tuesday := theBackup(ctx, aBackup(ctx, app))
			write(ctx, app, "today", "/data/mark")

			first := aRestore(ctx, monday, strategy, called("first"))
			second := aRestore(ctx, tuesday, strategy, called("second"))
			Eventually(ctx, saidOf(ctx, second)).WithPolling(20 * time.Millisecond).Should(ContainSubstring("waits for VolumeRestore first"))
			Expect(meta.FindStatusCondition(second.Status.Conditions, v1alpha1.ConditionReconciling)).To(HaveField("Reason", v1alpha1.ReasonRestoreUnderWay))
			Expect(theRestore(ctx, first)).To(beRestoredBy(strategy))
			Expect(theRestore(ctx, second)).To(beRestoredBy(strategy))
			Expect(second.Status.ScaledDownAt.Time).To(BeTemporally(">=", first.Status.CompletionTime.Truncate(time.Second)))
			Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"tuesday"}))

			By("undoing the first")
			rollBack(ctx, first)
			Eventually(ctx, phaseOf(ctx, first)).Should(Equal(v1alpha1.RestoreRolledBack))
			Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"today"}))
			before := uidsOf(ctx, app)

			By("keeping what either had restored, marked as kept")
			for _, r := range []*v1alpha1.VolumeRestore{first, second} {
				kept := theVolume(ctx, r.Status.Claims[0].RestoredVolume)
				Expect(kept.Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimRetain), r.Name)
				Expect(kept.Labels).To(HaveKey(v1alpha1.LabelPrevious), r.Name)
			}

			By("refusing to undo the second")
			rollBack(ctx, second)
			Eventually(ctx, refusalOf(ctx, second)).Should(And(HaveField("Reason", v1alpha1.ReasonSuperseded), HaveField("Message", ContainSubstring("no longer runs on"))))
			Expect(second.Status.Phase).To(Equal(v1alpha1.RestoreCompleted), "it stays what it was")
			Expect(uidsOf(ctx, app)).To(Equal(before), "nothing was stopped")
			Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"today"}))

			By("forgetting the refusal when it is no longer asked for")
			change(ctx, second, `{"spec":{"rollBack":false}}`)
			Eventually(ctx, saidOf(ctx, second)).Should(ContainSubstring("spec.rollBack: true brings them back"))
			rollBack(ctx, second)
			Eventually(ctx, saidOf(ctx, second)).Should(ContainSubstring("no longer runs on"))
		},
		Entry("by repointing", v1alpha1.StrategyRepoint),
		Entry("by replacing", v1alpha1.StrategyReplace),
	)

	It("can be undone one by one, the last first", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "monday", "/data/mark")
		monday := theBackup(ctx, aBackup(ctx, app))
		write(ctx, app, "tuesday", "/data/mark")
		first := theRestore(ctx, aRestore(ctx, monday, v1alpha1.StrategyReplace))
		write(ctx, app, "wednesday", "/data/mark")
		second := theRestore(ctx, aRestore(ctx, monday, v1alpha1.StrategyRepoint))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"monday"}))

		rollBack(ctx, second)
		Eventually(ctx, phaseOf(ctx, second)).Should(Equal(v1alpha1.RestoreRolledBack))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"wednesday"}))
		rollBack(ctx, first)
		Eventually(ctx, phaseOf(ctx, first)).Should(Equal(v1alpha1.RestoreRolledBack))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"tuesday"}))
	})
})

var _ = Describe("a restore and a backup of one application", func() {
	It("take turns: a restore waits until it is let go, and says by which", Label("driver"), func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		write(ctx, app, "after", "/data/mark")
		slow := aBackup(ctx, app, hold(noteHold), timeout(time.Minute), ofClass(aSnapshotClass(ctx, "cutDelay", "4s")))
		Eventually(ctx, func() string { return contents(ctx, podOf(ctx, app), "/tmp/quiet") }).Should(Equal("held"))

		restore := aRestore(ctx, backup, v1alpha1.StrategyAuto)
		Eventually(ctx, saidOf(ctx, restore)).Should(ContainSubstring("waits until VolumeBackup " + slow.Name + " has let the application go"))
		Expect(theBackup(ctx, slow)).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(now(ctx, slow).Status.Quiesce.Attempt).To(BeEquivalentTo(1), "the restore didn't disturb it")
		Expect(theRestore(ctx, restore)).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))
	})

	It("take turns: nor is the application stopped for a restore where the backup began while that was prepared", Label("driver"), func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		backup := theBackup(ctx, aBackup(ctx, app))
		snail := aStorageClass(ctx, func(c *storagev1.StorageClass) { c.Parameters = framework.Parameters("createDelay", "4s") })
		restore := aRestore(ctx, backup, v1alpha1.StrategyAuto, ofStorageClass(snail.Name))
		Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestorePreparing))

		slow := aBackup(ctx, app, hold(noteHold), timeout(time.Minute), ofClass(aSnapshotClass(ctx, "cutDelay", "20s")))
		Eventually(ctx, saidOf(ctx, restore)).Should(ContainSubstring("waits until VolumeBackup " + slow.Name + " has let the application go"))
		Expect(restore.Status.ScaledDownAt).To(BeNil())
		Expect(theBackup(ctx, slow)).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(now(ctx, slow).Status.Quiesce.Attempt).To(BeEquivalentTo(1), "the restore didn't disturb it")
		Expect(theRestore(ctx, restore)).To(beRestoredBy(v1alpha1.StrategyRepoint))
	})
})

var _ = Describe("a backup that is asked for in the middle of a restore", func() {
	It("waits until the application runs on volumes of one time, and says for which restore", func(ctx SpecContext) {
		app := running(ctx, tools("app", slowToStop, "data", "log"))
		write(ctx, app, "monday", "/data/mark", "/log/mark")
		monday := theBackup(ctx, aBackup(ctx, app))
		write(ctx, app, "today", "/data/mark", "/log/mark")
		restore := aRestore(ctx, monday, v1alpha1.StrategyReplace)
		Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreScalingDown))

		By("holding one of two claims, so that it stops halfway")
		held := theClaim(ctx, "log")
		change(ctx, held, `{"metadata":{"finalizers":["kubernetes.io/pvc-protection","example.com/held"]}}`)
		letClaimGo := func(ctx context.Context) error {
			return client.IgnoreNotFound(cluster.Patch(ctx, held, client.RawPatch(types.JSONPatchType, fmt.Appendf(nil,
				`[{"op":"test","path":"/metadata/uid","value":%q},{"op":"replace","path":"/metadata/finalizers","value":[]}]`, held.UID))))
		}
		DeferCleanup(func(ctx SpecContext) { _ = letClaimGo(ctx) }) // should it have failed before
		Eventually(ctx, saidOf(ctx, restore)).Should(ContainSubstring("example.com/held"))
		meanwhile := aBackup(ctx, app)
		Eventually(ctx, func() string { return now(ctx, meanwhile).Status.Message }).WithTimeout(10 * time.Second).Should(ContainSubstring("waits until VolumeRestore " + restore.Name))
		Expect(letClaimGo(ctx)).To(Succeed())

		Expect(theRestore(ctx, restore)).To(beRestoredBy(v1alpha1.StrategyReplace))
		pod := theCopy(ctx, theBackup(ctx, meanwhile))
		Expect(contents(ctx, pod, "/copy-data/mark")).To(Equal("monday"))
		Expect(contents(ctx, pod, "/copy-log/mark")).To(Equal("monday"))
	})
})

var _ = Describe("a restore that is deleted", func() {
	It("before its end is undone first", func(ctx SpecContext) {
		app := running(ctx, tools("app", slowToStop, "data"))
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		write(ctx, app, "after", "/data/mark")

		restore := aRestore(ctx, backup, v1alpha1.StrategyReplace)
		Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreScalingDown))
		Expect(cluster.Delete(ctx, restore)).To(Succeed())
		gone(ctx, restore)
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"after"}))
		Expect(claimsIn(ctx)).To(ConsistOf("data"))
		Expect(volumesOf(ctx, restore)).To(BeEmpty(), "none is kept for it")
	})

	It("at its end lets nothing go that it keeps", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		restore := theRestore(ctx, aRestore(ctx, theBackup(ctx, aBackup(ctx, app)), v1alpha1.StrategyReplace))
		before := uidsOf(ctx, app)
		Expect(cluster.Delete(ctx, restore.DeepCopy())).To(Succeed())
		gone(ctx, restore.DeepCopy())
		Expect(uidsOf(ctx, app)).To(Equal(before))
		Expect(volumesOf(ctx, restore)).To(ConsistOf(And(
			HaveField("Name", restore.Status.Claims[0].PreviousVolume),
			HaveField("Spec.PersistentVolumeReclaimPolicy", corev1.PersistentVolumeReclaimRetain),
			HaveField("DeletionTimestamp", BeNil()),
		)))
	})
})

// volumesOf are the volumes that carry the restore's mark.
func volumesOf(ctx SpecContext, r *v1alpha1.VolumeRestore) ([]corev1.PersistentVolume, error) {
	var all corev1.PersistentVolumeList
	err := cluster.List(ctx, &all, client.MatchingLabels{v1alpha1.LabelRestoreUID: string(r.UID)})
	return all.Items, err
}

var _ = Describe("a restore that is overtaken", func() {
	DescribeTable("by its undoing, while its pods stop: starts no other beside them",
		func(ctx SpecContext, strategy v1alpha1.RestoreStrategy) {
			app := running(ctx, tools("app", slowToStop, "data"))
			write(ctx, app, "before", "/data/mark")
			backup := theBackup(ctx, aBackup(ctx, app))
			write(ctx, app, "after", "/data/mark")

			restore := aRestore(ctx, backup, strategy)
			Eventually(ctx, phaseOf(ctx, restore)).WithPolling(20 * time.Millisecond).Should(Equal(v1alpha1.RestoreScalingDown))
			rollBack(ctx, restore)
			Eventually(ctx, func(g Gomega) {
				pods, err := podsInNamespace(ctx)
				g.Expect(err).NotTo(HaveOccurred())
				if mounting := slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.Labels["app"] != app.Name }); len(mounting) > 1 {
					StopTrying("two pods have the volume").Now()
				}
				g.Expect(phaseOf(ctx, restore)()).To(Equal(v1alpha1.RestoreRolledBack))
			}).WithPolling(20 * time.Millisecond).Should(Succeed())
			Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"after"}))
		},
		Entry("by repointing", v1alpha1.StrategyRepoint),
		Entry("by replacing", v1alpha1.StrategyReplace),
	)

	It("by an owner who names the volume anew: touches nothing, and says so", Label("driver"), func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		snail := aStorageClass(ctx, func(c *storagev1.StorageClass) { c.Parameters = framework.Parameters("createDelay", "10s") })

		restore := aRestore(ctx, backup, v1alpha1.StrategyRepoint, ofStorageClass(snail.Name), deletingPrevious)
		Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestorePreparing))
		deployment := app.Workload().(*appsv1.Deployment)
		spec := &deployment.Spec.Template.Spec
		spec.Volumes[0].Name, spec.Containers[0].VolumeMounts[0].Name = "renamed", "renamed"
		Expect(cluster.Update(ctx, deployment)).To(Succeed())
		Eventually(ctx, func() ([]corev1.Pod, error) { return cluster.ReadyPods(ctx, app) }).Should(
			ConsistOf(HaveField("Spec.Volumes", ContainElement(HaveField("Name", "renamed")))), "it is rolled out")
		before := uidsOf(ctx, app)

		Expect(theRestore(ctx, restore)).To(beRefused(v1alpha1.ReasonClaimNotMounted, "data"))
		Expect(uidsOf(ctx, app)).To(Equal(before), "nothing was stopped")
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))
		Expect(theClaim(ctx, "data").DeletionTimestamp).To(BeNil())
	})
})
