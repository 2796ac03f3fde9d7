package e2e

import (
	"bytes"
	"context"
	"io"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/lull-dev/lull/api/v1alpha1"
	exec "github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("a MariaDB whose freeze is lost", func() {
	It("by the recipe's own limit goes on, and nobody says that it held", func(ctx SpecContext) {
		db := running(ctx, aMariaDB("db", "data"))
		writer, pod := aWriter(ctx, db), podOf(ctx, db)

		By("holding it as the operator does, and never ending the session's input")
		quiet, err := exec.Resolve(&v1alpha1.QuiesceSpec{Recipe: "mariadb", Timeout: &metav1.Duration{Duration: 4 * time.Second}}, nil, exec.Limits{})
		Expect(err).NotTo(HaveOccurred())
		target, err := quiet.ForPod(pod, db.Claims)
		Expect(err).NotTo(HaveOccurred())
		target.Mark = exec.Mark(pod.UID)
		ear := &listening{Executor: cluster.Executor}
		held, err := exec.Begin(ctx, ctx, time.Now().Add(time.Hour), ear, clock.RealClock{}, []exec.Target{target})
		Expect(err).NotTo(HaveOccurred())
		rows := blocked(ctx, db, writer)

		Eventually(ctx, held.Lost()).Should(BeClosed())
		goesOn(ctx, writer, rows)
		Expect(ear.heard.String()).To(MatchRegexp("^(USES /var/lib/mysql\n)+HELD\n$"))
		Expect(held.End(ctx)[pod.UID]).To(And(HaveField("Testified", false), HaveField("Thawed", true),
			HaveField("Err", MatchError(ContainSubstring("ended before it was released")))))
	})

	It("because its session is killed in the server isn't proven by that attempt, and is by the next", Label("driver"), func(ctx SpecContext) {
		db := aQuietedMariaDB(ctx)
		writer := aWriter(ctx, db)
		b := aBackup(ctx, db, ofClass(aSlowFirstCut(ctx)))
		rows := blocked(ctx, db, writer)

		sessions := query(ctx, db, "SELECT GROUP_CONCAT(id) FROM information_schema.processlist WHERE db IS NULL AND command = 'Sleep'")
		Expect(sessions).To(MatchRegexp(`^\d+$`), "the recipe's alone uses no database")
		query(ctx, db, "KILL "+sessions)
		goesOn(ctx, writer, rows)

		backup := theBackup(ctx, b)
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(backup.Status.Quiesce.Attempt).To(BeEquivalentTo(2))
		Eventually(ctx, toldOf(ctx, b)).Should(ContainElement(And(
			HavePrefix("QuiesceFailed: attempt 1 of 3"), ContainSubstring("without STILL_HELD"))))
		goesOn(ctx, writer, writer.Rows())
	})

	It("because it is killed itself isn't proven by that attempt, and is once it runs again, with all its rows", Label("driver", "node"), func(ctx SpecContext) {
		db := aQuietedMariaDB(ctx)
		writer, pod := aWriter(ctx, db), podOf(ctx, db)
		b := aBackup(ctx, db, attempts(10), ofClass(aSlowFirstCut(ctx)))
		rows := blocked(ctx, db, writer)

		killContainer(pod)
		backup := theBackup(ctx, b)
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(backup.Status.Quiesce.Attempt).To(BeNumerically(">", 1))
		Eventually(ctx, toldOf(ctx, b)).Should(ContainElement(And(
			HavePrefix("QuiesceFailed: attempt 1 of 10"), ContainSubstring("ended before it was released"))))

		By("which takes rows again, after all that it had acknowledged")
		Expect(podOf(ctx, db)).To(And(HaveField("UID", pod.UID), HaveField("Status.ContainerStatuses", ConsistOf(HaveField("RestartCount", BeEquivalentTo(1))))))
		ledger := theLedger(ctx, db)
		Expect(ledger.Last).To(And(BeNumerically(">=", rows), Equal(ledger.Rows)))
		query(ctx, db, "INSERT INTO ledger SELECT MAX(n) + 1, 'after', MD5(CONCAT(MAX(n) + 1, 'after')) FROM ledger")
		Expect(theLedger(ctx, db)).To(Equal(framework.Ledger{Rows: ledger.Rows + 1, Last: ledger.Last + 1, Checked: "OK"}))
	})
})

var _ = Describe("a MariaDB that can't be frozen", func() {
	It("because its password is another than the container's says so, and goes on", func(ctx SpecContext) {
		db := aQuietedMariaDB(ctx)
		writer := aWriter(ctx, db)
		query(ctx, db, "SET PASSWORD = PASSWORD('another')")

		backup := theBackup(ctx, aBackup(ctx, db, attempts(1)))
		Expect(backup).To(haveFailed("QuiesceFailed", "Access denied"))
		Expect(backup.Status.Quiesce.FrozenAt).To(BeNil())
		goesOn(ctx, writer, writer.Rows())
	})

	It("because of a long query that writes says so, and stalls who writes behind it no longer than the recipe waits", func(ctx SpecContext) {
		db := aQuietedMariaDB(ctx)
		writer := aWriter(ctx, db)
		query(ctx, db, "CREATE TABLE stock AS SELECT 1 AS n")
		_, err := cluster.Sh(ctx, podOf(ctx, db), `MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb --user=root shop -e "UPDATE stock SET n = SLEEP(3600)" </dev/null >/dev/null 2>&1 &`)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() string {
			return query(ctx, db, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'UPDATE stock%'")
		}).Should(Equal("1"))

		backup := theBackup(ctx, aBackup(ctx, db, attempts(1), timeout(6*time.Second)))
		Expect(backup).To(haveFailed("QuiesceFailed", "Lock wait timeout exceeded"))
		Expect(backup.Status.Quiesce.FrozenAt).To(BeNil())
		goesOn(ctx, writer, writer.Rows())
	})
})

// aQuietedMariaDB runs, with time enough for a slow cut.
func aQuietedMariaDB(ctx context.Context) framework.Application {
	GinkgoHelper()
	return running(ctx, annotated(aMariaDB("db", "data"), "lull.dev/quiesce", "mariadb", "lull.dev/hook-timeout", "1m"))
}

// aSlowFirstCut is a class whose first cut takes long enough for something to
// happen meanwhile.
func aSlowFirstCut(ctx context.Context) string {
	GinkgoHelper()
	return aSnapshotClass(ctx, "cutDelay", "15s", "times", "1")
}

// blocked waits until the writer's next row waits for the lock, and returns how
// many it has by then.
func blocked(ctx context.Context, db framework.Application, w *framework.Writer) int {
	GinkgoHelper()
	Eventually(ctx, func() string {
		return query(ctx, db, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'INSERT%' AND state LIKE 'Waiting for%'")
	}).Should(Equal("1"))
	return w.Rows()
}

// goesOn waits until the writer has got more than those rows, and more than one
// that was on its way.
func goesOn(ctx context.Context, w *framework.Writer, rows int) {
	GinkgoHelper()
	Eventually(ctx, w.Rows).Should(BeNumerically(">", rows+10))
	Expect(w.Err()).NotTo(HaveOccurred())
}

// listening hears all that is said to the operator.
type listening struct {
	exec.Executor
	heard bytes.Buffer
}

func (l *listening) Exec(ctx context.Context, c exec.Container, command []string, s exec.Streams) error {
	s.Out = io.MultiWriter(&l.heard, s.Out)
	return l.Executor.Exec(ctx, c, command, s)
}
