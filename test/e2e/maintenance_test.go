package e2e

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/lull-dev/lull/api/v1alpha1"
)

var _ = Describe("a repository", func() {
	It("forgets what its policy doesn't keep, is pruned and checked, and tells of damage", func(ctx SpecContext) {
		theSample(ctx, "offsite-repository.yaml")
		isReady(ctx, "offsite")
		app := running(ctx, joined(tools("app", "", "data"), "exporting"))
		write(ctx, app, "by hand", "/data/mark")
		byHand := theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
		policy := aPolicy(ctx, "exporting", "@yearly", func(p *v1alpha1.SnapshotPolicy) {
			p.Spec.Template.Spec.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: "offsite"}}
			p.Spec.Retention.Exports = &v1alpha1.RetentionRules{KeepLast: 1}
		})
		var exports []string
		for i := range 3 {
			write(ctx, app, fmt.Sprint("text ", i), "/data/mark")
			b := theBackup(ctx, named(asksForOne(ctx, policy, fmt.Sprint(i))))
			exports = append(exports, b.Status.Volumes[0].Export.SnapshotID[:8])
		}

		By("forgetting all but the newest, and nothing of others, once it is looked at")
		change(ctx, repositoryNow(ctx, "offsite"), `{"spec":{"concurrency":3}}`)
		Eventually(ctx, func() any { return repositoryNow(ctx, "offsite").Status.LastRetentionTime }).ShouldNot(BeNil())
		read := typed(ctx, pageCommands("repositories.md", "## Reading it with restic alone"))
		Expect(read).To(And(ContainSubstring(exports[2]), ContainSubstring(byHand.Status.Volumes[0].Export.SnapshotID[:8])))
		Expect(read).NotTo(Or(ContainSubstring(exports[0]), ContainSubstring(exports[1])))

		By("being pruned and checked as scheduled")
		change(ctx, repositoryNow(ctx, "offsite"), `{"spec":{"maintenance":{"prune":{"schedule":"@every 1m"},"check":{"schedule":"@every 1m","readData":"100%"}}}}`)
		Eventually(ctx, func() any { return repositoryNow(ctx, "offsite").Status.LastPruneTime }).ShouldNot(BeNil())
		Eventually(ctx, isHealthy(ctx, "offsite")).Should(HaveValue(BeTrue()))
		Expect(repositoryNow(ctx, "offsite").Status.CheckedPart).To(BeEquivalentTo(1))

		By("telling of a byte that was flipped")
		pod := running(ctx, tools("vandal", "", "backup-disk"))
		_, err := cluster.Sh(ctx, podOf(ctx, pod), `f=$(find /backup-disk/repo/data -type f -size +0 | head -n 1); chmod u+w "$f"; printf XXXXXXXX | dd of="$f" bs=1 seek=9 conv=notrunc`)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, isHealthy(ctx, "offsite")).Should(HaveValue(BeFalse()))
		Expect(repositoryNow(ctx, "offsite").Status.Message).To(HavePrefix("Damaged"))
		isReady(ctx, "offsite")
		Eventually(ctx, jobsIn).Should(BeEmpty())
	})
})

// isHealthy is nil for a repository that wasn't checked yet.
func isHealthy(ctx context.Context, repository string) func() *bool {
	return func() *bool {
		c := meta.FindStatusCondition(repositoryNow(ctx, repository).Status.Conditions, v1alpha1.ConditionHealthy)
		if c == nil {
			return nil
		}
		is := c.Status == "True"
		return &is
	}
}
