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
	"github.com/lull-dev/lull/test/fixture"
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
			Expect(theVolume(ctx, claim.RestoredVolume).Labels).To(BeEmpty())

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

		restore := aRestore(ctx, backup, v1alpha1.StrategyAuto)
		Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreCompleted))
		Expect(restore.Status.Strategy).To(Equal(v1alpha1.StrategyReplace))
		Expect(query(ctx, db, "SELECT COUNT(*), SUM(n) FROM orders")).To(Equal("3\t6"))
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
	})

	It("makes claims and touches nothing, where that is asked", func(ctx SpecContext) {
		app := running(ctx, tools("app", "true", "data"))
		before := podOf(ctx, app).UID
		restore := aRestore(ctx, theBackup(ctx, aBackup(ctx, app)), v1alpha1.StrategyClaimsOnly)
		Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreCompleted))
		Expect(podOf(ctx, app).UID).To(Equal(before))
	})

	It("says which backup is missing", func(ctx SpecContext) {
		missing := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "missing"}}
		restore := aRestore(ctx, missing, v1alpha1.StrategyAuto)
		Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreFailed))
		Expect(restore.Status.Message).To(ContainSubstring(`no VolumeBackup "missing"`))
	})
})

func aRestore(ctx context.Context, b *v1alpha1.VolumeBackup, strategy v1alpha1.RestoreStrategy, change ...func(*v1alpha1.VolumeRestore)) *v1alpha1.VolumeRestore {
	GinkgoHelper()
	r := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "restore-"}}
	r.Spec.Source.VolumeBackupRef = &v1alpha1.LocalReference{Name: b.Name}
	r.Spec.Target.Strategy = strategy
	for _, c := range change {
		c(r)
	}
	Expect(cluster.Create(ctx, r)).To(Succeed())
	DeferCleanup(letGo, r)
	return r
}

// letGo gives the volumes that a restore keeps their reclaim policy back.
func letGo(ctx SpecContext, r *v1alpha1.VolumeRestore) {
	var kept corev1.PersistentVolumeList
	Expect(cluster.List(ctx, &kept, client.MatchingLabels{v1alpha1.LabelRestoreUID: string(r.UID)})).To(Succeed())
	for i := range kept.Items {
		base := kept.Items[i].DeepCopy()
		kept.Items[i].Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
		Expect(client.IgnoreNotFound(cluster.Patch(ctx, &kept.Items[i], client.MergeFrom(base)))).To(Succeed())
	}
}

// phaseOf reads the restore anew each time it is called.
func phaseOf(ctx context.Context, r *v1alpha1.VolumeRestore) func() (v1alpha1.RestorePhase, error) {
	return func() (v1alpha1.RestorePhase, error) {
		err := cluster.Get(ctx, client.ObjectKeyFromObject(r), r)
		return r.Status.Phase, err
	}
}

func rollBack(ctx context.Context, r *v1alpha1.VolumeRestore) {
	GinkgoHelper()
	base := r.DeepCopy()
	r.Spec.RollBack = true
	Expect(cluster.Patch(ctx, r, client.MergeFrom(base))).To(Succeed())
}

func theVolume(ctx context.Context, name string) *corev1.PersistentVolume {
	GinkgoHelper()
	v := &corev1.PersistentVolume{}
	Expect(cluster.Get(ctx, client.ObjectKey{Name: name}, v)).To(Succeed())
	return v
}

// fill makes a table of three rows in every replica.
func fill(ctx context.Context, db fixture.Application) {
	GinkgoHelper()
	query(ctx, db, "CREATE TABLE orders (n INT PRIMARY KEY)")
	query(ctx, db, "INSERT INTO orders VALUES (1), (2), (3)")
}

// query runs a statement in every replica; all have to answer the same.
func query(ctx context.Context, db fixture.Application, statement string) (answer string) {
	GinkgoHelper()
	var pods []corev1.Pod
	Eventually(ctx, func() (err error) { pods, err = cluster.ReadyPods(ctx, db); return err }).Should(Succeed())
	for i := range pods {
		said, err := cluster.Query(ctx, &pods[i], statement)
		Expect(err).NotTo(HaveOccurred())
		said = strings.TrimSpace(said)
		Expect(i == 0 || said == answer).To(BeTrue(), fmt.Sprintf("%s answered %q, others %q", pods[i].Name, said, answer))
		answer = said
	}
	return answer
}
