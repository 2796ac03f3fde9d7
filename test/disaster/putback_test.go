//go:build long

package disaster

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// The API forgets what has been, and volumes, copies in the storage and applications
// do not.
var _ = Describe("an etcd that is put back to what it was before", Ordered, func() {
	const counts, note = "/data/quiet", "/data/note"
	var app framework.Application

	BeforeAll(func(ctx SpecContext) {
		connect(ctx)
		aNamespace(ctx, shop)
		DeferCleanup(removeNamespaces)
		app = framework.Tools(shop, "app", "", "data")
		running(ctx, app)
	})

	It("has a backup that froze its application then thaw it, and come to its end anew", func(ctx SpecContext) {
		class := aSlowClass(ctx)
		b := framework.NewBackup(shop, app.Ref(), framework.OfClass(class), framework.Within(time.Minute),
			framework.Hooks("echo pre >>"+counts, "echo post >>"+counts))
		Expect(cluster.Create(ctx, b)).To(Succeed())
		Eventually(ctx, contentsOf(ctx, app, counts)).Should(Equal("pre"))
		then := anEtcd(ctx)
		isComplete(ctx, b)

		then.isPutBack(ctx)
		isComplete(ctx, b)
		for _, v := range b.Status.Volumes {
			has, canTell := framework.HasCopy(v.SnapshotHandle)
			Expect(has && canTell).To(BeTrue(), "what the backup has is in the storage")
		}
		Expect(contentsOf(ctx, app, counts)()).To(HaveSuffix("pre\npost"), "it isn't frozen")
	}, SpecTimeout(10*time.Minute))

	It("has the application run that a restore has moved since, and the restore be asked for once more", func(ctx SpecContext) {
		writes(ctx, app, note, "old")
		b := framework.NewBackup(shop, app.Ref(), framework.Hold("echo HELD; cat >/dev/null; echo STILL_HELD"))
		Expect(cluster.Create(ctx, b)).To(Succeed())
		isComplete(ctx, b)
		writes(ctx, app, note, "new")
		then := anEtcd(ctx)
		isRestored(ctx, b, "first")
		Eventually(ctx, contentsOf(ctx, app, note)).Should(Equal("old"))

		then.isPutBack(ctx)
		Eventually(ctx, contentsOf(ctx, app, note)).Should(Equal("new"), "the API names the volumes of before")
		isRestored(ctx, b, "second")
		Eventually(ctx, contentsOf(ctx, app, note)).Should(Equal("old"))
	}, SpecTimeout(10*time.Minute))
})

// aSlowClass leaves the time to look at what is frozen, once.
func aSlowClass(ctx context.Context) string {
	GinkgoHelper()
	storage, err := cluster.StorageClass(ctx)
	Expect(err).NotTo(HaveOccurred())
	class := framework.SnapshotClass(storage.Provisioner, framework.Parameters("cutDelay", "30s", "times", "1"))
	Expect(cluster.Create(ctx, class)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(cluster.Delete(ctx, class))).To(Succeed()) })
	return class.Name
}

func isComplete(ctx context.Context, b *v1alpha1.VolumeBackup) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		g.Expect(cluster.Get(ctx, client.ObjectKeyFromObject(b), b)).To(Succeed())
		g.Expect(framework.BackupEnded(b)).To(BeTrue(), "phase %s: %s", b.Status.Phase, b.Status.Message)
	}).Should(Succeed())
	Expect(b.Status.Phase).To(Equal(v1alpha1.PhaseCompleted), b.Status.Message)
}

// isRestored has an application run on what a backup has of it.
func isRestored(ctx context.Context, b *v1alpha1.VolumeBackup, name string) {
	GinkgoHelper()
	r := &v1alpha1.VolumeRestore{ObjectMeta: in(shop, name)}
	r.Spec.Source.VolumeBackupRef = &v1alpha1.LocalReference{Name: b.Name}
	Expect(cluster.Create(ctx, r)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(cluster.ReleaseKept(ctx, r)).To(Succeed()) })
	theRestore(ctx, r)
}

func writes(ctx context.Context, app framework.Application, file, text string) {
	GinkgoHelper()
	_, err := cluster.Sh(ctx, podOf(ctx, app), "echo "+text+" >"+file+"; sync")
	Expect(err).NotTo(HaveOccurred())
}

// contentsOf are those of a file of the application, empty where nobody can say yet.
func contentsOf(ctx context.Context, app framework.Application, file string) func() string {
	return func() string {
		pods, err := cluster.ReadyPods(ctx, app)
		if err != nil {
			return ""
		}
		text, err := cluster.Sh(ctx, &pods[0], "cat "+file)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(text)
	}
}

const etcdData = "/var/lib/lull-cluster/etcd"

// etcd is a copy of what etcd had.
type etcd struct{ folder string }

// anEtcd is a copy of what it has now. Nobody can ask it for as long as that takes.
func anEtcd(ctx context.Context) etcd {
	GinkgoHelper()
	e := etcd{folder: GinkgoT().TempDir() + "/etcd"}
	component(ctx, "stop", "etcd")
	copied := exec.CommandContext(ctx, "cp", "--archive", etcdData, e.folder).Run()
	component(ctx, "start", "etcd")
	Expect(copied).To(Succeed())
	isThere(ctx)
	return e
}

// isPutBack has etcd know that and no more, as an administrator would do it: with the
// API server stopped, and all else of the cluster started again after it. The manager
// isn't.
func (e etcd) isPutBack(ctx context.Context) {
	GinkgoHelper()
	component(ctx, "stop", "kube-apiserver")
	component(ctx, "stop", "etcd")
	Expect(os.RemoveAll(etcdData)).To(Succeed())
	Expect(exec.CommandContext(ctx, "cp", "--archive", e.folder, etcdData).Run()).To(Succeed())
	component(ctx, "start", "etcd")
	component(ctx, "start", "kube-apiserver")
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "snapshot-controller", "csi-snapshotter", "csi-provisioner", "csi-resizer"} {
		component(ctx, "restart", name)
	}
	isThere(ctx)
}

func isThere(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func() error { return cluster.List(ctx, &corev1.NodeList{}) }).Should(Succeed())
}

// component runs a command of test/cluster.
func component(ctx context.Context, do, name string) {
	GinkgoHelper()
	command := exec.CommandContext(ctx, "go", "run", "-C", "../cluster", ".", do, name)
	said, err := command.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s %s: %s", do, name, said)
}
