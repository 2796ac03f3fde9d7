package disaster

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// exported is a backup that is in the repository.
type exported struct {
	backup *v1alpha1.VolumeBackup
	// committed is how many rows were acknowledged before the freeze.
	committed int
}

// cutAt is when the data was cut, as a status says it.
func (e exported) cutAt() string {
	return e.backup.Status.Volumes[0].CreationTime.UTC().Format(time.RFC3339)
}

// aRun asks a policy for a backup of its only application, which is proven and in
// the repository.
func aRun(ctx context.Context, p *v1alpha1.SnapshotPolicy, value string) *v1alpha1.VolumeBackup {
	GinkgoHelper()
	change(ctx, p, `{"metadata":{"annotations":{"lull.dev/run-now":"`+value+`"}}}`)
	Eventually(ctx, func() *v1alpha1.RunNowStatus { return now(ctx, p).Status.RunNow }).Should(And(
		HaveField("Value", value), HaveField("Done", true), HaveField("Backups", HaveLen(1))))
	b := &v1alpha1.VolumeBackup{ObjectMeta: in(p.Namespace, p.Status.RunNow.Backups[0])}
	Eventually(ctx, func(g Gomega) {
		g.Expect(framework.BackupEnded(now(ctx, b))).To(BeTrue(), "phase %s: %s", b.Status.Phase, b.Status.Message)
	}).Should(Succeed())
	Expect(b.Status.Phase).To(Equal(v1alpha1.PhaseCompleted), b.Status.Message)
	Expect(b.Status.Consistency).To(Equal(v1alpha1.Proven))
	Expect(b.Status.Exported).To(Equal("1/1"))
	return b
}

// whileWritten counts the rows that were acknowledged before a backup's freeze.
func whileWritten(ctx context.Context, b *v1alpha1.VolumeBackup, w *framework.Writer) exported {
	GinkgoHelper()
	q := b.Status.Quiesce
	var pause framework.Pause
	Eventually(ctx, func() time.Time {
		pause = w.PauseAt(q.FrozenAt.Add(q.CutAt.Sub(q.FrozenAt.Time) / 2))
		return pause.To
	}).ShouldNot(BeZero(), "it is written to after the freeze")
	return exported{backup: b, committed: pause.Rows}
}

// holds checks that a database has every row that was acknowledged before the
// freeze, and none from after it but one that was in flight.
func holds(ctx context.Context, db framework.Application, e exported) {
	GinkgoHelper()
	ledger, err := cluster.MariaDBIn(podOf(ctx, db)).ReadLedger(ctx)
	Expect(err).NotTo(HaveOccurred())
	Expect(ledger.Checked).To(Equal("OK"))
	Expect(ledger.Damaged).To(BeZero())
	Expect(ledger.Rows).To(Equal(ledger.Last), "rows without holes")
	Expect(ledger.Last).To(And(BeNumerically(">=", e.committed), BeNumerically("<=", e.committed+1)))
}

// person types what the page says, with their own names in the place of its
// examples.
type person struct {
	examples *strings.Replacer
	// environment has a kubeconfig of their own, which the page changes.
	environment string
}

func aPerson(server string) person {
	GinkgoHelper()
	kubeconfig, err := os.ReadFile(os.Getenv("KUBECONFIG"))
	Expect(err).NotTo(HaveOccurred())
	own := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(os.WriteFile(own, kubeconfig, 0o600)).To(Succeed())
	return person{
		examples: strings.NewReplacer(
			"https://backup.example.com:8000", server, "THE-PASSWORD", password, "ITS-PASSWORD", login,
			"namespace "+shop, "namespace "+anew, "namespace="+shop, "namespace="+anew),
		environment: "KUBECONFIG=" + own,
	}
}

func (p person) types(ctx context.Context, commands string) string {
	GinkgoHelper()
	said, err := framework.Typed(ctx, p.examples.Replace(commands), p.environment)
	Expect(err).NotTo(HaveOccurred())
	return said
}
