package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("a restore of some volumes", func() {
	DescribeTable("leaves the others with what they have",
		func(ctx SpecContext, strategy v1alpha1.RestoreStrategy) {
			app := running(ctx, tools("app", "", "data", "log"))
			write(ctx, app, "before", "/data/mark", "/log/mark")
			backup := theBackup(ctx, aBackup(ctx, app))
			write(ctx, app, "after", "/data/mark", "/log/mark")
			log := theClaim(ctx, "log")

			restore := theRestore(ctx, aRestore(ctx, backup, strategy, including("data")))
			Expect(restore).To(And(beRestoredBy(strategy), HaveField("Status.Claims", ConsistOf(HaveField("ClaimName", "data")))))
			Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))
			Expect(read(ctx, app, "/log/mark")).To(Equal([]string{"after"}))
			Expect(theClaim(ctx, "log").UID).To(Equal(log.UID))
			Eventually(ctx, toldOf(ctx, restore)).Should(ContainElement(HavePrefix("Completed")))
			Expect(toldOf(ctx, restore)()).NotTo(ContainElement(ContainSubstring("the backup doesn't hold")), "it does")
		},
		Entry("by repointing", v1alpha1.StrategyRepoint),
		Entry("by replacing", v1alpha1.StrategyReplace),
	)

	It("names those that the backup doesn't hold, which stay as they are", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "log"))
		write(ctx, app, "before", "/data/mark", "/log/mark")
		backup := theBackup(ctx, aBackup(ctx, app, func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Include = []string{"data"} }))
		write(ctx, app, "after", "/data/mark", "/log/mark")

		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Eventually(ctx, toldOf(ctx, restore)).Should(ContainElement(And(HavePrefix("ClaimsNotInBackup"), ContainSubstring("doesn't hold log:"))))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))
		Expect(read(ctx, app, "/log/mark")).To(Equal([]string{"after"}))
	})
})

var _ = Describe("a raw block volume", func() {
	DescribeTable("is backed up and comes back as the device that it was",
		func(ctx SpecContext, strategy v1alpha1.RestoreStrategy) {
			app := tools("app", "", aClaim(ctx, "disk", corev1.PersistentVolumeBlock))
			app.Change = asDevices
			running(ctx, app)
			firstLine := func() string {
				text, err := cluster.Sh(ctx, podOf(ctx, app), "head -n 1 /dev/disk")
				Expect(err).NotTo(HaveOccurred())
				return text
			}
			write(ctx, app, "before", "/dev/disk")
			backup := theBackup(ctx, aBackup(ctx, app, hold(holdStill)))
			Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
			write(ctx, app, "after", "/dev/disk")

			restore := theRestore(ctx, aRestore(ctx, backup, strategy))
			Expect(restore).To(beRestoredBy(strategy))
			Expect(theClaim(ctx, restore.Status.Claims[0].RestoredClaim).Spec.VolumeMode).To(HaveValue(Equal(corev1.PersistentVolumeBlock)))
			Expect(firstLine()).To(Equal("before"))

			rollBack(ctx, restore)
			Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreRolledBack))
			Expect(firstLine()).To(Equal("after"))
		},
		Entry("by repointing", v1alpha1.StrategyRepoint),
		Entry("by replacing", v1alpha1.StrategyReplace),
	)
})

// asDevices gives a Deployment its volumes as devices below /dev.
func asDevices(workload client.Object) {
	container := &workload.(*appsv1.Deployment).Spec.Template.Spec.Containers[0]
	for _, mount := range container.VolumeMounts {
		container.VolumeDevices = append(container.VolumeDevices, corev1.VolumeDevice{Name: mount.Name, DevicePath: "/dev/" + mount.Name})
	}
	container.VolumeMounts = nil
}

var _ = Describe("a restored volume", func() {
	It("is no smaller than the one that it replaces, of another application too", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		large := framework.Claim(namespace, "large")
		large.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("1Gi")
		Expect(cluster.Create(ctx, large)).To(Succeed())
		other := running(ctx, tools("other", "", "large"))
		write(ctx, other, "after", "/large/mark")
		before := uidsOf(ctx, app)

		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyReplace, onto(v1alpha1.KindDeployment, "other"), as("data", "large")))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyReplace))
		Expect(read(ctx, other, "/large/mark")).To(Equal([]string{"before"}))
		atLeast := large.Spec.Resources.Requests[corev1.ResourceStorage]
		Expect(theClaim(ctx, "large").Status.Capacity.Storage().Cmp(atLeast)).To(BeNumerically(">=", 0))
		Expect(uidsOf(ctx, app)).To(Equal(before), "what was backed up isn't stopped")
	})

	It("is of the class that is asked for, and has the reclaim policy of that", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		write(ctx, app, "after", "/data/mark")
		keeping := aStorageClass(ctx, keepsItsVolumes)

		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyReplace, ofStorageClass(keeping.Name)))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyReplace))
		v := theVolume(ctx, restore.Status.Claims[0].RestoredVolume)
		DeferCleanup(func(ctx SpecContext) { change(ctx, v, `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`) })
		Expect(v.Spec).To(And(HaveField("StorageClassName", keeping.Name), HaveField("PersistentVolumeReclaimPolicy", corev1.PersistentVolumeReclaimRetain)))
		Expect(theClaim(ctx, "data").Spec.StorageClassName).To(HaveValue(Equal(keeping.Name)))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))

		By("and its claim has its own class again when it is undone")
		rollBack(ctx, restore)
		Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreRolledBack))
		Expect(theClaim(ctx, "data").Spec.StorageClassName).NotTo(HaveValue(Equal(keeping.Name)))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"after"}))
	})

	DescribeTable("takes the place of a claim that somebody deleted",
		func(ctx SpecContext, strategy v1alpha1.RestoreStrategy) {
			app := running(ctx, tools("app", "", "data"))
			write(ctx, app, "before", "/data/mark")
			backup := theBackup(ctx, aBackup(ctx, app))
			scaleToZero(ctx, app)
			claim := theClaim(ctx, "data")
			Expect(cluster.Delete(ctx, claim)).To(Succeed())
			gone(ctx, claim)
			change(ctx, app.Workload(), `{"spec":{"replicas":1}}`)

			restore := theRestore(ctx, aRestore(ctx, backup, strategy))
			Expect(restore).To(beRestoredBy(strategy))
			Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))

			By("with nothing to go back to")
			before := uidsOf(ctx, app)
			rollBack(ctx, restore)
			Eventually(ctx, refusalOf(ctx, restore)).Should(HaveField("Reason", v1alpha1.ReasonNothingToRollBack))
			Expect(uidsOf(ctx, app)).To(Equal(before), "nothing was stopped")
		},
		Entry("by repointing", v1alpha1.StrategyRepoint),
		Entry("by replacing", v1alpha1.StrategyReplace),
	)

	It("is proven by a pod that may run where only restricted ones may", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		backup := theBackup(ctx, aBackup(ctx, app))
		change(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyClaimsOnly))).To(beRestoredBy(v1alpha1.StrategyClaimsOnly))
	})
})
