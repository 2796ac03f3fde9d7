package e2e

import (
	"context"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// What the API says isn't what a node does: a pod that is deleted by force, or
// has no grace period, leaves the API at once, and its process writes on.
var _ = Describe("a pod that the API has forgotten and that still writes", func() {
	It("is why an application without a grace period isn't proven idle", func(ctx SpecContext) {
		app := aStubbornWriter(ctx, 0)
		stop(ctx, app, podOf(ctx, app))
		backup := theBackup(ctx, aBackup(ctx, app))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodIdle))
	})

	It("is why one whose pod was deleted by force isn't proven idle", func(ctx SpecContext) {
		app := aStubbornWriter(ctx, 20*time.Second)
		pod := podOf(ctx, app)
		stop(ctx, app, pod)
		forget(ctx, pod)
		backup := theBackup(ctx, aBackup(ctx, app))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodIdle))
		Expect(backup.Status.Message).To(ContainSubstring("Lull may not ask the nodes"))
	})

	It("is why a hold in today's pod proves nothing: yesterday's writes beside it", func(ctx SpecContext) {
		app := aStubbornWriter(ctx, 20*time.Second)
		yesterday := podOf(ctx, app)
		forget(ctx, yesterday)
		Eventually(ctx, func() string { return podOf(ctx, app).Name }).ShouldNot(Equal(yesterday.Name))
		backup := theBackup(ctx, aBackup(ctx, app, hold(holdStill)))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHold))
		Expect(backup.Status.Message).To(ContainSubstring("pod " + yesterday.Name + " left the API"))
	})

	Describe("on nodes that Lull may ask", Serial, func() {
		BeforeEach(mayAskNodes)

		It("is waited for, and then the application is proven idle, with all that was written", func(ctx SpecContext) {
			app := aStubbornWriter(ctx, 10*time.Second)
			pod := podOf(ctx, app)
			stop(ctx, app, pod)
			forget(ctx, pod)
			b := aBackup(ctx, app)
			Eventually(ctx, func() string { return now(ctx, b).Status.Message }).Should(ContainSubstring("pod " + pod.Name + " runs on node"))
			Expect(now(ctx, b).Status.Volumes).To(BeEmpty(), "nothing is cut meanwhile")
			backup := theBackup(ctx, b)
			Expect(backup).To(be(v1alpha1.Proven, v1alpha1.MethodIdle))

			copied := theCopy(ctx, backup)
			original := podOf(ctx, running(ctx, tools("original", "", "data")))
			last := contents(ctx, original, "/data/n")
			Expect(last).NotTo(BeEmpty())
			Expect(contents(ctx, copied, "/copy-data/n")).To(Equal(last))
		})

		It("makes a hold beside it declared, by the nodes' own word", func(ctx SpecContext) {
			app := aStubbornWriter(ctx, 20*time.Second)
			yesterday := podOf(ctx, app)
			// Ten numbers a second: a kubelet's word may be three seconds old, and lack a
			// pod that has just come.
			Eventually(ctx, func() (int, error) { return strconv.Atoi(contents(ctx, yesterday, "/data/n")) }).Should(BeNumerically(">", 50))
			forget(ctx, yesterday)
			Eventually(ctx, func() string { return podOf(ctx, app).Name }).ShouldNot(Equal(yesterday.Name))
			backup := theBackup(ctx, aBackup(ctx, app, hold(holdStill)))
			Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHold))
			Expect(backup.Status.Message).To(ContainSubstring("pod " + yesterday.Name + " runs on node"))

			By("and is no matter once its node says that it has ended")
			Eventually(ctx, func() v1alpha1.Consistency {
				return theBackup(ctx, aBackup(ctx, app, hold(holdStill))).Status.Consistency
			}).WithTimeout(time.Minute).Should(Equal(v1alpha1.Proven))
		})
	})
})

// aStubbornWriter writes a number again and again, never syncs, and doesn't
// heed that it is told to stop.
func aStubbornWriter(ctx context.Context, grace time.Duration) framework.Application {
	GinkgoHelper()
	app := tools("app", "", "data")
	app.Command = []string{"/bin/sh", "-c", `trap "" TERM; n=0; while :; do n=$((n+1)); echo $n >/data/n; sleep 0.1; done`}
	app.Change = func(o client.Object) {
		o.(*appsv1.Deployment).Spec.Template.Spec.TerminationGracePeriodSeconds = ptr.To(int64(grace.Seconds()))
	}
	running(ctx, app)
	Eventually(ctx, func() string { return contents(ctx, podOf(ctx, app), "/data/n") }).ShouldNot(BeEmpty())
	return app
}

// stop scales the application to zero, and waits until its pod is told to stop.
func stop(ctx context.Context, a framework.Application, pod *corev1.Pod) {
	GinkgoHelper()
	change(ctx, a.Workload(), `{"spec":{"replicas":0}}`)
	isToldToStop(ctx, pod)
}

func isToldToStop(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	Eventually(ctx, func() (bool, error) {
		err := cluster.Get(ctx, client.ObjectKeyFromObject(pod), pod)
		return err != nil || !pod.DeletionTimestamp.IsZero(), client.IgnoreNotFound(err)
	}).Should(BeTrue())
}

// forget deletes a pod, and then by force. Its node gives it the grace period
// that it was deleted with first: one that is deleted by force at once it kills.
func forget(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	Expect(client.IgnoreNotFound(cluster.Delete(ctx, pod))).To(Succeed())
	isToldToStop(ctx, pod)
	Expect(client.IgnoreNotFound(cluster.Delete(ctx, pod, client.GracePeriodSeconds(0)))).To(Succeed())
}

// mayAskNodes lets the manager ask the nodes, as deploy/nodes does, until the
// spec is over.
func mayAskNodes(ctx SpecContext) {
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "lull-test-nodes-"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes/proxy"}, Verbs: []string{"get"}}},
	}
	Expect(cluster.Create(ctx, role)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(cluster.Delete(ctx, role)).To(Succeed()) })
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "lull-test-nodes-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: framework.ManagerNamespace, Name: "lull-manager"}},
	}
	Expect(cluster.Create(ctx, binding)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(cluster.Delete(ctx, binding)).To(Succeed()) })
}
