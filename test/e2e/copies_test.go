package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("a second repository", func() {
	It("has a copy of each export, and an application is restored from it where the first is lost", func(ctx SpecContext) {
		theSample(ctx, "offsite-repository.yaml")
		isReady(ctx, "offsite")
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "first", "/data/mark")
		theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
		Expect(cluster.Create(ctx, framework.Claim(namespace, "second-disk"))).To(Succeed())

		By("being made and filled as the page says")
		typed(ctx, pageCommands("repositories.md", "## A second copy"))
		isReady(ctx, "second")
		copies := func() []v1alpha1.CopyStatus { return repositoryNow(ctx, "offsite").Status.Copies }
		Expect(copies()).To(HaveExactElements(And(HaveField("Name", "second"), HaveField("Reason", v1alpha1.ReasonCopied), HaveField("Snapshots", BeEquivalentTo(1)))))
		Eventually(ctx, reasonsOf(ctx, repositoryNow(ctx, "offsite"))).Should(ContainElement(v1alpha1.ReasonCopied))

		By("having a later one once the first is looked at")
		write(ctx, app, "second", "/data/mark")
		later := theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
		change(ctx, repositoryNow(ctx, "offsite"), `{"spec":{"concurrency":3}}`)
		Eventually(ctx, copies).Should(HaveExactElements(HaveField("Snapshots", BeEquivalentTo(2))))

		By("losing the first, and the backups of the cluster")
		Expect(cluster.Delete(ctx, repositoryNow(ctx, "offsite"))).To(Succeed())
		Expect(cluster.Delete(ctx, later)).To(Succeed())
		gone(ctx, later)
		write(ctx, app, "broken", "/data/mark")
		restore := theRestore(ctx, aRestoreFrom(ctx, "second", onto(v1alpha1.KindDeployment, "app")))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(restore.Status.Found.BackupUID).To(Equal(later.UID))
		Expect(read(ctx, app, "/data/mark")).To(HaveEach("second"))
		Eventually(ctx, jobsIn).Should(BeEmpty())
	})

	It("that the same restic can't reach is refused with what can be done, and holds no export up", func(ctx SpecContext) {
		theSample(ctx, "offsite-repository.yaml")
		same := aRepository("same", "offsite-password")
		same.Spec.Backend.Volume = repositoryNow(ctx, "offsite").Spec.Backend.Volume
		Expect(cluster.Create(ctx, same)).To(Succeed())
		change(ctx, repositoryNow(ctx, "offsite"), `{"spec":{"copyTo":[{"repositoryRef":{"name":"same"}},{"repositoryRef":{"name":"nowhere"}}]}}`)
		Eventually(ctx, whyNotReady(ctx, "offsite")).Should(And(HavePrefix("CopyRefused"), ContainSubstring("both are at the same place")))
		Expect(repositoryNow(ctx, "offsite").Status.Copies).To(ContainElement(And(HaveField("Name", "nowhere"), HaveField("Reason", v1alpha1.ReasonCopyWaiting))))
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "kept", "/data/mark")
		theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
	})
})
