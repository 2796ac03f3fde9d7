package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// noteHold notes in a file when it holds, and when it lets go.
const noteHold = "echo held >>/tmp/quiet; echo HELD; cat >/dev/null; echo STILL_HELD; echo released >>/tmp/quiet"

var _ = Describe("an application", func() {
	It("that is scaled to zero is declared idle, where nothing shows that its node let the volumes go", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		scaleToZero(ctx, app)
		backup := theBackup(ctx, aBackup(ctx, app, hold(noteHold)))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodIdle))
		Expect(backup.Status.Quiesce.Pods).To(BeEmpty())
		Expect(backup.Status.Message).To(And(ContainSubstring("a pod that was deleted by force may run on"), ContainSubstring("Let Lull ask the nodes")))
	})

	It("without hooks is backed up as a crash would leave it, and that is said", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		backup := theBackup(ctx, aBackup(ctx, app))
		Expect(backup).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
		Expect(backup.Status.Message).To(ContainSubstring("annotate the pod template with lull.dev/quiesce"))
	})

	It("that can't be quieted is backed up all the same, where its owner asked for that, and the reason is said", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		backup := theBackup(ctx, aBackup(ctx, app, attempts(1), onFailureContinue, hold("echo no server here >&2; exit 1")))
		Expect(backup).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
		Expect(backup.Status.Message).To(ContainSubstring("no server here"))
	})

	It("can be a claim: every pod that mounts it is quieted, by its own annotations", func(ctx SpecContext) {
		noting := []string{"lull.dev/hold-hook", noteHold}
		one := running(ctx, annotated(tools("one", "", "shared"), noting...))
		other := running(ctx, annotated(tools("other", "", "shared"), noting...))

		backup := theBackup(ctx, aBackupOf(ctx, v1alpha1.ApplicationReference{Kind: v1alpha1.KindPersistentVolumeClaim, Name: "shared"}))
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(backup.Status.Quiesce.Pods).To(HaveLen(2))
		for _, app := range []framework.Application{one, other} {
			Expect(contents(ctx, podOf(ctx, app), "/tmp/quiet")).To(Equal("held\nreleased"))
		}
	})

	It("whose claim another one writes to isn't called proven", func(ctx SpecContext) {
		one := running(ctx, annotated(tools("one", "", "shared"), "lull.dev/hold-hook", noteHold))
		running(ctx, tools("other", "", "shared"))

		backup := theBackup(ctx, aBackup(ctx, one))
		Expect(backup.Status.Consistency).To(Equal(v1alpha1.Crash))
		Expect(backup.Status.Message).To(And(ContainSubstring("pod other-"), ContainSubstring("was not quieted")))
	})

	It("can be a pod by itself, with annotations of its own", func(ctx SpecContext) {
		app := annotated(tools("lone", "", "data"), "lull.dev/hold-hook", noteHold)
		app.Kind = v1alpha1.KindPod
		running(ctx, app)
		backup := theBackup(ctx, aBackup(ctx, app))
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(contents(ctx, podOf(ctx, app), "/tmp/quiet")).To(Equal("held\nreleased"))
	})

	It("has one ready pod quieted for all that share its volumes, where its owner asked for that", func(ctx SpecContext) {
		app := tools("app", "", "shared")
		app.Replicas = 2
		running(ctx, app)
		backup := theBackup(ctx, aBackup(ctx, app, hold(noteHold), onePod))
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(backup.Status.Quiesce.Pods).To(HaveLen(1))
		var noted []string
		for _, pod := range podsOf(ctx, app) {
			noted = append(noted, contents(ctx, &pod, "/tmp/quiet"))
		}
		Expect(noted).To(ConsistOf("held\nreleased", ""))
	})

	It("of which one pod is quieted isn't called proven when the others write to volumes of their own", func(ctx SpecContext) {
		app := tools("app", "", "data")
		app.Kind, app.Replicas = v1alpha1.KindStatefulSet, 2
		running(ctx, app)
		backup := theBackup(ctx, aBackup(ctx, app, hold(noteHold), onePod))
		Expect(backup.Status.Consistency).To(Equal(v1alpha1.Crash))
		Expect(backup.Status.Message).To(ContainSubstring("pod app-1 writes to the volumes and was not quieted"))
	})

	It("leaves claims out, by its annotation and by the backup", func(ctx SpecContext) {
		app := running(ctx, annotated(tools("app", "", "data", "cache", "log"), "lull.dev/exclude-volumes", "cache"))
		backup := theBackup(ctx, aBackup(ctx, app, func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Exclude = []string{"log"} }))
		Expect(backup.Status.Phase).To(Equal(v1alpha1.PhaseCompleted))
		Expect(backup.Status.Volumes).To(ConsistOf(HaveField("ClaimName", "data")))
	})

	It("is waited for by kubectl, as a Job is", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		b := aBackup(ctx, app, hold(holdStill))
		kubectl(ctx, "wait", "-n", namespace, "--for=condition=Complete", "--timeout=60s", "vb/"+b.Name)
	})

	It("that is backed up twice at once is quieted by one after the other", func(ctx SpecContext) {
		app := running(ctx, annotated(tools("app", "", "data"), "lull.dev/hold-hook",
			"mkdir /tmp/alone || { echo two at once >&2; exit 1; }; echo HELD; cat >/dev/null; echo STILL_HELD; rmdir /tmp/alone"))
		first, second := aBackup(ctx, app, attempts(1)), aBackup(ctx, app, attempts(1))
		Expect(theBackup(ctx, first)).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(theBackup(ctx, second)).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
	})
})

func scaleToZero(ctx context.Context, a framework.Application) {
	GinkgoHelper()
	change(ctx, a.Workload(), `{"spec":{"replicas":0}}`)
	Eventually(ctx, func() ([]corev1.Pod, error) {
		var pods corev1.PodList
		err := cluster.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels{"app": a.Name})
		return pods.Items, err
	}).Should(BeEmpty())
}

func podsInNamespace(ctx context.Context) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := cluster.List(ctx, &pods, client.InNamespace(namespace))
	return pods.Items, err
}

var _ = Describe("a backup that is deleted", func() {
	It("takes its snapshots along", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "log"))
		backup := theBackup(ctx, aBackup(ctx, app, hold(holdStill)))
		Expect(snapshotsIn(ctx)).To(HaveLen(2))

		Expect(cluster.Delete(ctx, backup)).To(Succeed())
		Eventually(ctx, func() error { return cluster.Get(ctx, client.ObjectKeyFromObject(backup), backup) }).Should(MatchError(ContainSubstring("not found")))
		Expect(snapshotsIn(ctx)).To(BeEmpty(), "none is left when the backup is gone")
		Eventually(ctx, contentsOf).Should(BeEmpty())
	})

	It("leaves them where they are to be retained, and they are nobody's then", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		backup := theBackup(ctx, aBackup(ctx, app, hold(holdStill), retained))

		Expect(cluster.Delete(ctx, backup)).To(Succeed())
		Eventually(ctx, func() error { return cluster.Get(ctx, client.ObjectKeyFromObject(backup), backup) }).Should(MatchError(ContainSubstring("not found")))
		snapshots, err := snapshotsIn(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(snapshots).To(ConsistOf(And(
			HaveField("Name", backup.Status.Volumes[0].SnapshotName),
			HaveField("Labels", Not(HaveKey(v1alpha1.LabelBackup))),
			HaveField("DeletionTimestamp", BeNil()),
		)))
	})

	It("while the application is frozen thaws it first", Label("driver"), func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		b := aBackup(ctx, app, hooks("echo pre >>/data/hooks", "echo post >>/data/hooks"), ofClass(aSnapshotClass(ctx, "cutDelay", "10s", "times", "1")))
		Eventually(ctx, func() string { return contents(ctx, podOf(ctx, app), "/data/hooks") }).Should(Equal("pre"))

		Expect(cluster.Delete(ctx, b)).To(Succeed())
		Eventually(ctx, func() error { return cluster.Get(ctx, client.ObjectKeyFromObject(b), b) }).Should(MatchError(ContainSubstring("not found")))
		Expect(contents(ctx, podOf(ctx, app), "/data/hooks")).To(Equal("pre\npost"))
		Eventually(ctx, contentsOf).Should(BeEmpty())
	})
})
