package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lull-dev/lull/api/v1alpha1"
)

var _ = Describe("whether a database is frozen", func() {
	It("is told by the command in the documentation: while a post-hook fails, also of a backup that is deleted, and of no other", Label("driver"), func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		bare := running(ctx, tools("bare", "", "loose"))
		unquieted := aBackup(ctx, bare, ofClass(aSlowFirstCut(ctx)))
		Eventually(ctx, func() v1alpha1.Phase { return now(ctx, unquieted).Status.Phase }).Should(Equal(v1alpha1.PhaseSnapshotting))
		Expect(saidToBeFrozen(ctx)).To(BeEmpty(), "nobody freezes it")

		stuck := aBackup(ctx, app, attempts(1), hooks("true", "test -e /tmp/mended"))
		Eventually(ctx, func() string { return now(ctx, stuck).Status.Message }).Should(ContainSubstring("kubectl exec -n " + namespace))
		Expect(saidToBeFrozen(ctx)).To(ConsistOf(stuck.Name + " app Quiescing False"))

		Expect(cluster.Delete(ctx, stuck)).To(Succeed())
		Eventually(ctx, func() v1alpha1.Phase { return now(ctx, stuck).Status.Phase }).Should(Equal(v1alpha1.PhaseDeleting))
		Expect(saidToBeFrozen(ctx)).To(ConsistOf(stuck.Name + " app Deleting False"))

		_, err := cluster.Sh(ctx, podOf(ctx, app), "touch /tmp/mended")
		Expect(err).NotTo(HaveOccurred())
		gone(ctx, stuck)
		Expect(theBackup(ctx, aBackup(ctx, app, hooks("true", "true")))).To(be(v1alpha1.Declared, v1alpha1.MethodHooks))
		Expect(theBackup(ctx, unquieted)).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
		Expect(saidToBeFrozen(ctx)).To(BeEmpty())
	})
})

// saidToBeFrozen is what the documentation's command prints of the spec's own
// namespace, without its name.
func saidToBeFrozen(ctx context.Context) (own []string) {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "troubleshooting.md"))
	Expect(err).NotTo(HaveOccurred())
	_, after, found := strings.Cut(string(text), "## Is my database frozen?\n\n```sh\n")
	Expect(found).To(BeTrue())
	command, _, _ := strings.Cut(after, "```")
	said, err := exec.CommandContext(ctx, "sh", "-c", strings.TrimSpace(command)+" || true").Output() // grep fails where it finds nothing
	Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(string(said)) {
		if fields := strings.Fields(line); fields[0] == namespace {
			own = append(own, strings.Join(fields[1:], " "))
		}
	}
	return own
}
