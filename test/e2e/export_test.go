package e2e

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("an export", func() {
	It("is in the repository, read by restic alone as the page says, and leaves nothing behind", func(ctx SpecContext) {
		theSample(ctx, "offsite-repository.yaml")
		isReady(ctx, "offsite")
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "first", "/data/mark", "/data/other")
		first := theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
		Expect(first).To(be(v1alpha1.Crash, v1alpha1.MethodNone))
		Expect(first.Status.Exported).To(Equal("1/1"))
		Expect(first.Status.Volumes[0].Export.SnapshotID).To(HaveLen(64))
		Expect(first.Status.Volumes[0].Export.Files.New).To(BeEquivalentTo(2))

		By("and a second one, which reads only what has changed")
		write(ctx, app, "second", "/data/mark")
		second := theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
		Expect(second.Status.Volumes[0].Export.Files).To(Equal(v1alpha1.ExportedFiles{Changed: 1, Unmodified: 1}))

		read := typed(ctx, pageCommands("repositories.md", "## Reading it with restic alone"))
		for _, b := range []*v1alpha1.VolumeBackup{first, second} {
			Expect(read).To(And(ContainSubstring("backup="+string(b.UID)), ContainSubstring(b.Status.Volumes[0].Export.SnapshotID[:8])))
		}
		Expect(read).To(And(ContainSubstring(namespace+"/app"), ContainSubstring("claim=data")))
		Eventually(ctx, madeForExports(ctx)).Should(BeEmpty())
	})

	It("goes on into a repository whose password is exchanged as the page says", func(ctx SpecContext) {
		theSample(ctx, "offsite-repository.yaml")
		isReady(ctx, "offsite")
		app := running(ctx, tools("app", "", "data"))
		write(ctx, app, "first", "/data/mark")
		theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
		typed(ctx, pageCommands("repositories.md", "## Exchanging the password"))
		Expect(repositoryNow(ctx, "offsite").Status.PasswordSecretRef.Name).To(Equal("offsite-password-2"))
		Eventually(ctx, reasonsOf(ctx, repositoryNow(ctx, "offsite"))).Should(ContainElement("PasswordExchanged"))
		isReady(ctx, "offsite")
		write(ctx, app, "second", "/data/other")
		second := theBackup(ctx, aBackup(ctx, app, exportedTo("offsite")))
		Expect(second.Status.Volumes[0].Export.Files).To(Equal(v1alpha1.ExportedFiles{New: 1, Unmodified: 1}))

		By("and the old password opens it no more")
		old := aRepository("old", "offsite-password")
		old.Spec.Backend.Volume = repositoryNow(ctx, "offsite").Spec.Backend.Volume
		Expect(cluster.Create(ctx, old)).To(Succeed())
		Eventually(ctx, whyNotReady(ctx, "old")).Should(HavePrefix("WrongPassword"))
		Eventually(ctx, madeForExports(ctx)).Should(BeEmpty())
	})

	It("waits for a repository that isn't ready, says why, and goes on once it is", func(ctx SpecContext) {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "forgotten"}, StringData: map[string]string{"password": "secret"}}
		Expect(cluster.Create(ctx, framework.Claim(namespace, "disk"))).To(Succeed())
		Expect(cluster.Create(ctx, aRepository("late", "forgotten"))).To(Succeed())
		Eventually(ctx, whyNotReady(ctx, "late")).Should(And(HavePrefix("MoverPending"), ContainSubstring(`secret "forgotten" not found`)))
		class := aStorageClass(ctx, keepsItsVolumes)
		claim := framework.Claim(namespace, "data")
		claim.Spec.StorageClassName = &class.Name
		Expect(cluster.Create(ctx, claim)).To(Succeed())
		app := running(ctx, tools("app", "", "data"))
		volume := theVolume(ctx, theClaim(ctx, "data").Spec.VolumeName)
		DeferCleanup(func(ctx SpecContext) { change(ctx, volume, `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`) })
		write(ctx, app, "kept", "/data/mark")
		b := aBackup(ctx, app, exportedTo("late"))
		Eventually(ctx, func() string { return now(ctx, b).Status.Message }).Should(ContainSubstring(`secret "forgotten" not found`))
		Expect(now(ctx, b).Status.Phase).To(Equal(v1alpha1.PhaseExporting))

		Expect(cluster.Create(ctx, secret)).To(Succeed())
		isReady(ctx, "late")
		Expect(theBackup(ctx, b)).To(be(v1alpha1.Crash, v1alpha1.MethodNone))

		By("and leaves no volume of its own behind, though the class keeps volumes")
		Eventually(ctx, volumesOfClass(ctx, class.Name)).Should(ConsistOf(volume.Name))

		By("and another password opens nothing, and makes nothing")
		other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "other"}, StringData: map[string]string{"password": "wrong"}}
		Expect(cluster.Create(ctx, other)).To(Succeed())
		Expect(cluster.Create(ctx, aRepository("wrong", "other"))).To(Succeed())
		Eventually(ctx, whyNotReady(ctx, "wrong")).Should(HavePrefix("WrongPassword"))
	})
})

// keepsItsVolumes has the volumes of a class outlive their claims.
func keepsItsVolumes(class *storagev1.StorageClass) {
	class.ReclaimPolicy, class.VolumeBindingMode = ptr.To(corev1.PersistentVolumeReclaimRetain), ptr.To(storagev1.VolumeBindingImmediate)
}

// volumesOfClass are the names of all volumes of a class.
func volumesOfClass(ctx context.Context, class string) func() ([]string, error) {
	return func() (names []string, err error) {
		var all corev1.PersistentVolumeList
		err = cluster.List(ctx, &all)
		for _, v := range all.Items {
			if v.Spec.StorageClassName == class {
				names = append(names, v.Name)
			}
		}
		return names, err
	}
}

func exportedTo(repository string) framework.Change {
	return func(s *v1alpha1.VolumeBackupSpec) {
		s.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: repository}}
	}
}

// aRepository is in the claim "disk".
func aRepository(name, secret string) *v1alpha1.ResticRepository {
	r := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	r.Spec.Backend.Volume = &v1alpha1.VolumeBackend{ClaimName: "disk"}
	r.Spec.PasswordSecretRef = v1alpha1.SecretKeyReference{Name: secret}
	return r
}

func repositoryNow(ctx context.Context, name string) *v1alpha1.ResticRepository {
	GinkgoHelper()
	var r v1alpha1.ResticRepository
	Expect(cluster.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &r)).To(Succeed())
	return &r
}

func isReady(ctx context.Context, repository string) {
	GinkgoHelper()
	Eventually(ctx, func() bool {
		return meta.IsStatusConditionTrue(repositoryNow(ctx, repository).Status.Conditions, v1alpha1.ConditionReady)
	}).Should(BeTrue())
}

func whyNotReady(ctx context.Context, repository string) func() string {
	return func() string { return repositoryNow(ctx, repository).Status.Message }
}

// madeForExports are the names of the Jobs and clones in the spec's namespace.
func madeForExports(ctx context.Context) func() ([]string, error) {
	return func() (names []string, err error) {
		var jobs batchv1.JobList
		if err := cluster.List(ctx, &jobs, client.InNamespace(namespace)); err != nil {
			return nil, err
		}
		for _, j := range jobs.Items {
			names = append(names, j.Name)
		}
		var claims corev1.PersistentVolumeClaimList
		err = cluster.List(ctx, &claims, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
		for _, c := range claims.Items {
			names = append(names, c.Name)
		}
		return names, err
	}
}

// pageCommands are the first below a heading of a page, for the spec's namespace.
func pageCommands(page, heading string) string {
	GinkgoHelper()
	blocks, err := framework.PageBlocks(page, heading, "sh")
	Expect(err).NotTo(HaveOccurred())
	return "kubectl() { command kubectl -n " + namespace + ` "$@"; }` + "\n" + blocks[0]
}
