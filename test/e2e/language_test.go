package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gcustom"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// The words for what is special about a backup.
var (
	hold, hooks       = framework.Hold, framework.Hooks
	timeout, attempts = framework.Within, framework.Attempts
	ofClass           = framework.OfClass
	ofGroupClass      = framework.OfGroupClass
	retained          = framework.Retained
	onFailureContinue = framework.OrContinue
	isTrue            = framework.BackupIs
)

func onePod(s *v1alpha1.VolumeBackupSpec) { framework.Quiesce(s).Pods = v1alpha1.PodsOne }

// running starts an application and waits until its pods are ready.
func running(ctx context.Context, a framework.Application) framework.Application {
	GinkgoHelper()
	Expect(cluster.Start(ctx, a)).To(Succeed())
	if a.Replicas > 0 {
		podsOf(ctx, a)
	}
	return a
}

func podsOf(ctx context.Context, a framework.Application) (pods []corev1.Pod) {
	GinkgoHelper()
	Eventually(ctx, func() (err error) { pods, err = cluster.ReadyPods(ctx, a); return err }).Should(Succeed())
	return pods
}

func podOf(ctx context.Context, a framework.Application) *corev1.Pod {
	GinkgoHelper()
	return &podsOf(ctx, a)[0]
}

// tools is an application that runs a script, with data on the named claims.
func tools(name, script string, claims ...string) framework.Application {
	return framework.Tools(namespace, name, script, claims...)
}

// annotated is the application with an annotation on its pod template.
func annotated(a framework.Application, pairs ...string) framework.Application {
	a.Annotations = map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		a.Annotations[pairs[i]] = pairs[i+1]
	}
	return a
}

// aBackup asks for a backup of the application.
func aBackup(ctx context.Context, a framework.Application, with ...framework.Change) *v1alpha1.VolumeBackup {
	GinkgoHelper()
	return aBackupOf(ctx, a.Ref(), with...)
}

func aBackupOf(ctx context.Context, ref v1alpha1.ApplicationReference, with ...framework.Change) *v1alpha1.VolumeBackup {
	GinkgoHelper()
	b := framework.NewBackup(namespace, ref, with...)
	Expect(cluster.Create(ctx, b)).To(Succeed())
	return b
}

// now is the backup as it is at this moment.
func now(ctx context.Context, b *v1alpha1.VolumeBackup) *v1alpha1.VolumeBackup {
	GinkgoHelper()
	var found v1alpha1.VolumeBackup
	Expect(cluster.Get(ctx, client.ObjectKeyFromObject(b), &found)).To(Succeed())
	return &found
}

// theBackup is the backup at its end, whichever that is.
func theBackup(ctx context.Context, b *v1alpha1.VolumeBackup) *v1alpha1.VolumeBackup {
	GinkgoHelper()
	var found *v1alpha1.VolumeBackup
	Eventually(ctx, func(g Gomega) {
		found = now(ctx, b)
		g.Expect(found).To(haveEnded, "phase %s: %s", found.Status.Phase, found.Status.Message)
	}).Should(Succeed())
	return found
}

var haveEnded = gcustom.MakeMatcher(func(b *v1alpha1.VolumeBackup) (bool, error) {
	return framework.BackupEnded(b), nil
}).WithMessage("be complete or have failed")

// be matches a backup that is complete, with that verdict, by that method.
func be(verdict v1alpha1.Consistency, method v1alpha1.QuiesceMethod) types.GomegaMatcher {
	return gcustom.MakeMatcher(func(b *v1alpha1.VolumeBackup) (bool, error) {
		ready := len(b.Status.Volumes) > 0
		for _, v := range b.Status.Volumes {
			ready = ready && v.ReadyToUse && v.SnapshotName != "" && v.ContentName != "" && v.CreationTime != nil
		}
		return ready && isTrue(b, v1alpha1.ConditionComplete) && !isTrue(b, v1alpha1.ConditionFailed) &&
			b.Status.Phase == v1alpha1.PhaseCompleted && b.Status.Consistency == verdict && b.Status.Quiesce.Method == method, nil
	}).WithTemplate("Expected\n{{.Actual.Status | printf \"%+v\"}}\n{{.To}} be complete: {{.Data}}", fmt.Sprint(verdict, ", by ", method))
}

// haveFailed matches a backup that failed for that reason, with these words.
func haveFailed(reason string, words ...string) types.GomegaMatcher {
	return gcustom.MakeMatcher(func(b *v1alpha1.VolumeBackup) (bool, error) {
		c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionFailed)
		if c == nil || c.Status != metav1.ConditionTrue || c.Reason != reason || isTrue(b, v1alpha1.ConditionComplete) || b.Status.Phase != v1alpha1.PhaseFailed {
			return false, nil
		}
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(c.Message, w) }), nil
	}).WithTemplate("Expected\n{{.Actual.Status | printf \"%+v\"}}\n{{.To}} have failed: {{.Data}}", fmt.Sprint(reason, " ", words))
}

// snapshotsIn are the snapshots in the spec's namespace.
func snapshotsIn(ctx context.Context) ([]snapshotv1.VolumeSnapshot, error) {
	return cluster.Snapshots(ctx, namespace)
}

// contentsOf are the contents of snapshots in the spec's namespace.
func contentsOf(ctx context.Context) ([]snapshotv1.VolumeSnapshotContent, error) {
	return cluster.SnapshotContents(ctx, namespace)
}

// reasonsOf are the reasons of the events on an object.
func reasonsOf(ctx context.Context, o client.Object) func() ([]string, error) {
	return eventsOf(ctx, o, func(e eventsv1.Event) string { return e.Reason })
}

// toldOf are the events on an object, each as its reason and its words.
func toldOf(ctx context.Context, o client.Object) func() ([]string, error) {
	return eventsOf(ctx, o, func(e eventsv1.Event) string { return e.Reason + ": " + e.Note })
}

func eventsOf(ctx context.Context, o client.Object, as func(eventsv1.Event) string) func() ([]string, error) {
	return func() (told []string, err error) {
		var events eventsv1.EventList
		err = cluster.List(ctx, &events, client.InNamespace(o.GetNamespace()))
		for _, e := range events.Items {
			if e.Regarding.UID == o.GetUID() {
				told = append(told, as(e))
			}
		}
		return told, err
	}
}

// contents is what stands in a file of a pod, empty where there is none.
func contents(ctx context.Context, pod *corev1.Pod, file string) string {
	GinkgoHelper()
	text, err := cluster.Sh(ctx, pod, "cat "+file+" 2>/dev/null || true")
	Expect(err).NotTo(HaveOccurred())
	return text
}

// theCopy starts a pod with claims made from the backup's snapshots, each
// mounted where the application has it.
func theCopy(ctx context.Context, b *v1alpha1.VolumeBackup) *corev1.Pod {
	GinkgoHelper()
	var claims []string
	for _, v := range b.Status.Volumes {
		Expect(cluster.Create(ctx, framework.ClaimFrom(namespace, "copy-"+v.ClaimName, v))).To(Succeed())
		claims = append(claims, "copy-"+v.ClaimName)
	}
	return podOf(ctx, running(ctx, tools("copy", "", claims...)))
}
