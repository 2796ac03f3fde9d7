package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("a mover", func() {
	It("exports and restores a database that changes its user itself, as that user and without being root", func(ctx SpecContext) {
		theSample(ctx, "offsite-repository.yaml")
		isReady(ctx, "offsite")
		db := running(ctx, annotated(aMariaDB("db", "data"), "lull.dev/quiesce", "mariadb"))
		fill(ctx, db)

		By("which the failed export says")
		failed := theBackup(ctx, aBackup(ctx, db, exportedTo("offsite")))
		Expect(failed).To(haveFailed(v1alpha1.ReasonExportFailed, "permission denied", "spec.mover.securityContext.runAsUser of ResticRepository offsite"))

		change(ctx, repositoryNow(ctx, "offsite"), fmt.Sprintf(`{"spec":{"mover":{"securityContext":{"runAsUser":%[1]s,"runAsGroup":%[2]s}}}}`, idIn(ctx, db, "u"), idIn(ctx, db, "g")))
		isReady(ctx, "offsite")
		b := theBackup(ctx, aBackup(ctx, db, exportedTo("offsite")))
		Expect(b).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		query(ctx, db, "DROP TABLE orders")

		restore := theRestore(ctx, aRestoreFrom(ctx, "offsite", onto(v1alpha1.KindDeployment, "db")))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(query(ctx, db, "SELECT COUNT(*), SUM(n) FROM orders")).To(Equal("3\t6"))
		query(ctx, db, "INSERT INTO orders VALUES (4)")
		Eventually(ctx, toldOf(ctx, restore)).Should(ContainElement(ContainSubstring("will belong to user " + idIn(ctx, db, "u"))))
	})

	It("has its cache in claims that the next one finds, and that go with the repository", func(ctx SpecContext) {
		class := aStorageClass(ctx, keepsItsVolumes)
		theSample(ctx, "offsite-repository.yaml")
		change(ctx, repositoryNow(ctx, "offsite"), fmt.Sprintf(`{"spec":{"mover":{"cache":{"storageClassName":%q,"size":"64Mi"}}}}`, class.Name))
		isReady(ctx, "offsite")
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "first", "/data/mark", "/data/other")
		Expect(theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
		made := cachesIn(ctx)
		Expect(made).To(HaveLen(1))

		By("in which restic writes, as a mover that owns nothing")
		look := running(ctx, tools("look", "", made[0].Name))
		cached, err := cluster.Sh(ctx, podOf(ctx, look), "find /"+made[0].Name+" -type f -path '*/index/*' | wc -l")
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.TrimSpace(cached)).NotTo(Equal("0"))
		Expect(cluster.Delete(ctx, look.Workload())).To(Succeed())

		By("and the next export has the same one, and finds its files as they were, though the cache has a group")
		write(ctx, app, "second", "/data/mark")
		second := theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
		Expect(second.Status.Volumes[0].Export.Files).To(Equal(v1alpha1.ExportedFiles{Changed: 1, Unmodified: 1}))
		Expect(uidsOfClaims(cachesIn(ctx))).To(Equal(uidsOfClaims(made)))

		By("and a restore has one until it is filled")
		restore := theRestore(ctx, aRestoreFrom(ctx, "offsite", onto(v1alpha1.KindDeployment, "app")))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(read(ctx, app, "/data/mark")).To(HaveEach("second"))
		Eventually(ctx, func() []string { return uidsOfClaims(cachesIn(ctx)) }).Should(Equal(uidsOfClaims(made)))

		Expect(cluster.Delete(ctx, repositoryNow(ctx, "offsite"))).To(Succeed())
		Eventually(ctx, func() []string { return uidsOfClaims(cachesIn(ctx)) }).Should(BeEmpty())
		Eventually(ctx, volumesOfClass(ctx, class.Name)).Should(BeEmpty())
	})

	It("looks after a repository with a cache of its own, and waits for the class that one is of", func(ctx SpecContext) {
		theSample(ctx, "offsite-repository.yaml")
		isReady(ctx, "offsite")
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "first", "/data/mark")
		change(ctx, repositoryNow(ctx, "offsite"), `{"spec":{"mover":{"cache":{"storageClassName":"nowhere","size":"64Mi"}}}}`)
		Eventually(ctx, whyNotReady(ctx, "offsite")).Should(And(HavePrefix(v1alpha1.ReasonNoStorageClass), ContainSubstring(`there is no StorageClass "nowhere"`)))
		b := aBackup(ctx, app, exportedTo("offsite"))
		Eventually(ctx, func() string { return now(ctx, b).Status.Message }).Should(ContainSubstring(`there is no StorageClass "nowhere"`))

		change(ctx, repositoryNow(ctx, "offsite"), `{"spec":{"mover":{"cache":{"storageClassName":null}},"maintenance":{"check":{"schedule":"@every 1m"}}}}`)
		Expect(theBackup(ctx, b)).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
		Eventually(ctx, func() any { return repositoryNow(ctx, "offsite").Status.LastCheckTime }).WithTimeout(5 * time.Minute).ShouldNot(BeNil())
		Expect(cachesIn(ctx)).To(HaveLen(2))

		By("and has none once nobody asks for one")
		change(ctx, repositoryNow(ctx, "offsite"), `{"spec":{"mover":{"cache":null},"maintenance":{"check":null}}}`)
		Eventually(ctx, func() []string { return uidsOfClaims(cachesIn(ctx)) }).Should(BeEmpty())
	})
})

// cachesIn are the claims of movers' caches in the spec's namespace.
func cachesIn(ctx context.Context) []corev1.PersistentVolumeClaim {
	GinkgoHelper()
	var all corev1.PersistentVolumeClaimList
	Expect(cluster.List(ctx, &all, client.InNamespace(namespace), client.HasLabels{v1alpha1.LabelCache})).To(Succeed())
	return all.Items
}

func uidsOfClaims(claims []corev1.PersistentVolumeClaim) (uids []string) {
	for _, c := range claims {
		uids = append(uids, string(c.UID))
	}
	return uids
}

// idIn is the number of the user, or the group, that a MariaDB runs as.
func idIn(ctx context.Context, db framework.Application, of string) string {
	GinkgoHelper()
	id, err := cluster.Sh(ctx, podOf(ctx, db), "id -"+of+" mysql")
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(id)
}
