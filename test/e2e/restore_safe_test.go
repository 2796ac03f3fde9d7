package e2e

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

func readyWithin(d time.Duration) func(*v1alpha1.VolumeRestore) {
	return func(r *v1alpha1.VolumeRestore) { r.Spec.ReadyTimeout = &metav1.Duration{Duration: d} }
}

// readyWhile is a probe that succeeds while a command does.
func readyWhile(command ...string) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: command}}, PeriodSeconds: 1}
}

// notReady waits until no pod of the namespace is ready.
func notReady(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		var pods corev1.PodList
		g.Expect(cluster.List(ctx, &pods, client.InNamespace(namespace))).To(Succeed())
		for i := range pods.Items {
			for _, c := range pods.Items[i].Status.Conditions {
				if c.Type == corev1.PodReady {
					g.Expect(c.Status).To(Equal(corev1.ConditionFalse), pods.Items[i].Name)
				}
			}
		}
	}).Should(Succeed())
}

var _ = Describe("an application that is restored", func() {
	It("comes up though its replicas crash, which Kubernetes doesn't stop then", func(ctx SpecContext) {
		set := tools("set", `[ -e /data/begun ] || { touch /data/begun /data/good; sync; }
			while [ -e /data/good ]; do sleep 1 & wait; done; sync; sleep 2; exit 1`, "data")
		set.Kind, set.Replicas, set.Ready = v1alpha1.KindStatefulSet, 3, readyWhile("test", "-e", "/data/good")
		set = running(ctx, set)
		backup := theBackup(ctx, aBackup(ctx, set))
		for _, pod := range podsOf(ctx, set) {
			_, err := cluster.Sh(ctx, &pod, "rm /data/good")
			Expect(err).NotTo(HaveOccurred())
		}
		notReady(ctx)

		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))).To(beRestoredBy(v1alpha1.StrategyReplace))
		Expect(podsOf(ctx, set)).To(HaveLen(3))
	})

	It("has its volume back though a pod took its claim while it stopped, and says which", func(ctx SpecContext) {
		set := tools("set", "trap 'sleep 6; exit 0' TERM", "data")
		set.Kind = v1alpha1.KindStatefulSet
		set = running(ctx, set)
		write(ctx, set, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, set))
		write(ctx, set, "after", "/data/mark")
		volume := theClaim(ctx, "data-set-0").Spec.VolumeName

		restore := aRestore(ctx, backup, v1alpha1.StrategyAuto)
		Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreScalingDown))
		vacuum := tools("vacuum", "", "data-set-0")
		vacuum.Kind = v1alpha1.KindPod
		running(ctx, vacuum)

		Expect(theRestore(ctx, restore).Status.Phase).To(Equal(v1alpha1.RestoreRolledBack))
		Expect(restore.Status.Message).To(And(ContainSubstring("pod vacuum, of another application, uses"), ContainSubstring("kubectl delete pod")))
		Expect(read(ctx, set, "/data/mark")).To(Equal([]string{"after"}))
		Expect(theClaim(ctx, "data-set-0").Spec.VolumeName).To(Equal(volume))
	})

	// The kubelet asks for a claim that isn't there, as it asks for one that the
	// API server doesn't let it read yet, and would ask again after ten seconds.
	It("starts as soon as its claims can be read, though its kubelet was too early", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data", "extra"))
		first := podOf(ctx, app)
		node := first.Spec.NodeName
		change(ctx, app.Workload(), `{"spec":{"template":{"spec":{"nodeName":"`+node+`"}}}}`) // no scheduler waits for claims
		Eventually(ctx, func() types.UID { return podOf(ctx, app).UID }).ShouldNot(Equal(first.UID))
		backup := theBackup(ctx, aBackup(ctx, app, func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Exclude = []string{"extra"} }))
		missing := theClaim(ctx, "extra")
		Expect(cluster.Delete(ctx, missing)).To(Succeed())
		change(ctx, missing, `{"metadata":{"finalizers":null}}`) // a pod that comes before its protection ends would run with it

		restore := aRestore(ctx, backup, v1alpha1.StrategyRepoint)
		var pod *corev1.Pod
		Eventually(ctx, func(g Gomega) {
			pods, err := podsInNamespace(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(pods).To(ContainElement(HaveField("Annotations", HaveKey(v1alpha1.AnnotationResync))))
			pod = &pods[0]
		}).Should(Succeed())
		extra := framework.Claim(namespace, "extra")
		extra.Annotations = map[string]string{"volume.kubernetes.io/selected-node": node}
		Expect(cluster.Create(ctx, extra)).To(Succeed())

		Expect(theRestore(ctx, restore)).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(podOf(ctx, app).UID).To(Equal(pod.UID))
	})

	It("goes back by itself to a claim that was deleted meanwhile", func(ctx SpecContext) {
		app := tools("app", "[ -e /data/mark ] || echo newest >/data/mark", "data")
		app.Ready = readyWhile("grep", "-q", "newest", "/data/mark")
		app = running(ctx, app)
		pod := podOf(ctx, app)
		_, err := cluster.Sh(ctx, pod, "echo old >/data/mark && sync")
		Expect(err).NotTo(HaveOccurred())
		backup := theBackup(ctx, aBackup(ctx, app))
		_, err = cluster.Sh(ctx, pod, "echo newest >/data/mark && sync")
		Expect(err).NotTo(HaveOccurred())
		podOf(ctx, app)
		deleted := theClaim(ctx, "data")
		Expect(cluster.Delete(ctx, deleted)).To(Succeed())

		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyRepoint, readyWithin(5*time.Second)))
		Expect(restore.Status.Phase).To(Equal(v1alpha1.RestoreRolledBack), restore.Status.Message)
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"newest"}))
		made := theClaim(ctx, "data")
		Expect(made.UID).NotTo(Equal(deleted.UID))
		Expect(made.Spec.VolumeName).To(Equal(deleted.Spec.VolumeName))
	})

	It("goes back as asked to a claim that was deleted meanwhile", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		write(ctx, app, "after", "/data/mark")
		deleted := theClaim(ctx, "data")
		Expect(cluster.Delete(ctx, deleted)).To(Succeed())
		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyRepoint))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyRepoint))
		gone(ctx, deleted)

		rollBack(ctx, restore)
		Eventually(ctx, phaseOf(ctx, restore)).Should(Equal(v1alpha1.RestoreRolledBack))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"after"}))
	})
})
