package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gcustom"
	matchers "github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// slowToStop is a script by which an application takes two seconds to stop: time
// enough to see a restore at work.
const slowToStop = "trap 'sleep 2; exit 0' TERM"

// aRestore asks for a restore from the backup.
func aRestore(ctx context.Context, b *v1alpha1.VolumeBackup, strategy v1alpha1.RestoreStrategy, with ...func(*v1alpha1.VolumeRestore)) *v1alpha1.VolumeRestore {
	GinkgoHelper()
	r := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "restore-"}}
	r.Spec.Source.VolumeBackupRef = &v1alpha1.LocalReference{Name: b.Name}
	r.Spec.Target.Strategy = strategy
	for _, change := range with {
		change(r)
	}
	Expect(cluster.Create(ctx, r)).To(Succeed())
	DeferCleanup(releaseKept, r)
	return r
}

// releaseKept gives the volumes that a restore keeps their reclaim policy back.
func releaseKept(ctx SpecContext, r *v1alpha1.VolumeRestore) {
	Expect(cluster.ReleaseKept(ctx, r)).To(Succeed())
}

func called(name string) func(*v1alpha1.VolumeRestore) {
	return func(r *v1alpha1.VolumeRestore) { r.Name, r.GenerateName = name, "" }
}

func onto(kind v1alpha1.ApplicationKind, name string) func(*v1alpha1.VolumeRestore) {
	return func(r *v1alpha1.VolumeRestore) {
		r.Spec.Target.ApplicationRef = &v1alpha1.ApplicationReference{Kind: kind, Name: name}
	}
}

// as gives the claim of the backup another name.
func as(claim string, name v1alpha1.ClaimName) func(*v1alpha1.VolumeRestore) {
	return func(r *v1alpha1.VolumeRestore) { r.Spec.Target.Claims = map[string]v1alpha1.ClaimName{claim: name} }
}

func ofStorageClass(name string) func(*v1alpha1.VolumeRestore) {
	return func(r *v1alpha1.VolumeRestore) { r.Spec.Target.StorageClassName = &name }
}

func including(claims ...string) func(*v1alpha1.VolumeRestore) {
	return func(r *v1alpha1.VolumeRestore) { r.Spec.Volumes.Include = claims }
}

func deletingPrevious(r *v1alpha1.VolumeRestore) { r.Spec.PreviousClaims = v1alpha1.PreviousDelete }

// theRestore is the restore at its end, whichever that is.
func theRestore(ctx context.Context, r *v1alpha1.VolumeRestore) *v1alpha1.VolumeRestore {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		g.Expect(cluster.Get(ctx, client.ObjectKeyFromObject(r), r)).To(Succeed())
		g.Expect(framework.RestoreEnded(r)).To(BeTrue(), "phase %s, step %s: %s", r.Status.Phase, r.Status.Step, r.Status.Message)
	}).Should(Succeed())
	return r
}

// phaseOf reads the restore anew each time it is called.
func phaseOf(ctx context.Context, r *v1alpha1.VolumeRestore) func() (v1alpha1.RestorePhase, error) {
	return func() (v1alpha1.RestorePhase, error) {
		err := cluster.Get(ctx, client.ObjectKeyFromObject(r), r)
		return r.Status.Phase, err
	}
}

// saidOf is what the restore says of itself at this moment.
func saidOf(ctx context.Context, r *v1alpha1.VolumeRestore) func() (string, error) {
	return func() (string, error) {
		err := cluster.Get(ctx, client.ObjectKeyFromObject(r), r)
		return r.Status.Message, err
	}
}

// refusalOf is why the restore is stalled, nil where it isn't.
func refusalOf(ctx context.Context, r *v1alpha1.VolumeRestore) func() (*metav1.Condition, error) {
	return func() (*metav1.Condition, error) {
		err := cluster.Get(ctx, client.ObjectKeyFromObject(r), r)
		return meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionStalled), err
	}
}

func rollBack(ctx context.Context, r *v1alpha1.VolumeRestore) {
	GinkgoHelper()
	base := r.DeepCopy()
	r.Spec.RollBack = true
	Expect(cluster.Patch(ctx, r, client.MergeFrom(base))).To(Succeed())
}

// beRestoredBy matches a restore that is complete, by that strategy.
func beRestoredBy(strategy v1alpha1.RestoreStrategy) matchers.GomegaMatcher {
	return gcustom.MakeMatcher(func(r *v1alpha1.VolumeRestore) (bool, error) {
		is := func(kind string) bool { return framework.RestoreIs(r, kind) }
		return is(v1alpha1.ConditionComplete) && !is(v1alpha1.ConditionFailed) && !is(v1alpha1.ConditionStalled) &&
			r.Status.Phase == v1alpha1.RestoreCompleted && r.Status.Strategy == strategy, nil
	}).WithTemplate("Expected\n{{.Actual.Status | printf \"%+v\"}}\n{{.To}} be restored by {{.Data}}", strategy)
}

// beRefused matches a restore that failed for that reason before it stopped
// anything, and says so in these words.
func beRefused(reason string, words ...string) matchers.GomegaMatcher {
	return gcustom.MakeMatcher(func(r *v1alpha1.VolumeRestore) (bool, error) {
		failed := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionFailed)
		if failed == nil || failed.Status != metav1.ConditionTrue || failed.Reason != reason || r.Status.ScaledDownAt != nil ||
			meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionComplete) {
			return false, nil
		}
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(r.Status.Message, w) }), nil
	}).WithTemplate("Expected\n{{.Actual.Status | printf \"%+v\"}}\n{{.To}} be refused: {{.Data}}", fmt.Sprintf("%s %q", reason, words))
}

// write puts a line of text into files of every replica, to last.
func write(ctx context.Context, a framework.Application, text string, files ...string) {
	GinkgoHelper()
	for _, pod := range podsOf(ctx, a) {
		for _, file := range files {
			_, err := cluster.Sh(ctx, &pod, fmt.Sprintf("echo %q >%s && sync", text, file))
			Expect(err).NotTo(HaveOccurred())
		}
	}
}

// read is what stands in a file of every replica.
func read(ctx context.Context, a framework.Application, file string) (texts []string) {
	GinkgoHelper()
	for _, pod := range podsOf(ctx, a) {
		texts = append(texts, contents(ctx, &pod, file))
	}
	return texts
}

// uidsOf are those of the application's pods: they stay the same as long as
// nobody stops it.
func uidsOf(ctx context.Context, a framework.Application) (uids []types.UID) {
	GinkgoHelper()
	for _, pod := range podsOf(ctx, a) {
		uids = append(uids, pod.UID)
	}
	return uids
}

func theVolume(ctx context.Context, name string) *corev1.PersistentVolume {
	GinkgoHelper()
	v := &corev1.PersistentVolume{}
	Expect(cluster.Get(ctx, client.ObjectKey{Name: name}, v)).To(Succeed())
	return v
}

func theClaim(ctx context.Context, name string) *corev1.PersistentVolumeClaim {
	GinkgoHelper()
	c := &corev1.PersistentVolumeClaim{}
	Expect(cluster.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, c)).To(Succeed())
	return c
}

// claimsIn are the names of the claims in the spec's namespace.
func claimsIn(ctx context.Context) (names []string, err error) {
	var claims corev1.PersistentVolumeClaimList
	err = cluster.List(ctx, &claims, client.InNamespace(namespace))
	for _, c := range claims.Items {
		names = append(names, c.Name)
	}
	return names, err
}

// change merges a patch into an object.
func change(ctx context.Context, o client.Object, patch string) {
	GinkgoHelper()
	Expect(cluster.Merge(ctx, o, patch)).To(Succeed())
}

// gone waits until an object isn't there any more.
func gone(ctx context.Context, o client.Object) {
	GinkgoHelper()
	Eventually(ctx, func() error { return cluster.Get(ctx, client.ObjectKeyFromObject(o), o) }).Should(MatchError(apierrors.IsNotFound, "IsNotFound"))
}
