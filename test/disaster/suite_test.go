package disaster

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// cluster is the one that there is now.
var cluster *framework.Cluster

func TestDisaster(t *testing.T) {
	if os.Getenv("REST_SERVER") == "" {
		t.Fatal("REST_SERVER names no rest-server: make test-disaster does, and brings the cluster up that this wipes")
	}
	RegisterFailHandler(Fail)
	log.SetLogger(GinkgoLogr)
	utilruntime.ErrorHandlers = nil // of connections that end in the fire
	SetDefaultEventuallyTimeout(3 * time.Minute)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	EnforceDefaultTimeoutsWhenUsingContexts()
	RunSpecs(t, "Lull, and a cluster that is lost")
}

func connect(ctx context.Context) {
	GinkgoHelper()
	var err error
	cluster, err = framework.Connect()
	Expect(err).NotTo(HaveOccurred())
	Eventually(ctx, func() error { _, err := cluster.Manager(ctx); return err }).Should(Succeed())
}

// loseTheCluster has another cluster, with the same images, in the place of the one
// that there is.
func loseTheCluster(ctx context.Context) {
	GinkgoHelper()
	images := theImages(ctx)
	made(ctx, "cluster-down")
	made(ctx, "deploy", "UP=--images="+strings.Join(images, ","))
	connect(ctx)
}

// theImages are those of test/images that the node has.
func theImages(ctx context.Context) (names []string) {
	GinkgoHelper()
	var nodes corev1.NodeList
	Expect(cluster.List(ctx, &nodes)).To(Succeed())
	folders, err := filepath.Glob("../images/*/image.yaml")
	Expect(err).NotTo(HaveOccurred())
	for _, folder := range folders {
		name := filepath.Base(filepath.Dir(folder))
		has := func(i corev1.ContainerImage) bool { return slices.Contains(i.Names, "lull.dev/"+name+":test") }
		if name != "pause" && slices.ContainsFunc(nodes.Items[0].Status.Images, has) { // which every cluster has
			names = append(names, name)
		}
	}
	Expect(names).To(ContainElement("mariadb"))
	return names
}

// made runs targets of make.
func made(ctx context.Context, arguments ...string) {
	GinkgoHelper()
	command := exec.CommandContext(ctx, "make", append([]string{"-C", "../.."}, arguments...)...)
	command.Stdout, command.Stderr = GinkgoWriter, GinkgoWriter
	Expect(command.Run()).To(Succeed())
}

// now is an object as it is at this moment.
func now[T client.Object](ctx context.Context, o T) T {
	GinkgoHelper()
	Expect(cluster.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
	return o
}

func change(ctx context.Context, o client.Object, patch string) {
	GinkgoHelper()
	Expect(cluster.Merge(ctx, o, patch)).To(Succeed())
}

// running starts an application and waits for its pod.
func running(ctx context.Context, a framework.Application) *corev1.Pod {
	GinkgoHelper()
	Expect(cluster.Start(ctx, a)).To(Succeed())
	return podOf(ctx, a)
}

func podOf(ctx context.Context, a framework.Application) *corev1.Pod {
	GinkgoHelper()
	var pods []corev1.Pod
	Eventually(ctx, func() (err error) { pods, err = cluster.ReadyPods(ctx, a); return err }).Should(Succeed())
	return &pods[0]
}

func isReady(ctx context.Context, r *v1alpha1.ResticRepository) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		now(ctx, r)
		g.Expect(meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue(), r.Status.Message)
	}).Should(Succeed())
}

// theRestore is the restore at its end, which is a good one.
func theRestore(ctx context.Context, r *v1alpha1.VolumeRestore) *v1alpha1.VolumeRestore {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		now(ctx, r)
		g.Expect(framework.RestoreEnded(r)).To(BeTrue(), "phase %s: %s", r.Status.Phase, r.Status.Message)
	}).Should(Succeed())
	Expect(r.Status.Phase).To(Equal(v1alpha1.RestoreCompleted), r.Status.Message)
	return r
}
