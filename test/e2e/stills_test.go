package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// A lock holds commits, and InnoDB goes on writing pages, log and purge under
// it. What is cut at one instant starts, whichever volumes it is on; what isn't
// may not.
var _ = Describe("a MariaDB whose log is on a volume of its own, under constant writing", Label("driver"), func() {
	It("is proven where its volumes are cut as a group, and the copy starts clean, with every row", func(ctx SpecContext) {
		db := aMariaDBWithItsLogApart(ctx, "db", "data", "redo")
		writer := aWriter(ctx, db)
		backup := theBackup(ctx, aBackup(ctx, db, ofGroupClass(aGroupClass(ctx))))
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))

		pause := thePause(ctx, writer, backup.Status.Quiesce)
		for _, v := range backup.Status.Volumes {
			Expect(cluster.Create(ctx, framework.ClaimFrom(namespace, "copy-"+v.ClaimName, v))).To(Succeed())
		}
		restored := aMariaDBWithItsLogApart(ctx, "copy", "copy-data", "copy-redo")
		ledger := theLedger(ctx, restored)
		Expect(ledger).To(And(HaveField("Checked", "OK"), HaveField("Damaged", 0), HaveField("Rows", ledger.Last)))
		Expect(ledger.Last).To(And(BeNumerically(">=", pause.Rows), BeNumerically("<=", pause.Rows+1)))
		Expect(logOf(ctx, restored)).NotTo(MatchRegexp(`(?i)corrupt|in the future|abort`))
	})

	It("is declared where they are cut one after another, and the way out is said", func(ctx SpecContext) {
		db := aMariaDBWithItsLogApart(ctx, "db", "data", "redo")
		aWriter(ctx, db)
		backup := theBackup(ctx, aBackup(ctx, db))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHold))
		Expect(backup.Status.Message).To(And(
			ContainSubstring("its claims data, redo were cut one after another"), ContainSubstring("Put data and log on one volume"),
			ContainSubstring("spec.volumeGroupSnapshotClassName"), ContainSubstring("spec.volumes.exclude")))
	})

	It("is declared where the backup lacks its log, by the server's own word", func(ctx SpecContext) {
		db := aMariaDBWithItsLogApart(ctx, "db", "data", "redo")
		withoutItsLog := theBackup(ctx, aBackup(ctx, db, func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Exclude = []string{"redo"} }))
		Expect(withoutItsLog).To(be(v1alpha1.Declared, v1alpha1.MethodHold))
		Expect(withoutItsLog.Status.Message).To(ContainSubstring("/redo is on claim redo. Back up all volumes"))
	})

	It("is declared where its log has no claim", func(ctx SpecContext) {
		db, settings := framework.MariaDBWithLog(namespace, "db", "data", "data", "")
		mounts := db.Change
		db.Change = func(o client.Object) {
			mounts(o)
			forAWhile(framework.PodSpec(o), "/redo")
		}
		Expect(cluster.Create(ctx, settings)).To(Succeed())
		backup := theBackup(ctx, aBackup(ctx, running(ctx, annotated(db, "lull.dev/quiesce", "mariadb"))))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHold))
		Expect(backup.Status.Message).To(ContainSubstring("/redo is on volume scratch, which no backup can have"))
	})

	It("is proven without what isn't the database's, where that is left out", func(ctx SpecContext) {
		Expect(cluster.Create(ctx, framework.Claim(namespace, "cache"))).To(Succeed())
		db := annotated(aMariaDB("db", "data"), "lull.dev/quiesce", "mariadb")
		db.Change = func(o client.Object) { mountToo(o.(*appsv1.Deployment), "cache", "/cache") }
		running(ctx, db)
		Expect(theBackup(ctx, aBackup(ctx, db))).To(be(v1alpha1.Declared, v1alpha1.MethodHold))
		Expect(theBackup(ctx, aBackup(ctx, db, func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Exclude = []string{"cache"} }))).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
	})
})

var _ = Describe("a driver that copies file by file, by its class's own word", Label("driver"), func() {
	It("can't prove what holds commits alone, and can where nothing is written", func(ctx SpecContext) {
		db := running(ctx, annotated(aMariaDB("db", "data"), "lull.dev/quiesce", "mariadb"))
		aWriter(ctx, db)
		class := aMarkedSnapshotClass(ctx, "mode", "copying", "copyDelay", "5ms")
		backup := theBackup(ctx, aBackup(ctx, db, ofClass(class)))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHold))
		Expect(backup.Status.Message).To(And(ContainSubstring("VolumeSnapshotClass "+class+" is marked lull.dev/copies-files"), ContainSubstring("use a class that cuts at one instant")))

		app := running(ctx, tools("app", "", "files"))
		Expect(theBackup(ctx, aBackup(ctx, app, hold(holdStill), ofClass(class)))).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
	})
})

// aMarkedSnapshotClass is a class that says of itself that it copies files.
func aMarkedSnapshotClass(ctx context.Context, parameters ...string) string {
	GinkgoHelper()
	class := framework.SnapshotClass(theDriver(ctx), framework.Parameters(parameters...))
	class.Annotations = map[string]string{v1alpha1.MarkCopiesFiles: "true"}
	Expect(cluster.Create(ctx, class)).To(Succeed())
	DeferCleanup(dropSnapshotClass, class)
	return class.Name
}

// aMariaDBWithItsLogApart runs, on two claims that are made where they aren't
// there, and is quieted by the recipe.
func aMariaDBWithItsLogApart(ctx context.Context, name, data, redo string) framework.Application {
	GinkgoHelper()
	db, settings := framework.MariaDBWithLog(namespace, name, data, redo, "innodb_log_file_size=32M\n")
	Expect(cluster.Create(ctx, settings)).To(Succeed())
	return running(ctx, annotated(db, "lull.dev/quiesce", "mariadb"))
}

// forAWhile has all containers have a folder on a volume that ends with the pod.
func forAWhile(spec *corev1.PodSpec, folder string) {
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			for m := range containers[i].VolumeMounts {
				if mount := &containers[i].VolumeMounts[m]; mount.MountPath == folder {
					mount.Name, mount.SubPath = "scratch", ""
				}
			}
		}
	}
}

// mountToo mounts one more claim.
func mountToo(d *appsv1.Deployment, claim, at string) {
	spec := &d.Spec.Template.Spec
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}})
	spec.Containers[0].VolumeMounts = append(spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: claim, MountPath: at})
}

// logOf is what the application's first container has printed.
func logOf(ctx context.Context, a framework.Application) string {
	GinkgoHelper()
	text, err := cluster.LogOf(ctx, podOf(ctx, a))
	Expect(err).NotTo(HaveOccurred())
	return text
}
