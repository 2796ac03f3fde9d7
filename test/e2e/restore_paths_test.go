package e2e

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("paths of a snapshot in the cluster", func() {
	ofPaths := func(paths ...string) func(*v1alpha1.VolumeRestore) {
		return func(r *v1alpha1.VolumeRestore) { r.Spec.Source.Paths = paths }
	}
	of := func(claim string) func(*v1alpha1.VolumeRestore) {
		return func(r *v1alpha1.VolumeRestore) { r.Spec.Volumes.Include = []string{claim} }
	}

	It("come back into a new claim, without a repository", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "logs"))
		write(ctx, app, "kept", "/data/mark", "/data/other")
		sh(ctx, app, "mkdir -p /data/etc/app && echo kept > /data/etc/app/conf && ln -s app/conf /data/etc/link && ln /data/etc/app/conf /data/etc/hard && truncate -s 200M /data/etc/sparse && sync")
		b := theBackup(ctx, aBackup(ctx, app))
		write(ctx, app, "broken", "/data/mark")
		before, claims := uidsOf(ctx, app), claimsOf(ctx)

		restore := theRestore(ctx, aRestore(ctx, b, v1alpha1.StrategyClaimsOnly, ofPaths("/mark", "/etc"), of("data"), as("data", "looked-into")))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyClaimsOnly))
		Expect(restore.Status.Claims).To(HaveLen(1))
		Expect(restore.Status.Claims[0].Fill.FilledAt).NotTo(BeNil())

		By("with nothing left but the new claim")
		Eventually(ctx, jobsIn).Should(BeEmpty())
		Eventually(ctx, claimsIn).Should(ConsistOf(append(claims, "looked-into")))
		Expect(uidsOf(ctx, app)).To(Equal(before))
		Eventually(ctx, reasonsOf(ctx, restore)).Should(ContainElement(v1alpha1.ReasonOwnersNotRestored))

		By("looking into it")
		look := running(ctx, tools("look", "", "looked-into"))
		Expect(read(ctx, look, "/looked-into/mark")).To(HaveEach("kept"))
		Expect(strings.Fields(strings.ReplaceAll(sh(ctx, look, "ls /looked-into"), "lost+found", ""))).To(Equal([]string{"etc", "mark"}))
		Expect(sh(ctx, look, "cat /looked-into/etc/link && stat -c %h /looked-into/etc/hard && du -k /looked-into/etc/sparse | cut -f1")).To(Equal("kept\n2\n0"))
	})

	It("come back into a folder of the application's own claim, while nothing uses it", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		sh(ctx, app, "mkdir -p /data/etc && chmod 777 /data && echo kept > /data/etc/conf && sync")
		b := theBackup(ctx, aBackup(ctx, app))
		sh(ctx, app, "echo broken > /data/etc/conf && sync")
		owner := sh(ctx, app, "stat -c %u:%g /data/etc/conf")
		claims := claimsOf(ctx)
		into := func(r *v1alpha1.VolumeRestore) { r.Spec.Target.TargetPath = "/home/restored" }

		used := theRestore(ctx, aRestore(ctx, b, v1alpha1.StrategyClaimsOnly, ofPaths("/etc/conf"), into))
		Expect(used).To(beRefused(v1alpha1.ReasonClaimInUse, podOf(ctx, app).Name, "nobody may use it"))
		scaleToZero(ctx, app)
		restore := theRestore(ctx, aRestore(ctx, b, v1alpha1.StrategyClaimsOnly, ofPaths("/etc/conf"), into))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyClaimsOnly))
		again := theRestore(ctx, aRestore(ctx, b, v1alpha1.StrategyClaimsOnly, ofPaths("/etc/conf"), into))
		Expect(again).To(beRefused(v1alpha1.ReasonFillFailed, "/home/restored of the volume isn't empty"))
		Eventually(ctx, jobsIn).Should(BeEmpty())
		Eventually(ctx, claimsIn).Should(ConsistOf(claims))

		change(ctx, app.Workload(), `{"spec":{"replicas":1}}`)
		Expect(sh(ctx, app, "cat /data/etc/conf /data/home/restored/etc/conf && stat -c %u:%g /data/etc/conf")).To(Equal("broken\nkept\n" + owner))
	})

	It("have their owners where the administrator lets movers be privileged", func(ctx SpecContext) {
		Expect(cluster.Merge(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, `{"metadata":{"annotations":{"lull.dev/privileged-movers":"true"}}}`)).To(Succeed())
		db := running(ctx, annotated(aMariaDB("db", "data"), "lull.dev/quiesce", "mariadb"))
		fill(ctx, db)
		b := theBackup(ctx, aBackup(ctx, db))
		restore := theRestore(ctx, aRestore(ctx, b, v1alpha1.StrategyClaimsOnly, ofPaths("/mysql"), as("data", "looked-into")))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyClaimsOnly))
		told, err := reasonsOf(ctx, restore)()
		Expect(err).NotTo(HaveOccurred())
		Expect(told).NotTo(ContainElement(v1alpha1.ReasonOwnersNotRestored))
		look := running(ctx, tools("look", "", "looked-into"))
		Expect(sh(ctx, look, "stat -c %u:%g /looked-into/mysql")).To(Equal(sh(ctx, db, "stat -c %u:%g /var/lib/mysql/mysql")))
	})

	It("that aren't there are named, and nothing is left", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "kept", "/data/mark")
		b := theBackup(ctx, aBackup(ctx, app))
		claims := claimsOf(ctx)
		restore := theRestore(ctx, aRestore(ctx, b, v1alpha1.StrategyClaimsOnly, ofPaths("/mark", "/none")))
		Expect(restore).To(beRefused(v1alpha1.ReasonFillFailed, "the snapshot has no /none"))
		Eventually(ctx, jobsIn).Should(BeEmpty())
		Eventually(ctx, claimsIn).Should(ConsistOf(claims))
	})

	It("leave no clone behind when the restore is deleted under way", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "kept", "/data/mark")
		b := theBackup(ctx, aBackup(ctx, app))
		claims := claimsOf(ctx)
		restore := aRestore(ctx, b, v1alpha1.StrategyClaimsOnly, ofPaths("/mark"))
		Eventually(ctx, jobsIn).Should(ContainElement(HavePrefix("copy-data")))
		Expect(cluster.Delete(ctx, restore)).To(Succeed())
		gone(ctx, restore)
		Eventually(ctx, jobsIn).Should(BeEmpty())
		Eventually(ctx, claimsIn).Should(ConsistOf(claims))
	})
})

// sh is what a command prints in the application's first pod.
func sh(ctx context.Context, app framework.Application, script string) string {
	GinkgoHelper()
	text, err := cluster.Sh(ctx, podOf(ctx, app), script)
	Expect(err).NotTo(HaveOccurred())
	return text
}
