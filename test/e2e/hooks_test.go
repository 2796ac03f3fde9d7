package e2e

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lull-dev/lull/api/v1alpha1"
)

var _ = Describe("hooks", func() {
	It("run before and after the cut, by the annotations of the first design", func(ctx SpecContext) {
		app := running(ctx, annotated(tools("app", "", "data"),
			"backups.example.com.pre-hook", "echo pre >>/data/hooks; sync",
			"backups.example.com.post-hook", "echo post >>/data/hooks; sync"))

		backup := theBackup(ctx, aBackup(ctx, app))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHooks))
		Expect(contents(ctx, podOf(ctx, app), "/data/hooks")).To(Equal("pre\npost"))
		Expect(contents(ctx, theCopy(ctx, backup), "/copy-data/hooks")).To(Equal("pre"), "the cut was between them")
	})

	It("run as Velero would run them, by its annotations", func(ctx SpecContext) {
		app := running(ctx, annotated(tools("app", "", "data"),
			"pre.hook.backup.velero.io/command", `["/bin/sh", "-c", "echo pre >>/data/hooks"]`,
			"pre.hook.backup.velero.io/container", "main",
			"pre.hook.backup.velero.io/on-error", "Fail",
			"pre.hook.backup.velero.io/timeout", "20s",
			"post.hook.backup.velero.io/command", `["/bin/sh", "-c", "echo post >>/data/hooks"]`))

		backup := theBackup(ctx, aBackup(ctx, app))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHooks))
		Expect(contents(ctx, podOf(ctx, app), "/data/hooks")).To(Equal("pre\npost"))
		Expect(backup.Status.Quiesce.Deadline.Sub(backup.Status.Quiesce.StartedAt.Time)).To(Equal(20 * time.Second))
	})

	It("of ours stand over those of others, and that is told", func(ctx SpecContext) {
		app := running(ctx, annotated(tools("app", "", "data"),
			"lull.dev/pre-hook", "echo ours >>/data/hooks",
			"lull.dev/post-hook", "true",
			"backups.example.com.pre-hook", "echo theirs >>/data/hooks",
			"backups.example.com.post-hook", "true"))

		backup := theBackup(ctx, aBackup(ctx, app))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHooks))
		Expect(contents(ctx, podOf(ctx, app), "/data/hooks")).To(Equal("ours"))
		Eventually(ctx, reasonsOf(ctx, backup)).Should(ContainElement("ConflictingHooks"))
	})

	It("undo a pre-hook that failed, leave no snapshot, and tell its last words", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))

		backup := theBackup(ctx, aBackup(ctx, app, attempts(1), hooks(
			"echo pre >>/data/hooks; echo the tape is full >&2; exit 3",
			"echo post >>/data/hooks")))
		Expect(backup).To(haveFailed("QuiesceFailed", "the tape is full"))
		Expect(contents(ctx, podOf(ctx, app), "/data/hooks")).To(Equal("pre\npost"))
		Expect(backup.Status.Quiesce.Pods).To(HaveEach(HaveField("Thawed", true)))
		Eventually(ctx, snapshotsIn).Should(BeEmpty())
		Eventually(ctx, contentsOf).Should(BeEmpty())
	})

	It("undo a pre-hook that hangs by the deadline, and end it", Serial, func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))

		backup := theBackup(ctx, aBackup(ctx, app, attempts(1), timeout(5*time.Second), hooks(
			"echo pre >>/data/hooks; sleep 4711 & wait",
			"echo post >>/data/hooks")))
		Expect(backup).To(haveFailed("QuiesceFailed", "pre-hook"))
		Expect(contents(ctx, podOf(ctx, app), "/data/hooks")).To(Equal("pre\npost"))
		q := backup.Status.Quiesce
		Expect(q.ThawedAt.Time).To(BeTemporally("<=", q.Deadline.Time))
		processes, err := cluster.Sh(ctx, podOf(ctx, app), "ps -o args")
		Expect(err).NotTo(HaveOccurred())
		Expect(processes).NotTo(ContainSubstring("4711"))
		Eventually(ctx, snapshotsIn).Should(BeEmpty())
	})

	It("that fail once are tried again", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))

		backup := theBackup(ctx, aBackup(ctx, app, hooks("mkdir /tmp/second 2>/dev/null && exit 1; true", "true")))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHooks))
		Expect(backup.Status.Quiesce.Attempt).To(BeEquivalentTo(2))
	})

	It("never undo a post-hook's failure by silence: the backup says how to thaw by hand", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))

		b := aBackup(ctx, app, attempts(1), hooks("true", "test -e /tmp/mended"))
		Eventually(ctx, func() string { return now(ctx, b).Status.Message }).Should(ContainSubstring("kubectl exec -n " + namespace))
		Expect(now(ctx, b).Status.Quiesce.ThawedAt).To(BeNil())

		_, err := cluster.Sh(ctx, podOf(ctx, app), "touch /tmp/mended")
		Expect(err).NotTo(HaveOccurred())
		backup := theBackup(ctx, b)
		Expect(backup).To(haveFailed("QuiesceFailed"))
		Expect(backup.Status.Quiesce.ThawedAt).NotTo(BeNil())
	})
})
