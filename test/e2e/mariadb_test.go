package e2e

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("a MariaDB under constant writing", func() {
	It("is backed up proven, with every row that was committed before the freeze", func(ctx SpecContext) {
		db := running(ctx, annotated(aMariaDB("db", "data"), "lull.dev/quiesce", "mariadb"))
		writer := aWriter(ctx, db)

		backup := theBackup(ctx, aBackup(ctx, db))
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))

		By("having stopped the writing while it was frozen, and no longer")
		pause := thePause(ctx, writer, backup.Status.Quiesce)
		q := backup.Status.Quiesce
		Expect(writer.Between(q.FrozenAt.Time, q.CutAt.Time)).To(BeNumerically("<=", 1), "but for an acknowledgement under way")

		By("starting a second server from the snapshot")
		ledger := theLedger(ctx, aMariaDBFrom(ctx, backup.Status.Volumes[0]))
		Expect(ledger.Checked).To(Equal("OK"))
		Expect(ledger.Damaged).To(BeZero())
		Expect(ledger.Rows).To(Equal(ledger.Last), "rows without holes")
		Expect(ledger.Last).To(BeNumerically(">=", pause.Rows), "all that was acknowledged before the freeze")
		Expect(ledger.Last).To(BeNumerically("<=", pause.Rows+1), "and nothing from after it, but for a row in flight")
		Expect(writer.Err()).NotTo(HaveOccurred())
	})

	It("tells of a pre-hook that only flushes tables, and calls the backup declared", func(ctx SpecContext) {
		db := running(ctx, annotated(aMariaDB("db", "data"),
			"backups.example.com.pre-hook", `MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb -uroot -e "flush tables with read lock"`,
			"backups.example.com.post-hook", `MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb -uroot -e "unlock tables"`))

		backup := theBackup(ctx, aBackup(ctx, db))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHooks))
		Eventually(ctx, reasonsOf(ctx, backup)).Should(ContainElement("UselessHook"))
	})
})

func aMariaDB(name, claim string) framework.Application {
	return framework.MariaDB(namespace, name, claim)
}

// aMariaDBFrom starts a server on a claim made from a snapshot.
func aMariaDBFrom(ctx context.Context, v v1alpha1.VolumeStatus) framework.Application {
	GinkgoHelper()
	Expect(cluster.Create(ctx, framework.ClaimFrom(namespace, "restored", v))).To(Succeed())
	return running(ctx, aMariaDB("restored", "restored"))
}

// aWriter writes into the database until the spec ends. It is well under way.
func aWriter(ctx context.Context, db framework.Application) *framework.Writer {
	GinkgoHelper()
	writer, err := cluster.MariaDBIn(podOf(ctx, db)).StartWriter(context.WithoutCancel(ctx))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(writer.Stop)
	Eventually(ctx, writer.Rows).Should(BeNumerically(">", 100))
	return writer
}

// thePause is the writer's pause in the middle of the freeze, once it is over.
func thePause(ctx context.Context, w *framework.Writer, q *v1alpha1.QuiesceStatus) (pause framework.Pause) {
	GinkgoHelper()
	Eventually(ctx, func() time.Time { pause = w.PauseIn(q); return pause.To }).ShouldNot(BeZero(), "writing went on after the freeze")
	return pause
}

func theLedger(ctx context.Context, db framework.Application) framework.Ledger {
	GinkgoHelper()
	ledger, err := cluster.MariaDBIn(podOf(ctx, db)).ReadLedger(ctx)
	Expect(err).NotTo(HaveOccurred())
	return ledger
}
