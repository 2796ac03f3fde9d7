package e2e

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("a restore from a repository", func() {
	DescribeTable("brings an application back of which the cluster has nothing any more",
		func(ctx SpecContext, kind v1alpha1.ApplicationKind, strategy v1alpha1.RestoreStrategy, claims ...string) {
			theSample(ctx, "offsite-repository.yaml")
			isReady(ctx, "offsite")
			app := tools("app", "", "data", "logs")
			app.Kind = kind
			app = running(ctx, app)
			write(ctx, app, "first", "/data/mark", "/logs/mark")
			first := theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
			write(ctx, app, "second", "/data/mark", "/logs/mark", "/data/later")
			theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))

			By("losing it, its claims, its backups and their snapshots")
			Expect(cluster.Delete(ctx, app.Workload())).To(Succeed())
			Expect(cluster.DeleteAllOf(ctx, &v1alpha1.VolumeBackup{}, client.InNamespace(namespace))).To(Succeed())
			for _, claim := range claims {
				Expect(cluster.Delete(ctx, framework.Claim(namespace, claim))).To(Succeed())
				gone(ctx, framework.Claim(namespace, claim))
			}
			Eventually(ctx, snapshotsIn).Should(BeEmpty())

			app = running(ctx, app)
			write(ctx, app, "empty", "/data/mark", "/logs/mark")
			restore := theRestore(ctx, aRestoreFrom(ctx, "offsite", onto(kind, "app"), using(strategy), func(r *v1alpha1.VolumeRestore) {
				at := metav1.NewTime(first.Status.Quiesce.CutAt.Time)
				r.Spec.Source.Repository.AsOf = &at
			}))
			Expect(restore).To(beRestoredBy(strategy))
			Expect(restore.Status.Found.BackupUID).To(Equal(first.UID))
			Expect(restore.Status.Claims).To(HaveLen(2))
			Expect(read(ctx, app, "/data/mark")).To(HaveEach("first"))
			Expect(read(ctx, app, "/logs/mark")).To(HaveEach("first"))
			Eventually(ctx, jobsIn).Should(BeEmpty())
			Eventually(ctx, reasonsOf(ctx, restore)).Should(ContainElement(v1alpha1.ReasonOwnersNotRestored))

			rollBack(ctx, restore)
			Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreRolledBack))
			Expect(read(ctx, app, "/data/mark")).To(HaveEach("empty"))
		},
		Entry("a Deployment", v1alpha1.KindDeployment, v1alpha1.StrategyRepoint, "data", "logs"),
		Entry("a StatefulSet", v1alpha1.KindStatefulSet, v1alpha1.StrategyReplace, "data-app-0", "logs-app-0"),
	)

	It("is what a restore becomes of a backup that its owner wants in the repository alone", func(ctx SpecContext) {
		theSample(ctx, "offsite-repository.yaml")
		isReady(ctx, "offsite")
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "first", "/data/mark")
		b := theBackup(ctx, aBackup(ctx, app, exportedTo("offsite"), func(s *v1alpha1.VolumeBackupSpec) { s.Export.KeepSnapshot = new(bool) }))
		Expect(b.Status.Phase).To(Equal(v1alpha1.PhaseCompleted))
		Expect(b.Status.Message).To(ContainSubstring("it is in repository offsite alone"))
		Expect([]string{b.Status.Snapshots, b.Status.Exported}).To(Equal([]string{"0/1", "1/1"}))
		Expect(snapshotsIn(ctx)).To(BeEmpty())
		Eventually(ctx, contentsOf).Should(BeEmpty())

		write(ctx, app, "second", "/data/mark")
		restore := theRestore(ctx, aRestore(ctx, b, v1alpha1.StrategyAuto))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(restore.Status.Found.BackupUID).To(Equal(b.UID))
		Expect(read(ctx, app, "/data/mark")).To(HaveEach("first"))

		By("and is deleted as any other")
		Expect(cluster.Delete(ctx, b)).To(Succeed())
		gone(ctx, b)
	})

	It("gives one file back, into a new claim", func(ctx SpecContext) {
		theSample(ctx, "offsite-repository.yaml")
		isReady(ctx, "offsite")
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "kept", "/data/mark", "/data/other")
		b := theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
		write(ctx, app, "broken", "/data/mark")

		restore := theRestore(ctx, aRestoreFrom(ctx, "offsite", using(v1alpha1.StrategyClaimsOnly), as("data", "looked-into"), func(r *v1alpha1.VolumeRestore) {
			r.Spec.Source.Repository.SnapshotID = b.Status.Volumes[0].Export.SnapshotID[:8]
			r.Spec.Source.Paths = []string{"/mark"}
		}))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyClaimsOnly))
		look := running(ctx, tools("look", "", "looked-into"))
		Expect(read(ctx, look, "/looked-into/mark")).To(HaveEach("kept"))
		files, err := cluster.Sh(ctx, podOf(ctx, look), "ls /looked-into")
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.Fields(strings.ReplaceAll(files, "lost+found", ""))).To(Equal([]string{"mark"}))
	})

	It("gives a database back whose files belong to its own user, by a privileged mover", func(ctx SpecContext) {
		Expect(cluster.Merge(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, `{"metadata":{"annotations":{"lull.dev/privileged-movers":"true"}}}`)).To(Succeed())
		theSample(ctx, "offsite-repository.yaml")
		change(ctx, repositoryNow(ctx, "offsite"), `{"spec":{"mover":{"privileged":true}}}`)
		isReady(ctx, "offsite")
		db := running(ctx, annotated(aMariaDB("db", "data"), "lull.dev/quiesce", "mariadb"))
		fill(ctx, db)
		theBackup(ctx, aBackup(ctx, db, exportedTo("offsite")))
		query(ctx, db, "DROP TABLE orders")

		restore := theRestore(ctx, aRestoreFrom(ctx, "offsite", onto(v1alpha1.KindDeployment, "db")))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(query(ctx, db, "SELECT COUNT(*), SUM(n) FROM orders")).To(Equal("3\t6"))
		told, err := reasonsOf(ctx, restore)()
		Expect(err).NotTo(HaveOccurred())
		Expect(told).NotTo(ContainElement(v1alpha1.ReasonOwnersNotRestored))
	})

	It("is refused with what to write instead, and stops nothing", func(ctx SpecContext) {
		theSample(ctx, "offsite-repository.yaml")
		isReady(ctx, "offsite")
		app := running(ctx, tools("app", "", "data"))
		before := uidsOf(ctx, app)
		for _, c := range []struct {
			repository, reason, says string
			change                   func(*v1alpha1.RepositorySource)
		}{
			{"nowhere", v1alpha1.ReasonRepositoryNotReady, "there is no ResticRepository nowhere", func(*v1alpha1.RepositorySource) {}},
			{"offsite", v1alpha1.ReasonNotFoundThere, "no backup of " + namespace + "/app with all of its claims. At the last look it had no backup of any application: see that spec.backend", func(*v1alpha1.RepositorySource) {}},
			{"offsite", v1alpha1.ReasonNotFoundThere, "no snapshot 0123abcd", func(s *v1alpha1.RepositorySource) { s.SnapshotID = "0123abcd" }},
		} {
			restore := aRestoreFrom(ctx, c.repository, onto(v1alpha1.KindDeployment, "app"), func(r *v1alpha1.VolumeRestore) { c.change(r.Spec.Source.Repository) })
			Expect(theRestore(ctx, restore)).To(beRefused(c.reason, c.says))
		}
		Expect(uidsOf(ctx, app)).To(Equal(before))
		Eventually(ctx, jobsIn).Should(BeEmpty())
	})

	It("ends its movers and its claims when it is deleted under way", func(ctx SpecContext) {
		theSample(ctx, "offsite-repository.yaml")
		isReady(ctx, "offsite")
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "kept", "/data/mark")
		theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
		before, claims := uidsOf(ctx, app), claimsOf(ctx)

		restore := aRestoreFrom(ctx, "offsite", onto(v1alpha1.KindDeployment, "app"))
		Eventually(ctx, jobsIn).Should(ContainElement(HavePrefix("fill-data")))
		Expect(cluster.Delete(ctx, restore)).To(Succeed())
		gone(ctx, restore)
		Eventually(ctx, jobsIn).Should(BeEmpty())
		Eventually(ctx, claimsIn).Should(Equal(claims))
		Expect(uidsOf(ctx, app)).To(Equal(before))
	})
})

// aRestoreFrom asks for a restore from a repository.
func aRestoreFrom(ctx context.Context, repository string, with ...func(*v1alpha1.VolumeRestore)) *v1alpha1.VolumeRestore {
	GinkgoHelper()
	return aRestore(ctx, &v1alpha1.VolumeBackup{}, v1alpha1.StrategyAuto, append([]func(*v1alpha1.VolumeRestore){func(r *v1alpha1.VolumeRestore) {
		r.Spec.Source = v1alpha1.RestoreSource{Repository: &v1alpha1.RepositorySource{Ref: v1alpha1.RepositoryReference{Name: repository}}}
	}}, with...)...)
}

func using(strategy v1alpha1.RestoreStrategy) func(*v1alpha1.VolumeRestore) {
	return func(r *v1alpha1.VolumeRestore) { r.Spec.Target.Strategy = strategy }
}

// jobsIn are the names of the Jobs of the spec's namespace.
func jobsIn(ctx context.Context) (names []string, err error) {
	var jobs batchv1.JobList
	err = cluster.List(ctx, &jobs, client.InNamespace(namespace))
	for _, j := range jobs.Items {
		names = append(names, j.Name)
	}
	return names, err
}
