package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("the operator", func() {
	It("says on its Deployment, whose controller leaves that there, that its admission policies are in force", func(ctx SpecContext) {
		Eventually(ctx, func(g Gomega) {
			var d appsv1.Deployment
			g.Expect(cluster.Get(ctx, client.ObjectKey{Namespace: framework.ManagerNamespace, Name: "lull-manager"}, &d)).To(Succeed())
			g.Expect(d.Status.ObservedGeneration).To(Equal(d.Generation))
			g.Expect(d.Status.Conditions).To(ContainElement(And(
				HaveField("Type", BeEquivalentTo("PoliciesInForce")), HaveField("Status", corev1.ConditionTrue), HaveField("Message", ContainSubstring("as they were shipped")),
			)))
		}).Should(Succeed())
	})
})
