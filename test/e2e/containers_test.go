package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// inSidecar moves the container that mounts the claims into a sidecar named
// side, beside a regular one that mounts nothing.
func inSidecar(policy *corev1.ContainerRestartPolicy) func(client.Object) {
	return func(o client.Object) {
		spec := &o.(*appsv1.Deployment).Spec.Template.Spec
		side := *spec.Containers[0].DeepCopy()
		side.Name, side.RestartPolicy = "side", policy
		if policy == nil {
			side.Command = []string{"/bin/true"}
		}
		spec.Containers[0].VolumeMounts, spec.InitContainers = nil, []corev1.Container{side}
	}
}

func onlyReading(o client.Object) {
	mounts := o.(*appsv1.Deployment).Spec.Template.Spec.Containers[0].VolumeMounts
	for i := range mounts {
		mounts[i].ReadOnly = true
	}
}

var _ = Describe("a container", func() {
	It("that is a sidecar and mounts the volume is quieted", func(ctx SpecContext) {
		app := tools("app", "", "data")
		app.Change = inSidecar(ptr.To(corev1.ContainerRestartPolicyAlways))
		running(ctx, app)
		backup := theBackup(ctx, aBackup(ctx, app, hooks("echo pre >>/data/hooks", "echo post >>/data/hooks")))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHooks))
		Expect(backup.Status.Quiesce.Pods).To(ConsistOf(HaveField("Container", "side")))
	})

	It("is not chosen by chance where none mounts the volume, and one that is named is told", func(ctx SpecContext) {
		app := tools("app", "", "data")
		app.Change = inSidecar(nil)
		running(ctx, app)
		Expect(theBackup(ctx, aBackup(ctx, app, hold(holdStill)))).To(haveFailed(v1alpha1.ReasonContainerNotFound, "name one of main"))
		backup := theBackup(ctx, aBackup(ctx, app, hold(holdStill), func(s *v1alpha1.VolumeBackupSpec) { s.Quiesce.Hold.Container = "main" }))
		Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Eventually(ctx, reasonsOf(ctx, backup)).Should(ContainElement(v1alpha1.ReasonContainerMountsNone))
	})

	It("of another application that only reads the volume is no matter", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "shared"))
		reader := tools("reader", "", "shared")
		reader.Change = onlyReading
		running(ctx, reader)
		Expect(theBackup(ctx, aBackup(ctx, app, hold(holdStill)))).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
	})
})

var _ = Describe("a pre-hook whose program isn't there", func() {
	missing := func(s *v1alpha1.VolumeBackupSpec) {
		hooks("lull-no-such-program --freeze", "echo still none >&2; exit 1")(s)
	}

	It("has frozen nothing: the backup fails at once, and nothing is said to be frozen", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		backup := theBackup(ctx, aBackup(ctx, app, attempts(1), missing))
		Expect(backup).To(haveFailed("QuiesceFailed", "it never ran", "not found"))
		Expect(backup.Status.Quiesce.Pods).To(HaveEach(HaveField("Thawed", true)))
	})

	It("is gone on without, where its owner asked for that", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		Expect(theBackup(ctx, aBackup(ctx, app, attempts(1), missing, onFailureContinue))).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
	})

	It("is gone on without as well where the container that is named isn't there", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		backup := theBackup(ctx, aBackup(ctx, app, hold(holdStill), onFailureContinue, func(s *v1alpha1.VolumeBackupSpec) { s.Quiesce.Hold.Container = "sidecar" }))
		Expect(backup).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
		Expect(backup.Status.Message).To(ContainSubstring(`has no container "sidecar"`))
	})

	It("as Velero runs it, without a shell's help, has frozen nothing either", func(ctx SpecContext) {
		app := running(ctx, annotated(tools("app", "", "data"),
			"pre.hook.backup.velero.io/command", `["/usr/bin/lull-no-such-program", "--freeze"]`,
			"post.hook.backup.velero.io/command", `["/usr/bin/lull-no-such-program", "--unfreeze"]`))
		backup := theBackup(ctx, aBackup(ctx, app, attempts(1), onFailureContinue))
		Expect(backup).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
	})
})

var _ = Describe("a pair of hooks that both fail", func() {
	It("ends with a backup where its owner asked for that, which says that the application may be frozen", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		const agentless = "echo guest agent is not connected >&2; exit 1"
		backup := theBackup(ctx, aBackup(ctx, app, hooks(agentless, agentless), onFailureContinue))
		Expect(backup).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
		Expect(backup.Status.Message).To(And(ContainSubstring("may still be frozen"), ContainSubstring("kubectl exec -n "+namespace), ContainSubstring("guest agent is not connected")))
		Expect(isTrue(backup, v1alpha1.ConditionThawed)).To(BeFalse())
		Expect(saidToBeFrozen(ctx)).To(ConsistOf(backup.Name + " app Completed False"))
	})
})

var _ = Describe("a class that has copies outlive their snapshots", func() {
	aRetainClass := func(ctx SpecContext) string {
		GinkgoHelper()
		class := framework.SnapshotClass(theDriver(ctx), nil)
		class.DeletionPolicy = "Retain"
		Expect(cluster.Create(ctx, class)).To(Succeed())
		DeferCleanup(dropSnapshotClass, class)
		return class.Name
	}

	It("keeps none of what is discarded, and that is told once", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		class := aRetainClass(ctx)
		failing := theBackup(ctx, aBackup(ctx, app, ofClass(class), attempts(2), hold("echo HELD; cat >/dev/null")))
		Expect(failing).To(haveFailed("QuiesceFailed", "without STILL_HELD"))
		Eventually(ctx, contentsOf).Should(BeEmpty())
		Eventually(ctx, reasonsOf(ctx, failing)).Should(ContainElement(v1alpha1.ReasonClassRetains))

		good := theBackup(ctx, aBackup(ctx, app, ofClass(class), hold(holdStill)))
		Expect(good).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(good.Status.Message).To(ContainSubstring("VolumeSnapshotClass " + class + ": the deletionPolicy is Retain"))
		Expect(cluster.Delete(ctx, good)).To(Succeed())
		gone(ctx, good)
		Eventually(ctx, contentsOf).Should(BeEmpty())
	})

	It("keeps none of a group either", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "log"))
		class := framework.GroupClass(theDriver(ctx), nil)
		class.Object["deletionPolicy"] = "Retain"
		name := created(ctx, class)
		failing := theBackup(ctx, aBackup(ctx, app, ofGroupClass(name), attempts(1), hold("echo HELD; cat >/dev/null")))
		Expect(failing).To(haveFailed("QuiesceFailed", "without STILL_HELD"))
		nothingIsLeft(ctx)
		good := theBackup(ctx, aBackup(ctx, app, ofGroupClass(name), hold(holdStill)))
		Expect(good).To(be(v1alpha1.Proven, v1alpha1.MethodHold))
		Expect(cluster.Delete(ctx, good)).To(Succeed())
		gone(ctx, good)
		nothingIsLeft(ctx)
	})
})
