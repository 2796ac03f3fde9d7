package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
		listed := typed(ctx, pageCommands("repositories.md", "## Reading it with restic alone"))
		Expect(listed).To(And(ContainSubstring(exports[2]), ContainSubstring(byHand.Status.Volumes[0].Export.SnapshotID[:8])))
		Expect(listed).NotTo(Or(ContainSubstring(exports[0]), ContainSubstring(exports[1])))

		By("being pruned and checked as scheduled")
		change(ctx, repositoryNow(ctx, "offsite"), `{"spec":{"maintenance":{"prune":{"schedule":"@every 1m"},"check":{"schedule":"@every 1m","readData":"100%"}}}}`)
		Eventually(ctx, func() any { return repositoryNow(ctx, "offsite").Status.LastPruneTime }).ShouldNot(BeNil())
		Eventually(ctx, isHealthy(ctx, "offsite")).Should(HaveValue(BeTrue()))
		Expect(repositoryNow(ctx, "offsite").Status.CheckedPart).To(BeEquivalentTo(1))

		By("telling of a byte that was flipped, in the newest export")
		vandal := running(ctx, tools("vandal", "", "backup-disk"))
		const packs = "cd /backup-disk/repo/data && find . -type f | sort"
		before := strings.Fields(sh(ctx, vandal, packs))
		scribble(ctx, app, 1)
		damaged := theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
		added := slices.DeleteFunc(strings.Fields(sh(ctx, vandal, packs)), func(pack string) bool { return slices.Contains(before, pack) })
		sh(ctx, vandal, `cd /backup-disk/repo/data; f=$(ls -S `+strings.Join(added, " ")+` | head -n 1); chmod u+w "$f"; printf XXXXXXXX | dd of="$f" bs=1 seek=99 conv=notrunc`)
		Eventually(ctx, isHealthy(ctx, "offsite")).Should(HaveValue(BeFalse()))
		Expect(repositoryNow(ctx, "offsite").Status.Message).To(HavePrefix("Damaged"))
		pruned := repositoryNow(ctx, "offsite").Status.LastPruneTime
		isReady(ctx, "offsite")

		By("restoring what is whole, refusing what isn't, and exporting what is new")
		restored := func(b *v1alpha1.VolumeBackup, claim v1alpha1.ClaimName) *v1alpha1.VolumeRestore {
			return theRestore(ctx, aRestoreFrom(ctx, "offsite", using(v1alpha1.StrategyClaimsOnly), as("data", claim), func(r *v1alpha1.VolumeRestore) {
				r.Spec.Source.Repository.SnapshotID = b.Status.Volumes[0].Export.SnapshotID
			}))
		}
		Expect(restored(byHand, "whole")).To(beRestoredBy(v1alpha1.StrategyClaimsOnly))
		Expect(read(ctx, running(ctx, tools("look", "", "whole")), "/whole/mark")).To(HaveEach("by hand"))
		Expect(restored(damaged, "damaged")).To(beRefused(v1alpha1.ReasonFillFailed, "Damaged"))
		scribble(ctx, app, 1)
		Expect(theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
		Expect(repositoryNow(ctx, "offsite").Status.LastPruneTime).To(Equal(pruned), "nothing is pruned any more")
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
