package e2e

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("what a restore leaves behind", func() {
	It("is, of a replacement, a claim as its owner made it, and the previous volume, which goes when it is let go", func(ctx SpecContext) {
		app := anApplicationOf(ctx, func(c *corev1.PersistentVolumeClaim) {
			c.Labels, c.Annotations = map[string]string{"team": "shop"}, map[string]string{"note": "orders"}
		})
		restore := theRestore(ctx, aRestore(ctx, theBackup(ctx, aBackup(ctx, app)), v1alpha1.StrategyReplace))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyReplace))

		claim := theClaim(ctx, "data")
		Expect(claim.Spec.VolumeName).To(Equal(restore.Status.Claims[0].RestoredVolume))
		Expect(claim.Labels).To(Equal(map[string]string{"team": "shop"}))
		Expect(claim.Annotations).To(HaveKeyWithValue("note", "orders"))
		Expect(marksOn(claim)).To(BeEmpty())
		Expect(claimsIn(ctx)).To(ConsistOf("data"))
		beAsAnyOther(theVolume(ctx, claim.Spec.VolumeName))

		kept := theVolume(ctx, restore.Status.Claims[0].PreviousVolume)
		beKept(kept, restore)
		Expect(kept.Status.Phase).To(Equal(corev1.VolumeReleased))

		By("letting it go as its owner")
		before := uidsOf(ctx, app)
		change(ctx, restore, `{"spec":{"releasePrevious":true}}`)
		gone(ctx, kept)
		Eventually(ctx, saidOf(ctx, restore)).Should(ContainSubstring("1 volume(s) were let go"))
		Expect(uidsOf(ctx, app)).To(Equal(before), "nothing was stopped")
	})

	It("is, of a repointing, a claim that says where it is from, and the previous claim, whose volume stays when that is deleted", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		restore := theRestore(ctx, aRestore(ctx, theBackup(ctx, aBackup(ctx, app)), v1alpha1.StrategyRepoint))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyRepoint))

		claim := theClaim(ctx, restore.Status.Claims[0].RestoredClaim)
		Expect(claim.Labels).To(And(HaveKeyWithValue(v1alpha1.LabelRestore, restore.Name), Not(HaveKey(v1alpha1.LabelPrevious))))
		Expect(claim.Finalizers).To(ConsistOf("kubernetes.io/pvc-protection"))
		Expect(claimsIn(ctx)).To(ConsistOf("data", claim.Name))
		beAsAnyOther(theVolume(ctx, claim.Spec.VolumeName))

		previous := theClaim(ctx, "data")
		Expect(previous.Labels).To(And(HaveKeyWithValue(v1alpha1.LabelRestore, restore.Name), HaveKey(v1alpha1.LabelPrevious)))
		beKept(theVolume(ctx, previous.Spec.VolumeName), restore)

		By("letting it go as the documentation says")
		Expect(cluster.Delete(ctx, previous)).To(Succeed())
		gone(ctx, previous)
		kept := theVolume(ctx, restore.Status.Claims[0].PreviousVolume)
		beKept(kept, restore)
		change(ctx, kept, `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
		gone(ctx, kept)

		By("refusing to go back to it then")
		rollBack(ctx, restore)
		Eventually(ctx, refusalOf(ctx, restore)).Should(And(HaveField("Reason", v1alpha1.ReasonPreviousGone), HaveField("Message", ContainSubstring(kept.Name))))
	})

	It("can be brought back by hand, without the operator", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		write(ctx, app, "after", "/data/mark")
		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyReplace))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyReplace))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))
		claim := restore.Status.Claims[0]

		By("putting the previous volume under the claim's name as the documentation says")
		scaleToZero(ctx, app)
		change(ctx, theVolume(ctx, claim.RestoredVolume), `{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}`)
		data := theClaim(ctx, "data")
		Expect(cluster.Delete(ctx, data.DeepCopy())).To(Succeed())
		gone(ctx, data.DeepCopy())
		unbind := `{"spec":{"claimRef":{"uid":null,"resourceVersion":null}}}`
		change(ctx, theVolume(ctx, claim.PreviousVolume), unbind)
		Eventually(ctx, func() corev1.PersistentVolumePhase { return theVolume(ctx, claim.PreviousVolume).Status.Phase }).Should(Equal(corev1.VolumeAvailable))
		change(ctx, theVolume(ctx, claim.PreviousVolume), unbind) // which a volume that is only reserved has to take as well
		again := framework.Claim(namespace, "data")
		again.Spec = *data.Spec.DeepCopy()
		again.Spec.VolumeName = claim.PreviousVolume
		Expect(cluster.Create(ctx, again)).To(Succeed())
		change(ctx, app.Workload(), `{"spec":{"replicas":1}}`)
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"after"}))
		change(ctx, theVolume(ctx, claim.RestoredVolume), `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
	})

	DescribeTable("is nothing where the previous claims are to be deleted, and there is no way back",
		func(ctx SpecContext, strategy v1alpha1.RestoreStrategy) {
			app := running(ctx, tools("app", "", "data"))
			write(ctx, app, "before", "/data/mark")
			restore := theRestore(ctx, aRestore(ctx, theBackup(ctx, aBackup(ctx, app)), strategy, deletingPrevious))
			Expect(restore).To(beRestoredBy(strategy))
			claim := restore.Status.Claims[0]
			Eventually(ctx, claimsIn).Should(ConsistOf(claim.RestoredClaim))
			gone(ctx, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: claim.PreviousVolume}})
			beAsAnyOther(theVolume(ctx, claim.RestoredVolume))

			before := uidsOf(ctx, app)
			rollBack(ctx, restore)
			Eventually(ctx, refusalOf(ctx, restore)).Should(HaveField("Reason", v1alpha1.ReasonPreviousGone))
			Expect(uidsOf(ctx, app)).To(Equal(before), "nothing was stopped")
			Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))
		},
		Entry("by repointing", v1alpha1.StrategyRepoint),
		Entry("by replacing", v1alpha1.StrategyReplace),
	)

	DescribeTable("is, once it is undone, what had been restored: the application has run on it",
		func(ctx SpecContext, strategy v1alpha1.RestoreStrategy) {
			app := running(ctx, tools("app", "", "data"))
			restore := theRestore(ctx, aRestore(ctx, theBackup(ctx, aBackup(ctx, app)), strategy))
			rollBack(ctx, restore)
			Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreRolledBack))
			claim := restore.Status.Claims[0]
			beKept(theVolume(ctx, claim.RestoredVolume), restore)
			beAsAnyOther(theVolume(ctx, claim.PreviousVolume))
			Expect(marksOn(theClaim(ctx, "data"))).To(BeEmpty())
			Expect(theClaim(ctx, "data").Spec.VolumeName).To(Equal(claim.PreviousVolume))
		},
		Entry("by repointing", v1alpha1.StrategyRepoint),
		Entry("by replacing", v1alpha1.StrategyReplace),
	)
})

var _ = Describe("a restore at its end", func() {
	It("writes nothing any more, whatever happens to its application", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		backup := theBackup(ctx, aBackup(ctx, app))
		complete := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyRepoint))
		failed := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto, including("elsewhere")))
		refused := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyClaimsOnly))
		rollBack(ctx, refused)
		Eventually(ctx, refusalOf(ctx, refused)).Should(HaveField("Reason", v1alpha1.ReasonNothingToRollBack))
		Expect(complete).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(meta.IsStatusConditionTrue(failed.Status.Conditions, v1alpha1.ConditionFailed)).To(BeTrue())

		versions := func() (versions []string, err error) {
			var all v1alpha1.VolumeRestoreList
			err = cluster.List(ctx, &all, client.InNamespace(namespace))
			for _, r := range all.Items {
				versions = append(versions, r.Name+" "+r.ResourceVersion)
			}
			return versions, err
		}
		before, err := versions()
		Expect(err).NotTo(HaveOccurred())
		Expect(before).To(HaveLen(3))
		scaleToZero(ctx, app)
		change(ctx, app.Workload(), `{"spec":{"replicas":1}}`)
		Consistently(ctx, versions).WithTimeout(5 * time.Second).Should(Equal(before))
		podOf(ctx, app)
	})
})

// anApplicationOf runs on a claim that its owner made in a way of their own.
func anApplicationOf(ctx context.Context, different func(*corev1.PersistentVolumeClaim)) framework.Application {
	GinkgoHelper()
	claim := framework.Claim(namespace, "data")
	different(claim)
	Expect(cluster.Create(ctx, claim)).To(Succeed())
	return running(ctx, tools("app", "", "data"))
}

// marksOn are the marks of ours on an object: labels, annotations, finalizers.
func marksOn(o client.Object) (marks []string) {
	for key, value := range o.GetLabels() {
		if strings.HasPrefix(key, "lull.dev/") || value == v1alpha1.ManagedBy {
			marks = append(marks, key)
		}
	}
	for _, key := range slices.AppendSeq(slices.Clone(o.GetFinalizers()), maps.Keys(o.GetAnnotations())) {
		if strings.HasPrefix(key, "lull.dev/") {
			marks = append(marks, key)
		}
	}
	return marks
}

// beAsAnyOther holds a volume to be as its class makes them.
func beAsAnyOther(v *corev1.PersistentVolume) {
	GinkgoHelper()
	Expect(v.Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimDelete))
	Expect(v.Status.Phase).To(Equal(corev1.VolumeBound))
	Expect(marksOn(v)).To(BeEmpty())
}

// beKept holds a volume to be kept for its owner, and to say by which restore.
func beKept(v *corev1.PersistentVolume, by *v1alpha1.VolumeRestore) {
	GinkgoHelper()
	Expect(v.Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimRetain))
	Expect(v.Labels).To(And(HaveKeyWithValue(v1alpha1.LabelPrevious, "true"), HaveKeyWithValue(v1alpha1.LabelRestore, by.Name)))
}
