package e2e

import (
	"context"
	"fmt"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// holdsData holds what an export uploads, until something else is written.
const holdsData = "hold 99 POST /shop/data/"

var _ = Describe("an export to a server", func() {
	It("that answers errors, cuts connections, is slow, stopped and full is done as a whole, or not at all", func(ctx SpecContext) {
		server := aServer(ctx, framework.FlakyServer(namespace, "server"))
		isAt(ctx, server, "offsite")
		isReady(ctx, "offsite")
		app := running(ctx, tools("app", "", "data"))
		for _, fault := range []string{"error 3 ", "error 2 POST /shop/data/", "cut 2 GET /shop/", "cut 2 POST /shop/data/", "slow 9 "} {
			By(fault)
			scribble(ctx, app, 2)
			befalls(ctx, server, fault)
			b := theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
			Expect(remaining(ctx, server)()).To(BeZero(), "it befell the export")
			isWhole(ctx, server, app, b)
		}

		By("stopped, and started later")
		scribble(ctx, app, 2)
		befalls(ctx, server, holdsData)
		b := aBackup(ctx, app, exportedTo("offsite"))
		Eventually(ctx, remaining(ctx, server)).Should(BeNumerically("<", 99))
		scaleToZero(ctx, server.Application)
		Expect(now(ctx, b).Status.Phase).To(Equal(v1alpha1.PhaseExporting))
		change(ctx, server.Workload(), `{"spec":{"replicas":1}}`)
		isWhole(ctx, server, app, theBackup(ctx, b))

		By("full")
		scribble(ctx, app, 20)
		sh(ctx, server.Application, "fallocate -l $(($(df -k --output=avail /disk | tail -n 1) - 5000))K /disk/filler")
		failed := theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
		Expect(failed).To(haveFailed(v1alpha1.ReasonExportFailed, "NoSpace", "507 Insufficient Storage", "The snapshots are kept"))
		Expect(failed.Status.Volumes[0].ReadyToUse).To(BeTrue())
		Expect(snapshotsOn(ctx, server)).To(HaveLen(6))
		sh(ctx, server.Application, "rm /disk/filler")
		isWhole(ctx, server, app, theBackup(ctx, aBackup(ctx, app, exportedTo("offsite"))))
		Expect(snapshotsOn(ctx, server)).To(HaveLen(7))
	})

	It("is tried again where its mover dies, and a new password waits for it", Label("node"), func(ctx SpecContext) {
		server := aServer(ctx, framework.FlakyServer(namespace, "server"))
		isAt(ctx, server, "offsite")
		isAt(ctx, server, "twin")
		isReady(ctx, "offsite")
		isReady(ctx, "twin")
		Expect(repositoryNow(ctx, "twin").Status.RepositoryID).To(Equal(repositoryNow(ctx, "offsite").Status.RepositoryID))
		Expect(strings.Fields(restic(ctx, server, "list keys"))).To(HaveLen(1), "of two that were to make it one did")
		Expect(cluster.Delete(ctx, repositoryNow(ctx, "twin"))).To(Succeed())
		app := running(ctx, tools("app", "", "data"))

		By("exchanging the password under way")
		b := isExporting(ctx, server, app)
		aPassword(ctx, "another-password", "another")
		change(ctx, repositoryNow(ctx, "offsite"), `{"spec":{"passwordSecretRef":{"name":"another-password"}}}`)
		Eventually(ctx, func() string { return repositoryNow(ctx, "offsite").Status.Message }).
			Should(And(HavePrefix("Rekeying"), ContainSubstring("another-password"), ContainSubstring("waits until the 1 that work")))
		Expect(now(ctx, b).Status.Phase).To(Equal(v1alpha1.PhaseExporting))
		befalls(ctx, server, "")
		Expect(theBackup(ctx, b)).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
		Eventually(ctx, func() string { return repositoryNow(ctx, "offsite").Status.PasswordSecretRef.Name }).Should(Equal("another-password"))
		Expect(cluster.Merge(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "offsite-password"}}, `{"stringData":{"password":"another"}}`)).To(Succeed())
		Expect(strings.Fields(restic(ctx, server, "list keys"))).To(HaveLen(1))
		isReady(ctx, "offsite")
		isWhole(ctx, server, app, b)

		for _, how := range []string{"deleted", "deleted by force", "killed"} {
			By(how)
			b := isExporting(ctx, server, app)
			mover := theMover(ctx, b)
			process, err := processOf(mover.Status.ContainerStatuses[0].ContainerID)
			Expect(err).NotTo(HaveOccurred())
			switch how {
			case "deleted":
				Expect(cluster.Delete(ctx, mover)).To(Succeed())
			case "deleted by force":
				Expect(cluster.Delete(ctx, mover, client.GracePeriodSeconds(0))).To(Succeed())
			case "killed":
				killContainer(mover)
			}
			Eventually(ctx, func() error { return syscall.Kill(process, 0) }).Should(MatchError(syscall.ESRCH))
			Eventually(ctx, func() *v1alpha1.ExportStatus { return now(ctx, b).Status.Volumes[0].Export }).
				Should(HaveValue(And(HaveField("Attempts", BeEquivalentTo(1)), HaveField("Message", HavePrefix("Interrupted")))))
			befalls(ctx, server, "")
			isWhole(ctx, server, app, theBackup(ctx, b))
		}
		Expect(snapshotsOn(ctx, server)).To(HaveLen(4))
		Expect(len(strings.Fields(restic(ctx, server, "list locks --no-lock")))).To(BeNumerically("<=", 2), "those of movers that couldn't say goodbye")
	})

	It("goes on while the manager is killed, and is done once", Serial, Label("node"), func(ctx SpecContext) {
		server := aServer(ctx, framework.FlakyServer(namespace, "server"))
		isAt(ctx, server, "offsite")
		isReady(ctx, "offsite")
		app := running(ctx, tools("app", "", "data"))
		b := isExporting(ctx, server, app)
		mover := theMover(ctx, b)
		aFreshManager(ctx)
		killManager(ctx)
		theManager(ctx)
		Expect(theMover(ctx, b).UID).To(Equal(mover.UID))
		befalls(ctx, server, "")
		isWhole(ctx, server, app, theBackup(ctx, b))
		Expect(now(ctx, b).Status.Volumes[0].Export.Attempts).To(BeEquivalentTo(1))
		Expect(snapshotsOn(ctx, server)).To(HaveLen(1))
	})

	It("leaves nothing of a namespace that is deleted under way", func(ctx SpecContext) {
		server := aServer(ctx, framework.FlakyServer(namespace, "server"))
		isAt(ctx, server, "offsite")
		isReady(ctx, "offsite")
		own := namespace
		other, err := cluster.Namespace(ctx, "e2e-gone")
		Expect(err).NotTo(HaveOccurred())
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: other}}
		DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(cluster.Delete(ctx, ns))).To(Succeed()) })
		namespace = other // which the helpers are about until it is gone
		isAt(ctx, server, "offsite")
		isReady(ctx, "offsite")
		app := running(ctx, tools("app", "", "data"))
		b := isExporting(ctx, server, app)
		theMover(ctx, b)
		Expect(cluster.Delete(ctx, ns)).To(Succeed())
		gone(ctx, ns.DeepCopy())
		Eventually(ctx, contentsOf).Should(BeEmpty())
		Eventually(ctx, func() (names []string, err error) {
			var all corev1.PersistentVolumeList
			err = cluster.List(ctx, &all)
			for _, v := range all.Items {
				if by := v.Spec.ClaimRef; by != nil && by.Namespace == other {
					names = append(names, v.Name)
				}
			}
			return names, err
		}).Should(BeEmpty())
		namespace = own
		Expect(snapshotsOn(ctx, server)).To(BeEmpty())
		Expect(restic(ctx, server, "list locks --no-lock")).To(BeEmpty(), "the mover had time to remove its lock")
		restic(ctx, server, "check --read-data")
	})

	It("says why where the clone gets no volume, and goes on once it can", func(ctx SpecContext) {
		theSample(ctx, "offsite-repository.yaml")
		isReady(ctx, "offsite")
		class := aStorageClass(ctx, func(*storagev1.StorageClass) {})
		claim := framework.Claim(namespace, "data")
		claim.Spec.StorageClassName = &class.Name
		Expect(cluster.Create(ctx, claim)).To(Succeed())
		app := running(ctx, tools("app", "", "data"))
		scribble(ctx, app, 2)
		again := class.DeepCopy()
		again.ObjectMeta = metav1.ObjectMeta{Name: class.Name}
		Expect(cluster.Delete(ctx, class)).To(Succeed())
		b := aBackup(ctx, app, exportedTo("offsite"))
		Eventually(ctx, func() string { return now(ctx, b).Status.Message }).Should(And(ContainSubstring("gets no volume"), ContainSubstring(class.Name)))

		By("deleting one, which leaves nothing")
		Expect(cluster.Delete(ctx, b)).To(Succeed())
		gone(ctx, b)
		Eventually(ctx, madeForExports(ctx)).Should(BeEmpty())

		b = aBackup(ctx, app, exportedTo("offsite"))
		Eventually(ctx, func() string { return now(ctx, b).Status.Message }).Should(ContainSubstring("gets no volume"))
		Expect(cluster.Create(ctx, again)).To(Succeed())
		Expect(theBackup(ctx, b)).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
		Eventually(ctx, madeForExports(ctx)).Should(BeEmpty())
	})
})

// isAt makes a repository on a server that gets in the way of its clients.
func isAt(ctx context.Context, s *framework.RepositoryServer, name string) {
	GinkgoHelper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "offsite-password"}, StringData: map[string]string{"password": "secret"}}
	Expect(client.IgnoreAlreadyExists(cluster.Create(ctx, secret))).To(Succeed())
	r := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	r.Spec.Backend.REST = &v1alpha1.RESTBackend{URL: "http://" + s.Address + ":8000/shop"}
	r.Spec.PasswordSecretRef = v1alpha1.SecretKeyReference{Name: secret.Name}
	Expect(cluster.Create(ctx, r)).To(Succeed())
}

// scribble writes some MiB that no export has seen.
func scribble(ctx context.Context, app framework.Application, size int) {
	GinkgoHelper()
	sh(ctx, app, fmt.Sprintf("dd if=/dev/urandom of=/data/random bs=1M count=%d && sync", size))
}

// befalls says what befalls the requests of the server's clients from now on, see
// test/images/servers/flaky.
func befalls(ctx context.Context, s *framework.RepositoryServer, fault string) {
	GinkgoHelper()
	sh(ctx, s.Application, "echo '"+fault+"' >/tmp/fault.new && mv /tmp/fault.new /tmp/fault")
}

// remaining is how many requests it is still to befall.
func remaining(ctx context.Context, s *framework.RepositoryServer) func() int {
	return func() (n int) {
		_, err := fmt.Sscan(strings.TrimLeft(sh(ctx, s.Application, "cat /tmp/fault"), "abcdefghijklmnopqrstuvwxyz "), &n)
		Expect(err).NotTo(HaveOccurred())
		return n
	}
}

// isExporting is a backup whose data is on its way to the server, which holds it up.
func isExporting(ctx context.Context, s *framework.RepositoryServer, app framework.Application) *v1alpha1.VolumeBackup {
	GinkgoHelper()
	scribble(ctx, app, 2)
	befalls(ctx, s, holdsData)
	b := aBackup(ctx, app, exportedTo("offsite"))
	Eventually(ctx, remaining(ctx, s)).Should(BeNumerically("<", 99))
	return b
}

// theMover is the pod that exports a backup.
func theMover(ctx context.Context, b *v1alpha1.VolumeBackup) *corev1.Pod {
	GinkgoHelper()
	var pods corev1.PodList
	Expect(cluster.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelBackup: b.Name}, client.HasLabels{batchv1.JobNameLabel})).To(Succeed())
	Expect(pods.Items).To(HaveLen(1))
	return &pods.Items[0]
}

// snapshotsOn are the IDs of the snapshots on a server.
func snapshotsOn(ctx context.Context, s *framework.RepositoryServer) []string {
	GinkgoHelper()
	return strings.Fields(restic(ctx, s, "list snapshots --no-lock"))
}

// isWhole: the backup is complete, restic alone restores from the repository what the
// application has, finds nothing wrong with it, and nothing of the export is left.
func isWhole(ctx context.Context, s *framework.RepositoryServer, app framework.Application, b *v1alpha1.VolumeBackup) {
	GinkgoHelper()
	b = now(ctx, b)
	Expect(b).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
	restic(ctx, s, "restore --no-lock "+b.Status.Volumes[0].Export.SnapshotID+" --target=/tmp/"+b.Name)
	const sums = "; find . -type f -exec sha256sum {} + | sort"
	Expect(sh(ctx, s.Application, "cd /tmp/"+b.Name+sums)).To(Equal(sh(ctx, app, "cd /data"+sums)))
	restic(ctx, s, "check --read-data --no-lock")
	Eventually(ctx, madeForExports(ctx)).Should(BeEmpty())
}
