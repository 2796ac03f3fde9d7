package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("the samples", func() {
	It("back a MariaDB up by its recipe, and by a hold that the backup brings, and restore it", func(ctx SpecContext) {
		theSample(ctx, "mariadb.yaml")
		available(ctx, "mariadb")
		theSample(ctx, "mariadb-backup.yaml")
		Expect(theBackup(ctx, named("mariadb-1"))).To(be(v1alpha1.Proven, v1alpha1.MethodHold))

		theSample(ctx, "own-commands-backup.yaml")
		Expect(theBackup(ctx, named("mariadb-own-commands"))).To(be(v1alpha1.Proven, v1alpha1.MethodHold))

		By("and by a policy, at once")
		theSample(ctx, "nightly-policy.yaml")
		nightly := &v1alpha1.SnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "nightly"}}
		Expect(theBackup(ctx, named(asksForOne(ctx, nightly, "1")))).To(be(v1alpha1.Proven, v1alpha1.MethodHold))

		By("and bring the first backup back")
		theSample(ctx, "mariadb-restore.yaml")
		restore := theRestore(ctx, &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mariadb-1"}})
		DeferCleanup(releaseKept, restore)
		Expect(restore).To(beRestoredBy(v1alpha1.StrategyRepoint))
		available(ctx, "mariadb")
	})

	It("back a MySQL up that is annotated for another operator, and say what is wrong with its hooks", func(ctx SpecContext) {
		theSample(ctx, "mysql-hooks.yaml")
		available(ctx, "mysql")
		theSample(ctx, "mysql-hooks-backup.yaml")
		backup := theBackup(ctx, named("example-volumebackup"))
		Expect(backup).To(be(v1alpha1.Declared, v1alpha1.MethodHooks))
		Eventually(ctx, reasonsOf(ctx, backup)).Should(ContainElement("UselessHook"))
	})
})

func named(name string) *v1alpha1.VolumeBackup {
	return &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// theSample applies a file of deploy/samples, with the image and the storage
// class that this cluster has.
func theSample(ctx context.Context, file string) {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "samples", file))
	Expect(err).NotTo(HaveOccurred())
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := documents.Decode(object); errors.Is(err, io.EOF) {
			return
		} else {
			Expect(err).NotTo(HaveOccurred(), file)
		}
		object.SetNamespace(namespace)
		switch object.GetKind() {
		case "Deployment":
			useOurImage(object)
		case "PersistentVolumeClaim":
			useOurClass(object)
		}
		Expect(cluster.Create(ctx, object)).To(Succeed(), file)
	}
}

func useOurImage(deployment *unstructured.Unstructured) {
	GinkgoHelper()
	path := []string{"spec", "template", "spec", "containers"}
	containers, found, err := unstructured.NestedSlice(deployment.Object, path...)
	Expect(err).NotTo(HaveOccurred())
	Expect(found).To(BeTrue())
	containers[0].(map[string]any)["image"] = aMariaDB("", "").Image
	Expect(unstructured.SetNestedSlice(deployment.Object, containers, path...)).To(Succeed())
}

// useOurClass sets the class that the claims of all specs have.
func useOurClass(claim *unstructured.Unstructured) {
	GinkgoHelper()
	if class := framework.StorageClassName(); class != "" {
		Expect(unstructured.SetNestedField(claim.Object, class, "spec", "storageClassName")).To(Succeed())
	}
}

func available(ctx context.Context, deployment string) {
	GinkgoHelper()
	Eventually(ctx, func() (int32, error) {
		var d appsv1.Deployment
		err := cluster.Get(ctx, client.ObjectKey{Namespace: namespace, Name: deployment}, &d)
		return d.Status.ReadyReplicas, err
	}).Should(BeEquivalentTo(1))
}
