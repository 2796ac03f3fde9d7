package e2e

import (
	"context"
	"fmt"
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

var _ = Describe("a table that was dropped", func() {
	DescribeTable("comes back into a Deployment, and the restore can be undone, once",
		func(ctx SpecContext, strategy v1alpha1.RestoreStrategy) {
			db := running(ctx, annotated(aMariaDB("db", "data"), "lull.dev/quiesce", "mariadb"))
			fill(ctx, db)
			backup := theBackup(ctx, aBackup(ctx, db))
			query(ctx, db, "DROP TABLE orders")

			restore := aRestore(ctx, backup, strategy)
			Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreCompleted))
			Expect(restore.Status.Strategy).To(Equal(strategy))
			Expect(restore.Status.Downtime).NotTo(BeNil())
			Expect(query(ctx, db, "SELECT COUNT(*), SUM(n) FROM orders")).To(Equal("3\t6"))

			By("keeping the previous volume, and leaving the new one as any other")
			claim := restore.Status.Claims[0]
			Expect(theVolume(ctx, claim.PreviousVolume).Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimRetain))
			Expect(theVolume(ctx, claim.RestoredVolume).Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimDelete))
			Expect(marksOn(theVolume(ctx, claim.RestoredVolume))).To(BeEmpty())

			rollBack(ctx, restore)
			Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreRolledBack))
			Expect(query(ctx, db, "SHOW TABLES")).NotTo(ContainSubstring("orders"))
			Expect(theVolume(ctx, claim.PreviousVolume).Spec.PersistentVolumeReclaimPolicy).To(Equal(corev1.PersistentVolumeReclaimDelete))

			By("refusing to take the rollback back")
			base := restore.DeepCopy()
			restore.Spec.RollBack = false
			Expect(cluster.Patch(ctx, restore, client.MergeFrom(base))).To(MatchError(ContainSubstring("can't be taken back")))
		},
		Entry("by repointing", v1alpha1.StrategyRepoint),
		Entry("by replacing", v1alpha1.StrategyReplace),
	)

	It("comes back into every replica of a StatefulSet", func(ctx SpecContext) {
		db := annotated(aMariaDB("db", "data"), "lull.dev/quiesce", "mariadb")
		db.Kind, db.Replicas = v1alpha1.KindStatefulSet, 3
		db = running(ctx, db)
		fill(ctx, db)
		backup := theBackup(ctx, aBackup(ctx, db))
		query(ctx, db, "DROP TABLE orders")

		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyReplace))
		Expect(restore.Status.Claims).To(HaveLen(3))
		Expect(query(ctx, db, "SELECT COUNT(*), SUM(n) FROM orders")).To(Equal("3\t6"))

		By("going back on every replica, once")
		query(ctx, db, "CREATE TABLE later (n INT PRIMARY KEY)")
		rollBack(ctx, restore)
		Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreRolledBack))
		Expect(query(ctx, db, "SHOW TABLES")).To(BeEmpty(), "the orders were dropped, and nothing was made later")
		Expect(cluster.Merge(ctx, restore, `{"spec":{"rollBack":false}}`)).
			To(MatchError(ContainSubstring("a rollback can't be taken back: create another VolumeRestore to restore again")))
	})
})

var _ = Describe("a restore", func() {
	It("goes back by itself when the application isn't ready on it", func(ctx SpecContext) {
		// What makes it ready is on its volume, and only the first start puts
		// it there.
		app := tools("app", "[ -f /data/begun ] || touch /data/new; touch /data/begun", "data")
		app.Ready = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"test", "-f", "/data/new"}}}, PeriodSeconds: 1}
		app = running(ctx, app)
		pod := podOf(ctx, app)
		_, err := cluster.Sh(ctx, pod, "rm /data/new && sync")
		Expect(err).NotTo(HaveOccurred())
		backup := theBackup(ctx, aBackup(ctx, app))
		_, err = cluster.Sh(ctx, pod, "touch /data/new && sync")
		Expect(err).NotTo(HaveOccurred())
		podOf(ctx, app)

		restore := aRestore(ctx, backup, v1alpha1.StrategyReplace, func(r *v1alpha1.VolumeRestore) {
			r.Spec.ReadyTimeout = &metav1.Duration{Duration: 10 * time.Second}
		})
		Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreRolledBack))
		failed := meta.FindStatusCondition(restore.Status.Conditions, v1alpha1.ConditionFailed)
		Expect(failed).To(HaveField("Reason", v1alpha1.ReasonReadyTimeout))
		podOf(ctx, app)

		By("refusing to go back a second time")
		rollBack(ctx, restore)
		Eventually(ctx, refusalOf(ctx, restore)).Should(And(HaveField("Reason", v1alpha1.ReasonAlreadyRolledBack), HaveField("Message", ContainSubstring("nothing to undo"))))
		Expect(restore.Status.Phase).To(Equal(v1alpha1.RestoreRolledBack))
	})

	It("makes claims and touches nothing, where that is asked", func(ctx SpecContext) {
		app := running(ctx, tools("app", "true", "data"))
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		write(ctx, app, "after", "/data/mark")
		before := uidsOf(ctx, app)
		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyClaimsOnly, as("data", "of-tuesday")))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyClaimsOnly))
		Expect(uidsOf(ctx, app)).To(Equal(before))

		By("for anybody to look into")
		Expect(contents(ctx, podOf(ctx, running(ctx, tools("look", "", "of-tuesday"))), "/of-tuesday/mark")).To(Equal("before"))

		By("having nothing that could be undone")
		rollBack(ctx, restore)
		Eventually(ctx, refusalOf(ctx, restore)).Should(And(HaveField("Reason", v1alpha1.ReasonNothingToRollBack), HaveField("Message", ContainSubstring("kubectl delete pvc -l "+v1alpha1.LabelRestoreUID))))
	})
})

// fill makes a table of three rows in every replica.
func fill(ctx context.Context, db framework.Application) {
	GinkgoHelper()
	query(ctx, db, "CREATE TABLE orders (n INT PRIMARY KEY)")
	query(ctx, db, "INSERT INTO orders VALUES (1), (2), (3)")
}

// query runs a statement in every replica; all have to answer the same.
func query(ctx context.Context, db framework.Application, statement string) (answer string) {
	GinkgoHelper()
	var pods []corev1.Pod
	Eventually(ctx, func() (err error) { pods, err = cluster.ReadyPods(ctx, db); return err }).Should(Succeed())
	for i := range pods {
		said, err := cluster.MariaDBIn(&pods[i]).Query(ctx, statement)
		Expect(err).NotTo(HaveOccurred())
		said = strings.TrimSpace(said)
		Expect(i == 0 || said == answer).To(BeTrue(), fmt.Sprintf("%s answered %q, others %q", pods[i].Name, said, answer))
		answer = said
	}
	return answer
}
