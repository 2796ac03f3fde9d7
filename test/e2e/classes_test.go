package e2e

import (
	"context"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// theDriver is the CSI driver of the volumes here.
func theDriver(ctx context.Context) string {
	GinkgoHelper()
	class, err := cluster.StorageClass(ctx)
	Expect(err).NotTo(HaveOccurred())
	return class.Provisioner
}

// aStorageClass is a class like that of the volumes here, but for a difference.
func aStorageClass(ctx context.Context, different func(*storagev1.StorageClass)) *storagev1.StorageClass {
	GinkgoHelper()
	class, err := cluster.SimilarStorageClass(ctx)
	Expect(err).NotTo(HaveOccurred())
	different(class)
	Expect(cluster.Create(ctx, class)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(cluster.Delete(ctx, class)).To(Succeed()) })
	return class
}

// aSnapshotClass is a class of the driver here with these parameters.
func aSnapshotClass(ctx context.Context, parameters ...string) string {
	GinkgoHelper()
	return aSnapshotClassOf(ctx, theDriver(ctx), parameters...)
}

func aSnapshotClassOf(ctx context.Context, driver string, parameters ...string) string {
	GinkgoHelper()
	class := framework.SnapshotClass(driver, framework.Parameters(parameters...))
	Expect(cluster.Create(ctx, class)).To(Succeed())
	DeferCleanup(dropSnapshotClass, class)
	return class.Name
}

// dropSnapshotClass deletes a class when nothing needs it any more: while a
// driver goes on failing, its sidecar looks the class up again and again.
func dropSnapshotClass(ctx SpecContext, class *snapshotv1.VolumeSnapshotClass) {
	Expect(cluster.DeleteAllOf(ctx, &v1alpha1.VolumeBackup{}, client.InNamespace(namespace))).To(Succeed())
	Eventually(ctx, contentsOf).Should(BeEmpty())
	Expect(cluster.Delete(ctx, class)).To(Succeed())
}

// aGroupClass is a class of groups of the driver here with these parameters.
func aGroupClass(ctx context.Context, parameters ...string) string {
	GinkgoHelper()
	return created(ctx, framework.GroupClass(theDriver(ctx), framework.Parameters(parameters...)))
}

// created is the name of a class of groups that is deleted when nothing needs it
// any more.
func created(ctx context.Context, class *unstructured.Unstructured) string {
	GinkgoHelper()
	Expect(cluster.Create(ctx, class)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) {
		Expect(cluster.DeleteAllOf(ctx, &v1alpha1.VolumeBackup{}, client.InNamespace(namespace))).To(Succeed())
		nothingIsLeft(ctx)
		Expect(cluster.Delete(ctx, class)).To(Succeed())
	})
	return class.GetName()
}
