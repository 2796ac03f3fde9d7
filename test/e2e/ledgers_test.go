package e2e

import (
	"context"
	"crypto/md5"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// The oracle: a writer appends the same numbered, checksummed record to two
// files on two volumes, in turn. Copies of one instant agree to within the
// record in flight. A driver that copies slowly, one file after another, and
// reaches the second ledger long after the first, shows whether the writer
// really stood still.
var _ = Describe("two ledgers on two volumes", func() {
	It("agree in a copy of one instant", func(ctx SpecContext) {
		app := aBookkeeper(ctx)
		backup := theBackup(ctx, aBackup(ctx, app, hold(takePen)))
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))

		first, second := theLedgers(ctx, backup)
		Expect(apart(first, second)).To(BeNumerically("<=", 1))
	})

	It("agree in a slow copy too, where the hold stops the writer", Label("driver"), func(ctx SpecContext) {
		app := aBookkeeper(ctx)
		backup := theBackup(ctx, aBackup(ctx, app, hold(takePen), ofClass(aSlowCopier(ctx))))
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))

		first, second := theLedgers(ctx, backup)
		Expect(apart(first, second)).To(BeNumerically("<=", 1))
	})

	It("agree in a slow copy where their file systems are frozen, whoever has the pen", Label("driver"), func(ctx SpecContext) {
		app := aBookkeeper(ctx, mayFreeze)
		backup := theBackup(ctx, aBackup(ctx, app, func(s *v1alpha1.VolumeBackupSpec) { framework.Quiesce(s).Recipe = "fsfreeze" }, ofClass(aSlowCopier(ctx))))
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))

		first, second := theLedgers(ctx, backup)
		Expect(apart(first, second)).To(BeNumerically("<=", 1))
		before := len(lines(ctx, podOf(ctx, app), "/second/ledger"))
		Eventually(ctx, func() int { return len(lines(ctx, podOf(ctx, app), "/second/ledger")) }).Should(BeNumerically(">", before), "it goes on")
	})

	It("are torn in a slow copy where a hook takes the pen and drops it: the oracle has teeth", Label("driver"), func(ctx SpecContext) {
		app := aBookkeeper(ctx)
		backup := theBackup(ctx, aBackup(ctx, app, hooks("until mkdir /tmp/pen; do usleep 1000; done; rmdir /tmp/pen", "true"), ofClass(aSlowCopier(ctx))))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHooks), "which promises no more than it can")

		first, second := theLedgers(ctx, backup)
		Expect(apart(first, second)).To(BeNumerically(">", 1))
	})

	It("end a backup whose hold lets go early: what it says of itself isn't believed", Label("driver"), func(ctx SpecContext) {
		app := aBookkeeper(ctx)
		backup := theBackup(ctx, aBackup(ctx, app, attempts(1), hold("echo HELD; echo STILL_HELD; cat >/dev/null"), ofClass(aSlowCopier(ctx))))
		Expect(backup).To(haveFailed("QuiesceFailed"))
		Eventually(ctx, snapshotsIn).Should(BeEmpty())
	})
})

// aBookkeeper writes a record at a time into both ledgers, with the pen in its
// hand. The second ledger is the last file of its volume, behind some that
// never change. It is well under way.
func aBookkeeper(ctx context.Context, change ...func(client.Object)) framework.Application {
	GinkgoHelper()
	app := tools("app", `
touch /second/a /second/b /second/c
n=0
while :; do
  n=$((n+1))
  record="$n $(printf %s $n | md5sum)"
  until mkdir /tmp/pen 2>/dev/null; do usleep 1000; done
  for ledger in /first/ledger /second/ledger; do
    echo "$record" | dd of=$ledger oflag=append conv=notrunc,fsync 2>/dev/null
  done
  rmdir /tmp/pen
  usleep 2000
done`, "first", "second")
	if len(change) > 0 {
		app.Change = change[0]
	}
	pod := podOf(ctx, running(ctx, app))
	Eventually(ctx, func() int { return len(lines(ctx, pod, "/second/ledger")) }).Should(BeNumerically(">", 10))
	return app
}

// mayFreeze gives a workload's container the right to freeze file systems.
func mayFreeze(o client.Object) {
	o.(*appsv1.Deployment).Spec.Template.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
		RunAsUser: ptr.To(int64(0)), Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}},
	}
}

// takePen holds the pen until its input ends.
const takePen = `
until mkdir /tmp/pen 2>/dev/null; do usleep 1000; done
echo HELD
cat >/dev/null
echo STILL_HELD
rmdir /tmp/pen`

// aSlowCopier is a class whose cut is a slow copy.
func aSlowCopier(ctx context.Context) string {
	return aSnapshotClass(ctx, "mode", "copying", "copyDelay", "600ms")
}

// theLedgers are the last numbers of both ledgers in a copy of the backup.
// Each ledger is whole: numbered from 1, every sum right.
func theLedgers(ctx context.Context, b *v1alpha1.VolumeBackup) (first, second int) {
	GinkgoHelper()
	pod := theCopy(ctx, b)
	return lastOf(ctx, pod, "/copy-first/ledger"), lastOf(ctx, pod, "/copy-second/ledger")
}

func lastOf(ctx context.Context, pod *corev1.Pod, ledger string) int {
	GinkgoHelper()
	records := lines(ctx, pod, ledger)
	Expect(len(records)).To(BeNumerically(">", 10))
	for i, record := range records {
		number := fmt.Sprint(i + 1)
		Expect(record).To(Equal(fmt.Sprintf("%s %x  -", number, md5.Sum([]byte(number)))))
	}
	return len(records)
}

func lines(ctx context.Context, pod *corev1.Pod, file string) []string {
	GinkgoHelper()
	return strings.Split(contents(ctx, pod, file), "\n")
}

func apart(a, b int) int { return max(a-b, b-a) }
