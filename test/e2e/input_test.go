package e2e

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

var _ = Describe("a spec that can't be meant", func() {
	DescribeTable("is refused, with what to write instead",
		func(ctx SpecContext, spec string, words ...string) {
			b := &unstructured.Unstructured{}
			Expect(yaml.Unmarshal([]byte("{apiVersion: lull.dev/v1alpha1, kind: VolumeBackup, spec: "+spec+"}"), b)).To(Succeed())
			b.SetNamespace(namespace)
			b.SetGenerateName("bad-")
			err := cluster.Create(ctx, b)
			Expect(err).To(HaveOccurred())
			for _, w := range words {
				Expect(err.Error()).To(ContainSubstring(w))
			}
		},
		Entry("no name", `{applicationRef: {kind: Deployment}}`, "spec.applicationRef.name: Required"),
		Entry("no application", `{}`, "spec.applicationRef: Required"),
		Entry("a kind that there isn't", `{applicationRef: {kind: CronJob, name: a}}`, `"CronJob": supported values:`, `"StatefulSet"`),
		Entry("a name with its kind", `{applicationRef: {name: deploy/a}}`, "without kind or namespace"),
		Entry("two methods at once", `{applicationRef: {name: a}, quiesce: {recipe: mariadb, hold: {command: [a]}}}`, "write one of recipe, hold, or the pair pre and post"),
		Entry("pre without post", `{applicationRef: {name: a}, quiesce: {pre: {command: [a]}}}`, "write both"),
		Entry("post without pre", `{applicationRef: {name: a}, quiesce: {post: {command: [a]}}}`, "write both"),
		Entry("an empty command", `{applicationRef: {name: a}, quiesce: {hold: {command: []}}}`, "at least 1 item"),
		Entry("a command without a program", `{applicationRef: {name: a}, quiesce: {hold: {command: [""]}}}`, "names a program"),
		Entry("a timeout without a unit", `{applicationRef: {name: a}, quiesce: {timeout: "30"}}`, "write a duration from 1s to 1h"),
		Entry("a timeout too short", `{applicationRef: {name: a}, quiesce: {timeout: 500ms}}`, "write a duration from 1s to 1h"),
		Entry("a timeout too long", `{applicationRef: {name: a}, quiesce: {timeout: 2h}}`, "write a duration from 1s to 1h"),
		Entry("no attempts", `{applicationRef: {name: a}, attempts: 0}`, "spec.attempts", "greater than or equal to 1"),
		Entry("too many attempts", `{applicationRef: {name: a}, attempts: 11}`, "spec.attempts", "less than or equal to 10"),
		Entry("a claim both in and out", `{applicationRef: {name: a}, volumes: {include: [c], exclude: [c]}}`, "remove it from one of them"),
		Entry("a recipe that there isn't", `{applicationRef: {name: a}, quiesce: {recipe: oracle}}`, "no such recipe", "mariadb"),
		Entry("Elasticsearch", `{applicationRef: {name: a}, quiesce: {recipe: elasticsearch}}`, "use its snapshot API"),
		Entry("a way to fail that there isn't", `{applicationRef: {name: a}, quiesce: {onFailure: Ignore}}`, `supported values: "Fail", "Continue"`),
		Entry("a deletion policy that there isn't", `{applicationRef: {name: a}, deletionPolicy: Keep}`, `supported values: "Delete", "Retain"`),
		Entry("an empty class", `{applicationRef: {name: a}, volumeSnapshotClassName: ""}`, "spec.volumeSnapshotClassName"),
	)

	It("can't be mended afterwards: it is another backup then", func(ctx SpecContext) {
		b := aBackupOf(ctx, v1alpha1.ApplicationReference{Name: "nobody"})
		Expect(cluster.Merge(ctx, b, `{"spec":{"applicationRef":{"name":"somebody"}}}`)).To(MatchError(ContainSubstring("create another VolumeBackup")))
	})

	It("with commands is refused to who may not run commands in pods", func(ctx SpecContext) {
		asOwner := aUserWhoMay(ctx, rbacv1.PolicyRule{APIGroups: []string{"lull.dev"}, Resources: []string{"volumebackups"}, Verbs: []string{"create"}})
		b := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "own-"}}
		b.Spec.ApplicationRef.Name = "app"
		Expect(asOwner.Create(ctx, b.DeepCopy())).To(Succeed(), "without commands")
		hold("true")(&b.Spec)
		Expect(asOwner.Create(ctx, b)).To(MatchError(ContainSubstring("may not create pods/exec")))
	})
})

// What only the cluster can tell is waited for a while: it may be applied a
// moment later. All wait at once here.
var _ = Describe("a backup of what isn't there", func() {
	It("fails with the reason and the mend, and freezes nothing", func(ctx SpecContext) {
		app := running(ctx, tools("app", "", "data"))
		running(ctx, tools("bare", ""))
		foreign := "e2e-" + namespace + ".example.com"
		idle(ctx, "unserved", aVolumeOf(ctx, "unserved", &corev1.CSIPersistentVolumeSource{Driver: foreign + ".none", VolumeHandle: "v"}))
		idle(ctx, "ambiguous", aVolumeOf(ctx, "ambiguous", &corev1.CSIPersistentVolumeSource{Driver: foreign, VolumeHandle: "v"}))
		one, other := aSnapshotClassOf(ctx, foreign), aSnapshotClassOf(ctx, foreign)
		idle(ctx, "local", aVolumeOf(ctx, "local", nil))
		idle(ctx, "unbound", anUnboundClaim(ctx))
		badly := map[string][]string{
			"bad-timeout":  {"lull.dev/hook-timeout", "soon"},
			"bad-recipe":   {"lull.dev/quiesce", "oracle"},
			"half-a-pair":  {"lull.dev/pre-hook", "true"},
			"two-at-once":  {"lull.dev/quiesce", "mariadb", "lull.dev/hold-hook", "true"},
			"bad-command":  {"lull.dev/hold-hook", `["sh", `},
			"bad-response": {"lull.dev/hook-on-failure", "Ignore"},
		}
		for name, annotations := range badly {
			running(ctx, annotated(tools(name, "", name), annotations...))
		}

		of := func(name string, with ...framework.Change) *v1alpha1.VolumeBackup {
			return aBackupOf(ctx, v1alpha1.ApplicationReference{Name: name}, with...)
		}
		in := func(container string) framework.Change {
			return func(s *v1alpha1.VolumeBackupSpec) { hold(holdStill)(s); s.Quiesce.Hold.Container = container }
		}
		including := func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Include = []string{"elsewhere"} }
		type expectation struct {
			backup *v1alpha1.VolumeBackup
			reason string
			words  []string
		}
		expected := []expectation{
			{of("nobody"), "ApplicationNotFound", []string{`no Deployment "nobody"`, "create it"}},
			{aBackupOf(ctx, v1alpha1.ApplicationReference{Kind: v1alpha1.KindPersistentVolumeClaim, Name: "nothing"}), "ClaimNotFound", []string{`"nothing"`, "create it"}},
			{of("bare"), "NoVolumes", []string{"mounts no PersistentVolumeClaim"}},
			{of("app", including), "ClaimNotFound", []string{`"elsewhere"`, "it mounts data"}},
			{of("app", func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Exclude = []string{"data"} }), "NoVolumes", []string{"leave at least one"}},
			{of("app", ofClass("e2e-no-such-class")), "NoSnapshotClass", []string{`"e2e-no-such-class"`, "create it"}},
			{of("app", ofClass(one)), "SnapshotClassMismatch", []string{one, foreign}},
			{of("app", in("sidecar")), "ContainerNotFound", []string{`"sidecar"`, "[main]"}},
			{of("unserved"), "NoSnapshotClass", []string{foreign + ".none", "create one"}},
			{of("ambiguous"), "AmbiguousSnapshotClass", []string{one, other, "spec.volumeSnapshotClassName"}},
			{of("local"), "NotCSI", []string{`"local"`, "isn't a CSI volume"}},
			{of("unbound"), "ClaimNotBound", []string{`"unbound"`, "kubectl describe pvc unbound"}},
			{of("bad-timeout"), "InvalidHook", []string{"lull.dev/hook-timeout", "soon", "30s"}},
			{of("bad-recipe"), "UnknownRecipe", []string{`"oracle"`, "mariadb"}},
			{of("half-a-pair"), "InvalidHook", []string{"lull.dev/post-hook", "write both"}},
			{of("two-at-once"), "ConflictingHooks", []string{"keep one"}},
			{of("bad-command"), "InvalidHook", []string{"lull.dev/hold-hook", "JSON array"}},
			{of("bad-response"), "InvalidHook", []string{"lull.dev/hook-on-failure", "Fail or Continue"}},
		}
		for _, e := range expected {
			backup := theBackup(ctx, e.backup)
			Expect(backup).To(haveFailed(e.reason, e.words...))
			Expect(backup.Status.Quiesce).To(BeNil(), "nothing was to be frozen")
			Expect(backup.Status.Message).To(ContainSubstring(e.words[0]))
		}
		Expect(snapshotsIn(ctx)).To(BeEmpty())
		Expect(contents(ctx, podOf(ctx, app), "/tmp/quiet")).To(BeEmpty())
	})

	It("waits for what is applied a moment later", func(ctx SpecContext) {
		b := aBackupOf(ctx, v1alpha1.ApplicationReference{Name: "app"})
		Eventually(ctx, func() string { return now(ctx, b).Status.Message }).Should(ContainSubstring("no Deployment"))
		running(ctx, tools("app", "", "data"))
		Expect(theBackup(ctx, b)).To(HaveField("Status.Phase", v1alpha1.PhaseCompleted))
	})

	It("fails as well where the pods never come to run", func(ctx SpecContext) {
		stuck := tools("stuck", "", "data")
		stuck.Image = "lull.dev/no-such-image:test"
		Expect(cluster.Start(ctx, stuck)).To(Succeed())
		Eventually(ctx, podsInNamespace).Should(ConsistOf(HaveField("Spec.NodeName", Not(BeEmpty()))))
		backup := theBackup(ctx, aBackup(ctx, stuck, hold(holdStill)))
		Expect(backup).To(haveFailed("PodNotRunning", "stuck-"))
		Expect(backup.Status.CompletionTime.Sub(backup.Status.StartTime.Time)).To(BeNumerically("<", 2*time.Minute))
		Expect(snapshotsIn(ctx)).To(BeEmpty())
	})
})

// idle is an application that is scaled to zero and has that claim.
func idle(ctx context.Context, name, claim string) {
	GinkgoHelper()
	app := tools(name, "", claim)
	app.Replicas = 0
	Expect(cluster.CreateAll(ctx, app.Workload())).To(Succeed())
}

// aVolumeOf is a claim bound to a volume of that driver, or of none.
func aVolumeOf(ctx context.Context, name string, csi *corev1.CSIPersistentVolumeSource) string {
	GinkgoHelper()
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: namespace + "-" + name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes:            []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			ClaimRef:               &corev1.ObjectReference{Namespace: namespace, Name: name},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: csi},
		},
	}
	if csi == nil {
		volume.Spec.HostPath = &corev1.HostPathVolumeSource{Path: "/nowhere"}
	}
	Expect(cluster.Create(ctx, volume)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(cluster.Delete(ctx, volume)).To(Succeed()) })
	claim := framework.Claim(namespace, name)
	claim.Spec.StorageClassName, claim.Spec.VolumeName = ptr.To(""), volume.Name
	Expect(cluster.Create(ctx, claim)).To(Succeed())
	Eventually(ctx, func() (corev1.PersistentVolumeClaimPhase, error) {
		err := cluster.Get(ctx, client.ObjectKeyFromObject(claim), claim)
		return claim.Status.Phase, err
	}).Should(Equal(corev1.ClaimBound))
	return name
}

// anUnboundClaim has no class and no volume: it is never bound.
func anUnboundClaim(ctx context.Context) string {
	GinkgoHelper()
	claim := framework.Claim(namespace, "unbound")
	claim.Spec.StorageClassName = ptr.To("")
	Expect(cluster.Create(ctx, claim)).To(Succeed())
	return claim.Name
}

// aUserWhoMay is a client of somebody who may do that in the namespace, and
// nothing else.
func aUserWhoMay(ctx context.Context, rules ...rbacv1.PolicyRule) client.Client {
	GinkgoHelper()
	user := "e2e-" + namespace
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "user"}, Rules: rules}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "user"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}
	Expect(cluster.CreateAll(ctx, role, binding)).To(Succeed())
	config := rest.CopyConfig(cluster.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	as, err := client.New(config, client.Options{Scheme: cluster.Scheme()})
	Expect(err).NotTo(HaveOccurred())
	return as
}
