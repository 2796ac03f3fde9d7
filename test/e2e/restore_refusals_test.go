package e2e

import (
	"context"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// What may be applied a moment later is waited for a while, so those come last:
// a restore waits for an older one of its application.
var _ = Describe("a restore that can't be", func() {
	It("is refused with the reason and the mend, and touches nothing", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		good := theBackup(ctx, aBackup(ctx, app))
		bad := theBackup(ctx, aBackup(ctx, app, attempts(1), hold("echo no server here >&2; exit 1")))
		hollow := theBackup(ctx, aBackup(ctx, app))
		loseSnapshot(ctx, hollow.Status.Volumes[0].SnapshotName)
		running(ctx, tools("neighbour", "", "data"))
		idle(ctx, "other", aClaim(ctx, "others", corev1.PersistentVolumeFilesystem))
		idle(ctx, "raw", aClaim(ctx, "raw", corev1.PersistentVolumeBlock))
		foreign := aStorageClass(ctx, func(c *storagev1.StorageClass) { c.Provisioner = "elsewhere.example.com" }).Name
		stopped(ctx, v1alpha1.KindStatefulSet, "set", nil)
		stopped(ctx, v1alpha1.KindStatefulSet, "forgetful", func(o client.Object) {
			o.(*appsv1.StatefulSet).Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenScaled: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
			}
		})
		replicaSet := metav1.GetControllerOf(podOf(ctx, app)).Name

		const auto, repoint, replace = v1alpha1.StrategyAuto, v1alpha1.StrategyRepoint, v1alpha1.StrategyReplace
		of := func(b *v1alpha1.VolumeBackup, strategy v1alpha1.RestoreStrategy, with ...func(*v1alpha1.VolumeRestore)) *v1alpha1.VolumeRestore {
			return aRestore(ctx, b, strategy, with...)
		}
		before, claims := uidsOf(ctx, app), claimsOf(ctx)
		for _, e := range []struct {
			restore *v1alpha1.VolumeRestore
			reason  string
			words   []string
		}{
			{of(named("missing"), auto), "BackupNotFound", []string{`no VolumeBackup "missing"`, "kubectl get volumebackup"}},
			{of(bad, auto), "BackupIncomplete", []string{bad.Name, "is Failed", "restore from another", "no server here"}},
			{of(hollow, auto), "SnapshotNotFound", []string{hollow.Status.Volumes[0].SnapshotName, "claim data", "restore from another backup"}},
			{of(good, auto, including("elsewhere")), "ClaimNotFound", []string{`"elsewhere"`, good.Name, "it holds data"}},
			{of(good, auto, func(r *v1alpha1.VolumeRestore) { r.Spec.Volumes.Exclude = []string{"data"} }), "NoVolumes", []string{"leave at least one"}},
			{of(good, auto, as("elsewhere", "new")), "ClaimNotFound", []string{"spec.target.claims", `"elsewhere"`, "it holds data"}},
			{of(good, repoint, as("data", "others")), "ClaimExists", []string{`"others"`, "another name", "spec.target.claims"}},
			{of(good, replace), "ClaimInUse", []string{"neighbour-", "PersistentVolumeClaim data", "stop what uses it first"}},
			{of(good, replace, onto(v1alpha1.KindDeployment, "other")), "ClaimNotMounted", []string{`"data"`, "Deployment other", "it mounts others", "ClaimsOnly"}},
			{of(good, replace, onto(v1alpha1.KindDeployment, "raw"), as("data", "raw")), "VolumeModeMismatch", []string{"claim data", "Block", "Filesystem", "make the claim with that mode"}},
			{of(good, repoint, onto(v1alpha1.KindStatefulSet, "set")), "StrategyNotPossible", []string{"StatefulSet set", "write strategy Replace"}},
			{of(good, replace, onto(v1alpha1.KindStatefulSet, "forgetful")), "ClaimsDeletedByScaling", []string{"StatefulSet forgetful", "whenScaled", "Retain"}},
			{of(good, repoint, onto(v1alpha1.KindDaemonSet, "agents")), "StrategyNotPossible", []string{"a DaemonSet", "Repoint", "ClaimsOnly"}},
			{of(good, repoint, onto(v1alpha1.KindReplicaSet, replicaSet)), "ManagedByAnotherTool", []string{"Deployment app", "spec.target.applicationRef"}},
			{of(good, repoint, ofStorageClass(foreign)), "StorageClassMismatch", []string{foreign, theDriver(ctx), "spec.target.storageClassName"}},
			{of(good, repoint, onto(v1alpha1.KindDeployment, "nobody")), "ApplicationNotFound", []string{`no Deployment "nobody"`, "create it"}},
			{of(good, repoint, ofStorageClass("e2e-no-such-class")), "NoStorageClass", []string{`"e2e-no-such-class"`, "claim data", "create it"}},
		} {
			Expect(theRestore(ctx, e.restore)).To(And(beRefused(e.reason, e.words...), HaveField("Status.Phase", v1alpha1.RestoreFailed)))
		}
		Expect(uidsOf(ctx, app)).To(Equal(before), "nothing was stopped")
		Expect(claimsIn(ctx)).To(ConsistOf(claims), "nothing was made")
		Expect(theClaim(ctx, "data").Labels).To(BeEmpty())
	})

	It("is refused where KEDA would start the application against it, and names what to pause", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		Expect(cluster.Create(ctx, theAutoscaler(app, func(h *autoscalingv2.HorizontalPodAutoscaler) {
			h.OwnerReferences = []metav1.OwnerReference{{APIVersion: "keda.sh/v1alpha1", Kind: "ScaledObject", Name: "orders", UID: "keda", Controller: ptr.To(true)}}
		}))).To(Succeed())
		before := uidsOf(ctx, app)
		restore := aRestore(ctx, theBackup(ctx, aBackup(ctx, app)), v1alpha1.StrategyAuto)
		Expect(theRestore(ctx, restore)).To(beRefused("AutoscalerFights", "ScaledObject orders", "Deployment app", "autoscaling.keda.sh/paused"))
		Expect(uidsOf(ctx, app)).To(Equal(before), "nothing was stopped")
	})

	It("is refused where the quota has no room for another claim, and says so", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		before := uidsOf(ctx, app)
		backup := theBackup(ctx, aBackup(ctx, app))
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "one-claim"}}
		quota.Spec.Hard = corev1.ResourceList{"persistentvolumeclaims": resource.MustParse("1")}
		Expect(cluster.Create(ctx, quota)).To(Succeed())
		Eventually(ctx, func() (corev1.ResourceList, error) {
			err := cluster.Get(ctx, client.ObjectKeyFromObject(quota), quota)
			return quota.Status.Used, err
		}).Should(HaveKey(corev1.ResourceName("persistentvolumeclaims")))

		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyReplace))
		Expect(restore).To(beRefused("ClaimRefused", "nothing was stopped", "exceeded quota: one-claim"))
		Expect(uidsOf(ctx, app)).To(Equal(before))
		Expect(claimsIn(ctx)).To(ConsistOf("data"))
	})

	It("is refused where a policy would keep it from going on with the application down", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		before := uidsOf(ctx, app)
		backup := theBackup(ctx, aBackup(ctx, app))
		inForce(ctx, app, "object.spec.template.spec.volumes[0].persistentVolumeClaim.claimName == 'data'", "freeze-friday: no volume is changed today",
			`{"spec":{"template":{"spec":{"volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"other"}}]}}}}`)

		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))
		Expect(restore).To(beRefused("ChangeRefused", "nothing was stopped", "the pod template can't be changed", "freeze-friday: no volume is changed today"))
		Expect(uidsOf(ctx, app)).To(Equal(before))
		Eventually(ctx, claimsIn).Should(ConsistOf("data"))
	})

	It("is refused onto a workload that was made anew since, until that is named", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		write(ctx, app, "after", "/data/mark")
		Expect(cluster.Delete(ctx, app.Workload(), client.PropagationPolicy(metav1.DeletePropagationForeground))).To(Succeed())
		gone(ctx, app.Workload())
		running(ctx, app)

		before := uidsOf(ctx, app)
		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))).To(beRefused("ApplicationReplaced", "Deployment app", "made anew", "spec.target.applicationRef"))
		Expect(uidsOf(ctx, app)).To(Equal(before), "nothing was stopped")

		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto, onto(v1alpha1.KindDeployment, "app")))).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))
	})
})

// inForce has a policy for the Deployments of the namespace, once it refuses
// the patch.
func inForce(ctx context.Context, app framework.Application, expression, message, patch string) {
	GinkgoHelper()
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	policy.Spec.MatchConstraints = &admissionv1.MatchResources{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
		ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Update},
			Rule:       admissionv1.Rule{APIGroups: []string{appsv1.GroupName}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
		}}},
	}
	policy.Spec.Validations = []admissionv1.Validation{{Expression: expression, Message: message}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	binding.Spec.PolicyName = policy.Name
	binding.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Deny}
	for _, obj := range []client.Object{policy, binding} {
		Expect(cluster.Create(ctx, obj)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(cluster.Delete(ctx, obj)).To(Succeed()) })
	}
	Eventually(ctx, func() error {
		return cluster.Patch(ctx, app.Workload(), client.RawPatch("application/strategic-merge-patch+json", []byte(patch)), client.DryRunAll)
	}).Should(MatchError(ContainSubstring(message)))
}

// stopped is a workload without replicas.
func stopped(ctx context.Context, kind v1alpha1.ApplicationKind, name string, change func(client.Object)) {
	GinkgoHelper()
	app := tools(name, "", "data")
	app.Kind, app.Replicas, app.Change = kind, 0, change
	Expect(cluster.CreateAll(ctx, app.Workload())).To(Succeed())
}

// loseSnapshot deletes a snapshot behind its backup's back.
func loseSnapshot(ctx context.Context, name string) {
	GinkgoHelper()
	snap := &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	Expect(cluster.Delete(ctx, snap)).To(Succeed())
	gone(ctx, snap)
}

// aClaim is a claim that nobody uses.
func aClaim(ctx context.Context, name string, mode corev1.PersistentVolumeMode) string {
	GinkgoHelper()
	claim := framework.Claim(namespace, name)
	claim.Spec.VolumeMode = &mode
	Expect(cluster.Create(ctx, claim)).To(Succeed())
	return name
}

func claimsOf(ctx context.Context) []string {
	GinkgoHelper()
	names, err := claimsIn(ctx)
	Expect(err).NotTo(HaveOccurred())
	return names
}

// theAutoscaler scales the application by its load, between one and three.
func theAutoscaler(a framework.Application, change func(*autoscalingv2.HorizontalPodAutoscaler)) *autoscalingv2.HorizontalPodAutoscaler {
	h := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: a.Name},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: string(a.Ref().Kind), Name: a.Name},
			MinReplicas:    ptr.To(int32(1)), MaxReplicas: 3,
			Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr.To(int32(80))},
			}}},
		},
	}
	change(h)
	return h
}
