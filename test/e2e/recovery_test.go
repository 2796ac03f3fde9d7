package e2e

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// The manager is one for all: nothing else runs while it is killed.
var _ = Describe("a manager that is killed while an application is frozen", Serial, Label("driver", "node"), func() {
	BeforeEach(func(ctx SpecContext) { aFreshManager(ctx) })

	It("lets go of a hold by dying, and comes back to make the backup", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		b := aBackup(ctx, app, timeout(time.Minute), ofClass(aSnapshotClass(ctx, "cutDelay", "15s", "times", "1")),
			hold("echo held >>/tmp/quiet; echo HELD; cat >/dev/null; echo released >>/tmp/quiet; echo STILL_HELD"))
		pod := podOf(ctx, app)
		Eventually(ctx, func() string { return contents(ctx, pod, "/tmp/quiet") }).Should(Equal("held"))

		killManager(ctx)
		Eventually(ctx, func() string { return contents(ctx, pod, "/tmp/quiet") }).WithTimeout(5 * time.Second).Should(HavePrefix("held\nreleased"))

		backup := theBackup(ctx, b)
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(backup.Status.Quiesce.Attempt).To(BeEquivalentTo(2), "what was cut meanwhile is proven by nobody")
		Expect(contents(ctx, pod, "/tmp/quiet")).To(Equal("held\nreleased\nheld\nreleased"))
		Eventually(ctx, snapshotsIn).Should(ConsistOf(HaveField("Name", backup.Status.Volumes[0].SnapshotName)))
		Eventually(ctx, contentsOf).Should(HaveLen(1))
	})

	It("frees a MariaDB by dying: its writer goes on at once", func(ctx SpecContext) {
		db := running(ctx, annotated(aMariaDB("db", "data"), "lull.dev/quiesce", "mariadb", "lull.dev/hook-timeout", "1m"))
		writer := aWriter(ctx, db)
		b := aBackup(ctx, db, ofClass(aSnapshotClass(ctx, "cutDelay", "15s", "times", "1")))
		Eventually(ctx, func() time.Time { return writer.PauseAt(time.Now().Add(-time.Second)).To }).WithPolling(20*time.Millisecond).Should(BeZero(), "frozen for a second")

		rows := writer.Rows()
		killManager(ctx)
		Eventually(ctx, writer.Rows).WithTimeout(5 * time.Second).Should(BeNumerically(">", rows+10))
		Expect(theBackup(ctx, b)).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
	})

	It("comes back to run the post-hook, says so, and makes the backup", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		b := aBackup(ctx, app, timeout(time.Minute), ofClass(aSnapshotClass(ctx, "cutDelay", "15s", "times", "1")),
			hooks("echo pre >>/tmp/quiet", "echo post >>/tmp/quiet"))
		pod := podOf(ctx, app)
		Eventually(ctx, func() string { return contents(ctx, pod, "/tmp/quiet") }).Should(Equal("pre"))

		killManager(ctx)
		Eventually(ctx, func() string { return contents(ctx, pod, "/tmp/quiet") }).WithTimeout(30 * time.Second).Should(HavePrefix("pre\npost"))

		backup := theBackup(ctx, b)
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHooks))
		Expect(backup.Status.Quiesce.Attempt).To(BeEquivalentTo(2))
		Expect(contents(ctx, pod, "/tmp/quiet")).To(Equal("pre\npost\npre\npost"))
		Eventually(ctx, reasonsOf(ctx, b)).Should(ContainElement("RecoveredThaw"))
		Eventually(ctx, snapshotsIn).Should(ConsistOf(HaveField("Name", backup.Status.Volumes[0].SnapshotName)))
		Eventually(ctx, contentsOf).Should(HaveLen(1))
	})
})

var _ = Describe("a manager that doesn't come back while an application is frozen", Serial, Label("driver", "node"), func() {
	It("is missed by nobody: the pair of hooks is undone at its deadline, and proves nothing", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		b := aBackup(ctx, app, timeout(6*time.Second), ofClass(aSnapshotClass(ctx, "cutDelay", "15s", "times", "1")),
			hooks("echo pre >>/tmp/quiet", "echo post >>/tmp/quiet"))
		pod := podOf(ctx, app)
		Eventually(ctx, func() string { return contents(ctx, pod, "/tmp/quiet") }).Should(Equal("pre"))
		deadline := now(ctx, b).Status.Quiesce.Deadline.Time

		goOn := haltManager(ctx)
		Eventually(ctx, func() string { return contents(ctx, pod, "/tmp/quiet") }).WithTimeout(time.Until(deadline) + 4*time.Second).Should(Equal("pre\npost"))
		Expect(time.Now()).To(BeTemporally(">", deadline.Add(-time.Second)), "the manager had until then")
		Expect(now(ctx, b).Status.Quiesce.ThawedAt).To(BeNil(), "nobody else has thawed it")
		goOn()

		backup := theBackup(ctx, b)
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHooks))
		Expect(backup.Status.Quiesce.Attempt).To(BeNumerically(">=", 2), "it was thawed before its manager saw a cut")
		processes, err := cluster.Sh(ctx, pod, "ps -o stat,args")
		Expect(err).NotTo(HaveOccurred())
		Expect(processes).NotTo(Or(ContainSubstring("lull="), MatchRegexp(`(?m)^Z`)), "nothing is left of it")
	})
})

var _ = Describe("a manager that is told to stop while an application is frozen", Serial, Label("driver"), func() {
	It("thaws it before it stops, and its successor makes the backup", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		b := aBackup(ctx, app, timeout(time.Minute), ofClass(aSnapshotClass(ctx, "cutDelay", "15s", "times", "1")),
			hooks("echo pre >>/tmp/quiet", "echo post >>/tmp/quiet"))
		pod := podOf(ctx, app)
		Eventually(ctx, func() string { return contents(ctx, pod, "/tmp/quiet") }).Should(Equal("pre"))

		Expect(cluster.Delete(ctx, theManager(ctx))).To(Succeed())
		Eventually(ctx, func() string { return contents(ctx, pod, "/tmp/quiet") }).WithTimeout(10 * time.Second).Should(HavePrefix("pre\npost"))
		Expect(theBackup(ctx, b)).To(be(v1alpha1.Declared, v1alpha1.MethodHooks))
		Expect(contents(ctx, pod, "/tmp/quiet")).To(Equal("pre\npost\npre\npost"))
	})
})

var _ = Describe("a manager that has nothing to do", Serial, func() {
	It("needs little memory, and asks the API server for nothing but its lease", func(ctx SpecContext) {
		scraper, err := cluster.Scrape(ctx, theManager(ctx), namespace)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(scraper.Close)

		By("looking at ten seconds of its own count of requests, until a quiet ten seconds are found: others may use the cluster")
		const span, renewals = 10 * time.Second, 10.0 / 2
		look := func() (requests, memory float64) {
			GinkgoHelper()
			metrics, err := scraper.Read(ctx)
			Expect(err).NotTo(HaveOccurred())
			return metrics.Sum("rest_client_requests_total", "method", "GET", "PUT", "POST", "PATCH", "DELETE"),
				metrics.Sum("process_resident_memory_bytes", "")
		}
		look() // it asks once who we are
		before, _ := look()
		at := time.Now()
		Eventually(ctx, func(g Gomega) {
			after, memory := look()
			made, took := after-before, time.Since(at)
			before, at = after, time.Now()
			g.Expect(took).To(BeNumerically(">=", span)) // the first look comes at once
			g.Expect(made).To(BeNumerically("<=", renewals+2))
			g.Expect(memory).To(BeNumerically("<", 64<<20)) // right after work it has more
		}).WithPolling(span).Should(Succeed())
	})
})
