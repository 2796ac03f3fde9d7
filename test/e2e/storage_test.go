package e2e

import (
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// holdStill holds what needs no holding.
const holdStill = "echo HELD; cat >/dev/null; echo STILL_HELD"

var _ = Describe("many volumes", Label("driver"), func() {
	It("are cut in one window: the storage works on all of them at once", Serial, func(ctx SpecContext) {
		set := tools("set", "", "data", "log")
		set.Kind, set.Replicas = v1alpha1.KindStatefulSet, 3
		running(ctx, set)

		const cutDelay = time.Second
		backup := theBackup(ctx, aBackup(ctx, set, hold(holdStill), ofClass(aSnapshotClass(ctx, "cutDelay", cutDelay.String()))))
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		var claims []string
		for _, v := range backup.Status.Volumes {
			claims = append(claims, v.ClaimName)
		}
		Expect(claims).To(Equal([]string{"data-set-0", "data-set-1", "data-set-2", "log-set-0", "log-set-1", "log-set-2"}))
		Expect(backup.Status.Quiesce.Pods).To(HaveLen(3))

		By("the moments at which the driver cut: none had ended its cut before the last began its own")
		snapshots, err := contentsOf(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(snapshots).To(HaveLen(6))
		var cuts []int64
		for _, s := range snapshots {
			cuts = append(cuts, *s.Status.CreationTime)
		}
		Expect(time.Duration(slices.Max(cuts) - slices.Min(cuts))).To(BeNumerically("<", cutDelay))
		Expect(backup.Status.Quiesce.FrozenFor.Duration).To(BeNumerically("<", 3*cutDelay), "one delay, not six")
	})
})

var _ = Describe("storage that misbehaves", Label("driver"), func() {
	It("is too slow: the application is thawed in time, the late cut is discarded, the next attempt is good", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		b := aBackup(ctx, app, hold(holdStill), timeout(4*time.Second), ofClass(aSnapshotClass(ctx, "cutDelay", "8s", "times", "1")))

		By("the first attempt")
		Eventually(ctx, func() *v1alpha1.QuiesceStatus { return now(ctx, b).Status.Quiesce }).Should(HaveField("Failure", Not(BeEmpty())))
		q := now(ctx, b).Status.Quiesce
		Expect(q.Attempt).To(BeEquivalentTo(1))
		Expect(q.ThawedAt.Time).To(BeTemporally("<=", q.Deadline.Time))
		Expect(q.CutAt).To(BeNil())

		By("the next")
		backup := theBackup(ctx, b)
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(backup.Status.Quiesce.Attempt).To(BeEquivalentTo(2))
		Eventually(ctx, reasonsOf(ctx, b)).Should(ContainElement("LateCutDiscarded"))
		Eventually(ctx, snapshotsIn).Should(ConsistOf(HaveField("Name", backup.Status.Volumes[0].SnapshotName)))
		Eventually(ctx, contentsOf).Should(ConsistOf(HaveField("Name", backup.Status.Volumes[0].ContentName)))
	})

	It("fails once: the application isn't kept frozen for it, and the next attempt is good", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		backup := theBackup(ctx, aBackup(ctx, app, hold(holdStill), ofClass(aSnapshotClass(ctx, "error", "Unavailable", "times", "1"))))
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(backup.Status.Quiesce.Attempt).To(BeEquivalentTo(2))
		Eventually(ctx, snapshotsIn).Should(ConsistOf(HaveField("Name", backup.Status.Volumes[0].SnapshotName)))
	})

	It("fails always: the backup fails with the driver's words", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		backup := theBackup(ctx, aBackup(ctx, app, attempts(2), hold(holdStill), ofClass(aSnapshotClass(ctx, "error", "Internal"))))
		Expect(backup).To(haveFailed("QuiesceFailed", "after 2 attempt(s)", "code = Internal"))
		Eventually(ctx, snapshotsIn).Should(BeEmpty())
		Eventually(ctx, contentsOf).Should(BeEmpty())
	})

	It("cuts at once and is ready much later: the application doesn't wait for that", func(ctx SpecContext) {
		const upload = 6 * time.Second
		app := running(ctx, tools("app", "", "data"))
		b := aBackup(ctx, app, hold(holdStill), ofClass(aSnapshotClass(ctx, "readyAfter", upload.String())))

		Eventually(ctx, func() v1alpha1.Phase { return now(ctx, b).Status.Phase }).Should(Equal(v1alpha1.PhaseSnapshotting))
		Expect(now(ctx, b).Status).To(And(HaveField("Consistency", v1alpha1.Proven), HaveField("Snapshots", "0/1")))

		backup := theBackup(ctx, b)
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		q := backup.Status.Quiesce
		Expect(q.FrozenFor.Duration).To(BeNumerically("<", upload/2))
		Expect(backup.Status.CompletionTime.Sub(q.ThawedAt.Time)).To(BeNumerically(">", upload/2))
	})
})
