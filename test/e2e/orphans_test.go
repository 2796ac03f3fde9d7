package e2e

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("a copy whose namespace is gone", func() {
	It("is found, taken into use and removed by the commands in the documentation", func(ctx SpecContext) {
		shop := namespace + "-shop"
		app := running(ctx, inNamespace(ctx, shop))
		write(ctx, app, "kept", "/data/mark")
		b := framework.NewBackup(shop, app.Ref(), framework.Outliving)
		Expect(cluster.Create(ctx, b)).To(Succeed())
		Expect(theBackup(ctx, b)).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
		Expect(cluster.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: shop}})).To(Succeed())
		gone(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: shop}})

		find, use, remove := orphanCommands(shop)
		found := strings.Fields(strings.Split(typed(ctx, find), "\n")[1]) // below the heads of the columns
		Expect(found[len(found)-1]).To(Equal(b.Name))
		content := found[0]
		DeferCleanup(removeContent, content)
		DeferCleanup(removeContent, shop+"-data-back")
		DeferCleanup(removeNamespace, shop)
		typed(ctx, strings.Replace(use, "snapcontent-5f2c...", content, 1))
		Expect(read(ctx, running(ctx, app), "/data/mark")).To(Equal([]string{"kept"}))

		removeNamespace(ctx, shop)
		typed(ctx, "CONTENT="+content+"; "+remove)
		gone(ctx, &snapshotv1.VolumeSnapshotContent{ObjectMeta: metav1.ObjectMeta{Name: content}})
	})
})

// inNamespace is an application in another namespace than the spec's, which is
// there.
func inNamespace(ctx context.Context, name string) framework.Application {
	GinkgoHelper()
	Expect(cluster.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
	DeferCleanup(removeNamespace, name)
	return framework.Tools(name, "app", "", "data")
}

func removeNamespace(ctx context.Context, name string) {
	GinkgoHelper()
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	Expect(client.IgnoreNotFound(cluster.Delete(ctx, n))).To(Succeed())
	gone(ctx, n)
}

// removeContent removes a content with its copy.
func removeContent(ctx context.Context, name string) {
	GinkgoHelper()
	content := &snapshotv1.VolumeSnapshotContent{ObjectMeta: metav1.ObjectMeta{Name: name}}
	toDelete := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"deletionPolicy":"Delete"}}`))
	Expect(client.IgnoreNotFound(cluster.Patch(ctx, content, toDelete))).To(Succeed())
	Expect(client.IgnoreNotFound(cluster.Delete(ctx, content))).To(Succeed())
	gone(ctx, content)
}

// orphanCommands are those of the page, for a namespace of that name in the place
// of its example's and the class of this cluster.
func orphanCommands(shop string) (find, use, remove string) {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "backup.md"))
	Expect(err).NotTo(HaveOccurred())
	_, section, ok := strings.Cut(string(text), "### What survives a namespace\n")
	Expect(ok).To(BeTrue())
	section = regexp.MustCompile(`\bshop\b`).ReplaceAllString(section, shop)
	if class := framework.StorageClassName(); class != "" {
		section = strings.Replace(section, "  accessModes:", "  storageClassName: "+class+"\n  accessModes:", 1)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, 2)
	Expect(blocks).To(HaveLen(2))
	inline := regexp.MustCompile("`(kubectl (?:patch|delete) volumesnapshotcontent [^`]*)`").FindAllStringSubmatch(section, -1)
	Expect(inline).To(HaveLen(2))
	return blocks[0][1], blocks[1][1], inline[0][1] + "\n" + inline[1][1]
}

// typed is what commands say that a person types.
func typed(ctx context.Context, commands string) string {
	GinkgoHelper()
	said, err := framework.Typed(ctx, commands)
	Expect(err).NotTo(HaveOccurred())
	return said
}
