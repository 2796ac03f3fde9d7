package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("a restored workload", func() {
	It("has all volumes of all replicas back: a StatefulSet with two templates, from its first ordinal on", func(ctx SpecContext) {
		set := tools("set", "", "data", "log")
		set.Kind, set.Replicas = v1alpha1.KindStatefulSet, 2
		set.Change = func(o client.Object) { o.(*appsv1.StatefulSet).Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 5} }
		set = running(ctx, set)
		write(ctx, set, "before on $HOSTNAME", "/data/mark", "/log/mark")
		backup := theBackup(ctx, aBackup(ctx, set))
		write(ctx, set, "after", "/data/mark", "/log/mark")

		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))).To(beRestoredBy(v1alpha1.StrategyReplace))
		Expect(podsOf(ctx, set)).To(HaveExactElements(HaveField("Name", "set-5"), HaveField("Name", "set-6")))
		for _, file := range []string{"/data/mark", "/log/mark"} {
			Expect(read(ctx, set, file)).To(Equal([]string{"before on set-5", "before on set-6"}))
		}
		Expect(claimsIn(ctx)).To(ConsistOf("data-set-5", "data-set-6", "log-set-5", "log-set-6"))
	})

	It("has, of another StatefulSet, the data of the replicas with its numbers", func(ctx SpecContext) {
		shop, staging := tools("shop", "", "data"), tools("staging", "", "data")
		shop.Kind, shop.Replicas = v1alpha1.KindStatefulSet, 2
		staging.Kind, staging.Replicas = v1alpha1.KindStatefulSet, 2
		shop, staging = running(ctx, shop), running(ctx, staging)
		write(ctx, shop, "before on $HOSTNAME", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, shop))
		before := uidsOf(ctx, shop)

		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto, onto(v1alpha1.KindStatefulSet, "staging")))).To(beRestoredBy(v1alpha1.StrategyReplace))
		Expect(read(ctx, staging, "/data/mark")).To(Equal([]string{"before on shop-0", "before on shop-1"}))
		Expect(uidsOf(ctx, shop)).To(Equal(before), "what was backed up isn't stopped")
	})

	DescribeTable("is as it was but for its data, and its claim where it is repointed",
		func(ctx SpecContext, strategy v1alpha1.RestoreStrategy, as string) {
			app := running(ctx, tools("app", "", "data"))
			change(ctx, app.Workload(), as)
			write(ctx, app, "before", "/data/mark")
			backup := theBackup(ctx, aBackup(ctx, app))
			write(ctx, app, "after", "/data/mark")
			before := theDeployment(ctx, app)

			restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))
			Expect(restore).To(beRestoredBy(strategy))
			Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))
			if strategy == v1alpha1.StrategyRepoint {
				before.Spec.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName = restore.Status.Claims[0].RestoredClaim
			}
			after := theDeployment(ctx, app)
			Expect(after.Spec).To(Equal(before.Spec))
			Expect(after.Labels).To(Equal(before.Labels))
		},
		Entry("one that rolls", v1alpha1.StrategyRepoint, `{"spec":{"strategy":{"type":"RollingUpdate"}}}`),
		Entry("one that is paused", v1alpha1.StrategyRepoint, `{"spec":{"paused":true}}`),
		Entry("one that is paused and holds a change back", v1alpha1.StrategyReplace, `{"spec":{"paused":true,"template":{"metadata":{"annotations":{"version":"next"}}}}}`),
	)

	It("isn't repointed by name where that would let go a change that a paused rollout holds back", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		backup := theBackup(ctx, aBackup(ctx, app))
		change(ctx, app.Workload(), `{"spec":{"paused":true,"template":{"metadata":{"annotations":{"version":"next"}}}}}`)
		before := uidsOf(ctx, app)
		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyRepoint))).
			To(beRefused("RolloutPaused", "Deployment app", "write strategy Replace", "kubectl rollout resume deployment/app"))
		Expect(uidsOf(ctx, app)).To(Equal(before), "nothing was stopped")
	})

	It("stays scaled to zero where it was, and has its data when it is started", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		write(ctx, app, "after", "/data/mark")
		scaleToZero(ctx, app)

		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(theDeployment(ctx, app).Spec.Replicas).To(HaveValue(BeZero()))
		change(ctx, app.Workload(), `{"spec":{"replicas":1}}`)
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))
	})

	It("has its replicas again where an autoscaler stepped aside, which is named", func(ctx SpecContext) {
		app := tools("app", "", "data")
		app.Replicas = 2
		app = running(ctx, app)
		Expect(cluster.Create(ctx, theAutoscaler(app, func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Spec.MinReplicas = ptr.To(int32(2)) }))).To(Succeed())
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		write(ctx, app, "after", "/data/mark")

		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))
		Expect(restore).To(And(beRestoredBy(v1alpha1.StrategyRepoint), HaveField("Status.Autoscaler", "app")))
		Expect(theDeployment(ctx, app).Spec.Replicas).To(HaveValue(BeEquivalentTo(2)))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before", "before"}))
	})

	It("is given no claim of its own to use where it can't be stopped: a DaemonSet", func(ctx SpecContext) {
		agents := tools("agents", "", "data")
		agents.Kind = v1alpha1.KindDaemonSet
		agents = running(ctx, agents)
		backup := theBackup(ctx, aBackup(ctx, agents))
		before := uidsOf(ctx, agents)

		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyClaimsOnly))
		Expect(restore.Status.StrategyReason).To(ContainSubstring("a DaemonSet can't be scaled to zero"))
		Expect(claimsIn(ctx)).To(ConsistOf("data", restore.Status.Claims[0].RestoredClaim))
		Expect(uidsOf(ctx, agents)).To(Equal(before))
	})
})

var _ = Describe("a workload that another tool manages", func() {
	DescribeTable("gets its data under the old claims, and isn't repointed even by name",
		func(ctx SpecContext, tool, marks string) {
			app := running(ctx, tools("app", "", "data"))
			change(ctx, app.Workload(), `{"metadata":`+marks+`}`)
			write(ctx, app, "before", "/data/mark")
			backup := theBackup(ctx, aBackup(ctx, app))
			write(ctx, app, "after", "/data/mark")
			before := uidsOf(ctx, app)

			By("saying what to change in the manifest instead")
			repoint := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyRepoint))
			Expect(repoint).To(beRefused("ManagedByAnotherTool", tool, "write strategy Replace", "spec.template.spec.volumes[name=data].persistentVolumeClaim.claimName: data-restored-"))
			Expect(uidsOf(ctx, app)).To(Equal(before), "nothing was stopped")

			restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))
			Expect(restore).To(beRestoredBy(v1alpha1.StrategyReplace))
			Expect(restore.Status.StrategyReason).To(And(ContainSubstring("managed by "+tool), ContainSubstring("would undo a changed template")))
			Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))
			Expect(theDeployment(ctx, app).Spec.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName).To(Equal("data"))
		},
		Entry("Helm", "Helm", `{"labels":{"app.kubernetes.io/managed-by":"Helm"},"annotations":{"meta.helm.sh/release-name":"shop"}}`),
		Entry("Argo CD", "Argo CD", `{"annotations":{"argocd.argoproj.io/tracking-id":"shop:apps/Deployment:shop/app"}}`),
		Entry("Flux", "Flux", `{"labels":{"kustomize.toolkit.fluxcd.io/name":"shop","kustomize.toolkit.fluxcd.io/namespace":"flux-system"}}`),
	)

	It("is stopped again where the tool starts it in the middle, before any claim is touched", func(ctx SpecContext) {
		app := running(ctx, tools("app", slowToStop, "data"))
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		write(ctx, app, "after", "/data/mark")

		restore := aRestore(ctx, backup, v1alpha1.StrategyReplace)
		Eventually(ctx, func() *int32 { return theDeployment(ctx, app).Spec.Replicas }).Should(HaveValue(BeZero()))
		change(ctx, app.Workload(), `{"spec":{"replicas":1}}`)
		Eventually(ctx, func() *int32 { return theDeployment(ctx, app).Spec.Replicas }).Should(HaveValue(BeZero()), "stopped again")

		Expect(theRestore(ctx, restore)).To(beRestoredBy(v1alpha1.StrategyReplace))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))
	})
})

func theDeployment(ctx context.Context, a framework.Application) *appsv1.Deployment {
	GinkgoHelper()
	d := &appsv1.Deployment{}
	Expect(cluster.Get(ctx, client.ObjectKey{Namespace: a.Namespace, Name: a.Name}, d)).To(Succeed())
	return d
}
