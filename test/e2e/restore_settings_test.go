package e2e

import (
	"context"
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// aSet is a StatefulSet of two replicas, with what the JSON says in its spec.
func aSet(ctx context.Context, spec string) framework.Application {
	GinkgoHelper()
	set := tools("set", "", "data")
	set.Kind, set.Replicas = v1alpha1.KindStatefulSet, 2
	set.Change = func(o client.Object) {
		Expect(json.Unmarshal([]byte(spec), &o.(*appsv1.StatefulSet).Spec)).To(Succeed())
	}
	return running(ctx, set)
}

const nextVersion = `{"spec":{"template":{"metadata":{"annotations":{"version":"next"}}}}}`

var _ = Describe("a change that an owner holds back from pods", func() {
	DescribeTable("isn't let go by a restore, which says how to",
		func(ctx SpecContext, spec, letGo string) {
			set := aSet(ctx, spec)
			backup := theBackup(ctx, aBackup(ctx, set))
			before := uidsOf(ctx, set)
			change(ctx, set.Workload(), nextVersion)
			Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))).
				To(beRefused("RevisionHeld", "StatefulSet set holds a change", "pod(s) set-0, set-1", letGo, "kubectl rollout undo statefulset/set"))
			Expect(uidsOf(ctx, set)).To(Equal(before), "nothing was stopped")

			By("restoring once the change is taken back")
			kubectl(ctx, "rollout", "undo", "statefulset/set", "-n", namespace)
			Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))).To(beRestoredBy(v1alpha1.StrategyReplace))
		},
		Entry("by OnDelete", `{"updateStrategy":{"type":"OnDelete"}}`, "kubectl delete pod set-0 set-1"),
		Entry("by a partition", `{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":2}}}`, `{"partition":0}`),
	)

	It("isn't let go by a way back that is asked for", func(ctx SpecContext) {
		set := aSet(ctx, `{"updateStrategy":{"type":"OnDelete"}}`)
		restore := theRestore(ctx, aRestore(ctx, theBackup(ctx, aBackup(ctx, set)), v1alpha1.StrategyAuto))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyReplace))
		before := uidsOf(ctx, set)
		change(ctx, set.Workload(), nextVersion)
		rollBack(ctx, restore)
		Eventually(ctx, refusalOf(ctx, restore)).Should(And(
			HaveField("Reason", v1alpha1.ReasonRevisionHeld), HaveField("Message", ContainSubstring("kubectl delete pod set-0 set-1"))))
		Expect(uidsOf(ctx, set)).To(Equal(before), "nothing was stopped")
	})
})

var _ = Describe("an application that can't be ready soon by its own settings", func() {
	It("is given that time on top, and isn't stopped twice for nothing", func(ctx SpecContext) {
		app := tools("app", "", "data")
		app.Change = func(o client.Object) { o.(*appsv1.Deployment).Spec.MinReadySeconds = 8 }
		app = running(ctx, app)
		restore := theRestore(ctx, aRestore(ctx, theBackup(ctx, aBackup(ctx, app)), v1alpha1.StrategyAuto, func(r *v1alpha1.VolumeRestore) {
			r.Spec.ReadyTimeout = &metav1.Duration{Duration: 5 * time.Second}
		}))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Eventually(ctx, toldOf(ctx, restore)).Should(ContainElement(And(HavePrefix("ReadyTimeoutExtended"), ContainSubstring("it takes 8s at least (minReadySeconds: 8)"))))
	})
})

var _ = Describe("a claim that two applications mount", func() {
	It("stays one: both are on the restored volume, once the other was stopped", func(ctx SpecContext) {
		web, worker := running(ctx, tools("web", "", "files")), tools("worker", "", "files")
		worker = running(ctx, worker)
		write(ctx, web, "before", "/files/mark")
		backup := theBackup(ctx, aBackup(ctx, web))
		write(ctx, web, "after", "/files/mark")
		before := uidsOf(ctx, web)
		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))).
			To(beRefused("ClaimInUse", "Deployment worker (pod worker-", "kubectl scale deployment/worker --replicas=0", "strategy Repoint to move Deployment web alone"))
		Expect(uidsOf(ctx, web)).To(Equal(before), "nothing was stopped")

		scaleToZero(ctx, worker)
		restore := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyReplace))
		Expect(restore.Status.StrategyReason).To(ContainSubstring("Deployment worker mounts claim files too"))
		change(ctx, worker.Workload(), `{"spec":{"replicas":1}}`)
		Expect(read(ctx, web, "/files/mark")).To(Equal([]string{"before"}))
		Expect(read(ctx, worker, "/files/mark")).To(Equal([]string{"before"}))
	})

	It("is told to come apart where Repoint is written", func(ctx SpecContext) {
		web := running(ctx, tools("web", "", "files"))
		running(ctx, tools("worker", "", "files"))
		restore := theRestore(ctx, aRestore(ctx, theBackup(ctx, aBackup(ctx, web)), v1alpha1.StrategyRepoint))
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyRepoint))
		Expect(restore.Status.Message).To(ContainSubstring("although Deployment worker"))
		Eventually(ctx, toldOf(ctx, restore)).Should(ContainElement(And(HavePrefix("ClaimShared"), ContainSubstring("stays on the previous volume"))))
	})
})

var _ = Describe("a namespace with rules", func() {
	It("lets the pod be made that mounts new claims", func(ctx SpecContext) {
		limits := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "team"}}
		list := func(cpu, memory string) corev1.ResourceList {
			return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
		}
		limits.Spec.Limits = []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, Default: list("200m", "128Mi"), DefaultRequest: list("50m", "64Mi"),
			Min: list("50m", "64Mi"), Max: list("300m", "256Mi"), MaxLimitRequestRatio: list("4", "2"),
		}}
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "team"}}
		quota.Spec.Hard = corev1.ResourceList{"requests.cpu": resource.MustParse("2"), "limits.memory": resource.MustParse("2Gi")}
		Expect(cluster.CreateAll(ctx, limits, quota)).To(Succeed())
		app := running(ctx, tools("app", "", "data"))
		backup := theBackup(ctx, aBackup(ctx, app))
		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyClaimsOnly))).To(beRestoredBy(v1alpha1.StrategyClaimsOnly))
		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyAuto))).To(beRestoredBy(v1alpha1.StrategyRepoint))
	})
})

var _ = Describe("a claim that is gone", func() {
	It("is made as it was when it was backed up, or of the size that is written", func(ctx SpecContext) {
		claim := framework.Claim(namespace, "data")
		claim.Labels, claim.Annotations = map[string]string{"team": "shop"}, map[string]string{"helm.sh/resource-policy": "keep"}
		claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
		claim.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("200Mi")
		Expect(cluster.Create(ctx, claim)).To(Succeed())
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "before", "/data/mark")
		backup := theBackup(ctx, aBackup(ctx, app))
		class := theClaim(ctx, "data").Spec.StorageClassName
		scaleToZero(ctx, app)
		Expect(cluster.Delete(ctx, claim)).To(Succeed())
		gone(ctx, claim)

		small := func(r *v1alpha1.VolumeRestore) { r.Spec.Target.Size = resource.NewQuantity(1, resource.BinarySI) }
		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyReplace, small))).To(beRefused("SizeTooSmall", "claim data", "at least"))

		Expect(theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyReplace))).To(beRestoredBy(v1alpha1.StrategyReplace))
		made := theClaim(ctx, "data")
		Expect(made.Spec).To(And(HaveField("AccessModes", ConsistOf(corev1.ReadWriteOncePod)), HaveField("StorageClassName", Equal(class))))
		Expect(made.Labels).To(HaveKeyWithValue("team", "shop"))
		Expect(made.Annotations).To(HaveKeyWithValue("helm.sh/resource-policy", "keep"))
		Expect(made.Spec.Resources.Requests.Storage().String()).To(Equal("200Mi"))
		change(ctx, app.Workload(), `{"spec":{"replicas":1}}`)
		Expect(read(ctx, app, "/data/mark")).To(Equal([]string{"before"}))

		larger := func(r *v1alpha1.VolumeRestore) { r.Spec.Target.Size = resource.NewQuantity(300<<20, resource.BinarySI) }
		copied := theRestore(ctx, aRestore(ctx, backup, v1alpha1.StrategyClaimsOnly, larger))
		Expect(copied).To(beRestoredBy(v1alpha1.StrategyClaimsOnly))
		Expect(theClaim(ctx, copied.Status.Claims[0].RestoredClaim).Spec.Resources.Requests.Storage().String()).To(Equal("300Mi"))
	})
})
