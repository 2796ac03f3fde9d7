package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// The manager is one for all: nothing else runs while it is killed.
var _ = Describe("a manager that is lost while an application is restored", Serial, func() {
	It("is followed by one that brings it to its end", func(ctx SpecContext) {
		set := tools("set", slowToStop, "data", "log")
		set.Kind, set.Replicas = v1alpha1.KindStatefulSet, 2
		set = running(ctx, set)
		write(ctx, set, "before", "/data/mark", "/log/mark")
		backup := theBackup(ctx, aBackup(ctx, set))
		write(ctx, set, "after", "/data/mark", "/log/mark")

		restore := aRestore(ctx, backup, v1alpha1.StrategyReplace)
		Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreScalingDown))
		Expect(cluster.Delete(ctx, theManager(ctx), client.GracePeriodSeconds(0))).To(Succeed())

		Expect(theRestore(ctx, restore)).To(beRestoredBy(v1alpha1.StrategyReplace))
		Expect(restore.Status.Replicas).To(HaveValue(BeEquivalentTo(2)))
		for _, file := range []string{"/data/mark", "/log/mark"} {
			Expect(read(ctx, set, file)).To(Equal([]string{"before", "before"}))
		}
		Expect(claimsIn(ctx)).To(ConsistOf("data-set-0", "data-set-1", "log-set-0", "log-set-1"))
		for _, c := range restore.Status.Claims {
			beAsAnyOther(theVolume(ctx, c.RestoredVolume))
			beKept(theVolume(ctx, c.PreviousVolume), restore)
		}
	})
})
