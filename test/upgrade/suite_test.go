package upgrade

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/lull-dev/lull/test/framework"
)

var cluster *framework.Cluster

func TestUpgrade(t *testing.T) {
	var err error
	if cluster, err = framework.Connect(); err != nil {
		t.Fatal(err)
	}
	RegisterFailHandler(Fail)
	log.SetLogger(GinkgoLogr)
	SetDefaultEventuallyTimeout(3 * time.Minute)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	EnforceDefaultTimeoutsWhenUsingContexts()
	RunSpecs(t, "Lull, and the version before it")
}

// version is the objects of one version's manifests.
type version []*unstructured.Unstructured

// the reads the manifests that versions.sh has written.
func the(name string) version {
	GinkgoHelper()
	objects, err := framework.ReadObjects(filepath.Join("..", "..", "bin", "upgrade", name+".yaml"))
	Expect(err).NotTo(HaveOccurred(), "make test-upgrade FROM=… writes it")
	return objects
}

func (v version) only(is func(*unstructured.Unstructured) bool) (some version) {
	for _, o := range v {
		if is(o) {
			some = append(some, o)
		}
	}
	return some
}

func isCRD(o *unstructured.Unstructured) bool { return o.GetKind() == "CustomResourceDefinition" }

func isRule(o *unstructured.Unstructured) bool {
	return o.GetKind() == "ValidatingAdmissionPolicy" || o.GetKind() == "ValidatingAdmissionPolicyBinding"
}

func isElse(o *unstructured.Unstructured) bool { return !isCRD(o) }

// apply applies objects, as kubectl does on the server's side.
func (v version) apply(ctx context.Context) {
	GinkgoHelper()
	for _, o := range v {
		Eventually(ctx, func() error {
			return cluster.Apply(ctx, client.ApplyConfigurationFromUnstructured(o.DeepCopy()), client.ForceOwnership, client.FieldOwner("upgrade"))
		}).Should(Succeed(), "%s %s", o.GetKind(), o.GetName())
	}
}

// works waits until all managers are of the version, and one of them works.
func (v version) works(ctx context.Context) {
	GinkgoHelper()
	of := v.only(func(o *unstructured.Unstructured) bool { return o.GetKind() == "Deployment" })
	Expect(of).To(HaveLen(1))
	Eventually(ctx, func(g Gomega) {
		var d appsv1.Deployment
		g.Expect(cluster.Get(ctx, client.ObjectKeyFromObject(of[0]), &d)).To(Succeed())
		g.Expect(d.Status.ObservedGeneration).To(Equal(d.Generation))
		g.Expect([]int32{d.Status.UpdatedReplicas, d.Status.AvailableReplicas, d.Status.Replicas}).To(HaveEach(ptr.Deref(d.Spec.Replicas, 1)))
		manager, err := cluster.Manager(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(manager.Spec.Containers[0].Image).To(Equal(d.Spec.Template.Spec.Containers[0].Image))
	}).Should(Succeed())
}

// isAlone has the version in the place of another, whose rules it may not have.
func (v version) isAlone(ctx context.Context, other version) {
	GinkgoHelper()
	for _, o := range other.only(isRule) {
		Expect(client.IgnoreNotFound(cluster.Delete(ctx, o.DeepCopy()))).To(Succeed())
	}
	v.apply(ctx)
	v.works(ctx)
}

func aNamespace(ctx context.Context) string {
	GinkgoHelper()
	name, err := cluster.Namespace(ctx, "upgrade")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		Expect(client.IgnoreNotFound(cluster.Delete(ctx, ns))).To(Succeed())
		Eventually(ctx, func() error { return cluster.Get(ctx, client.ObjectKeyFromObject(ns), ns) }).Should(MatchError(apierrors.IsNotFound, "IsNotFound"))
	})
	return name
}

// aSlowClass has the first cut last, and those that come after it be quick.
func aSlowClass(ctx context.Context) string {
	GinkgoHelper()
	storage, err := cluster.StorageClass(ctx)
	Expect(err).NotTo(HaveOccurred())
	class := framework.SnapshotClass(storage.Provisioner, framework.Parameters("cutDelay", "40s", "times", "1"))
	Expect(cluster.Create(ctx, class)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(cluster.Delete(ctx, class))).To(Succeed()) })
	return class.Name
}
