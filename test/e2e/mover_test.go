package e2e

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

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
})

// idIn is the number of the user, or the group, that a MariaDB runs as.
func idIn(ctx context.Context, db framework.Application, of string) string {
	GinkgoHelper()
	id, err := cluster.Sh(ctx, podOf(ctx, db), "id -"+of+" mysql")
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(id)
}
