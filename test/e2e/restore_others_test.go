package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("what belongs to somebody else", func() {
	It("isn't taken by a claim that only names it", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		scaleToZero(ctx, app)
		other := running(ctx, tools("other", "", "theirs"))
		theirs := theVolume(ctx, theClaim(ctx, "theirs").Spec.VolumeName)

		data := theClaim(ctx, "data")
		Expect(cluster.Delete(ctx, data)).To(Succeed())
		gone(ctx, data)
		wishful := framework.Claim(namespace, "data")
		wishful.Spec.VolumeName, wishful.Spec.StorageClassName = theirs.Name, &theirs.Spec.StorageClassName
		Expect(cluster.Create(ctx, wishful)).To(Succeed())

		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyReplace))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyReplace))
		Expect(restore.Status.Claims[0].PreviousVolume).To(BeEmpty())
		rollBack(ctx, restore)
		Eventually(ctx, refusalOf(ctx, restore)).Should(HaveField("Reason", v1alpha1.ReasonNothingToRollBack))
		now := theVolume(ctx, theirs.Name)
		Expect(now.Spec).To(Equal(theirs.Spec))
		Expect(now.Labels).To(Equal(theirs.Labels))
		podOf(ctx, other)
	})

	It("isn't taken back when its owner has put it to another use", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "before", "/data/mark")
		restore := theRestore(ctx, aRestore(ctx, theBackup(ctx, aBackup(ctx, app)), v1alpha1.StrategyReplace))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyReplace))
		before := uidsOf(ctx, app)

		kept := theVolume(ctx, restore.Status.Claims[0].PreviousVolume)
		kept.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: namespace, Name: "rescue"} // no claim of another spec may take it
		Expect(cluster.Update(ctx, kept)).To(Succeed())
		rescue := framework.Claim(namespace, "rescue")
		rescue.Spec.VolumeName, rescue.Spec.StorageClassName = kept.Name, &kept.Spec.StorageClassName
		Expect(cluster.Create(ctx, rescue)).To(Succeed())
		Eventually(ctx, func() corev1.PersistentVolumeClaimPhase { return theClaim(ctx, "rescue").Status.Phase }).Should(Equal(corev1.ClaimBound))

		rollBack(ctx, restore)
		Eventually(ctx, refusalOf(ctx, restore)).Should(And(
			HaveField("Reason", v1alpha1.ReasonPreviousGone), HaveField("Message", ContainSubstring("belongs to claim "+namespace+"/rescue now"))))
		Expect(uidsOf(ctx, app)).To(Equal(before), "nothing was stopped")
		Expect(theClaim(ctx, "rescue").Status.Phase).To(Equal(corev1.ClaimBound))
	})

	It("isn't waited for with the application down: a pod of another application that uses the claim", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "before", "/data/mark")
		restore := theRestore(ctx, aRestore(ctx, theBackup(ctx, aBackup(ctx, app)), v1alpha1.StrategyReplace))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyReplace))
		before := uidsOf(ctx, app)
		running(ctx, tools("reporter", "", "data"))

		rollBack(ctx, restore)
		Eventually(ctx, refusalOf(ctx, restore)).Should(And(
			HaveField("Reason", v1alpha1.ReasonClaimInUse), HaveField("Message", ContainSubstring("pod reporter-"))))
		Expect(uidsOf(ctx, app)).To(Equal(before), "nothing was stopped")
	})

	It("isn't gone back to while it is being deleted", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "before", "/data/mark")
		restore := theRestore(ctx, aRestore(ctx, theBackup(ctx, aBackup(ctx, app)), v1alpha1.StrategyRepoint))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyRepoint))
		before := uidsOf(ctx, app)
		running(ctx, tools("reporter", "", "data"))
		Expect(cluster.Delete(ctx, theClaim(ctx, "data"))).To(Succeed())

		rollBack(ctx, restore)
		Eventually(ctx, refusalOf(ctx, restore)).Should(And(
			HaveField("Reason", v1alpha1.ReasonPreviousGone), HaveField("Message", ContainSubstring("is being deleted"))))
		Expect(uidsOf(ctx, app)).To(Equal(before), "nothing was stopped")
	})
})
