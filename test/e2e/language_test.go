package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

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

// testDriver is the CSI driver of test/csidriver.
const testDriver = "disk.csi.lull.dev"

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
func aBackup(ctx context.Context, a framework.Application, with ...func(*v1alpha1.VolumeBackupSpec)) *v1alpha1.VolumeBackup {
	GinkgoHelper()
	return aBackupOf(ctx, a.Ref(), with...)
}

func aBackupOf(ctx context.Context, ref v1alpha1.ApplicationReference, with ...func(*v1alpha1.VolumeBackupSpec)) *v1alpha1.VolumeBackup {
	GinkgoHelper()
	b := &v1alpha1.VolumeBackup{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: ref.Name + "-"},
		Spec:       v1alpha1.VolumeBackupSpec{ApplicationRef: ref},
	}
	for _, change := range with {
		change(&b.Spec)
	}
	Expect(cluster.Create(ctx, b)).To(Succeed())
	return b
}

func quiesce(s *v1alpha1.VolumeBackupSpec) *v1alpha1.QuiesceSpec {
	if s.Quiesce == nil {
		s.Quiesce = &v1alpha1.QuiesceSpec{}
	}
	return s.Quiesce
}

func timeout(d time.Duration) func(*v1alpha1.VolumeBackupSpec) {
	return func(s *v1alpha1.VolumeBackupSpec) { quiesce(s).Timeout = &metav1.Duration{Duration: d} }
}

func attempts(n int32) func(*v1alpha1.VolumeBackupSpec) {
	return func(s *v1alpha1.VolumeBackupSpec) { s.Attempts = n }
}

func ofClass(name string) func(*v1alpha1.VolumeBackupSpec) {
	return func(s *v1alpha1.VolumeBackupSpec) { s.VolumeSnapshotClassName = &name }
}

func hold(script string) func(*v1alpha1.VolumeBackupSpec) {
	return func(s *v1alpha1.VolumeBackupSpec) { quiesce(s).Hold = shell(script) }
}

func hooks(pre, post string) func(*v1alpha1.VolumeBackupSpec) {
	return func(s *v1alpha1.VolumeBackupSpec) { quiesce(s).Pre, quiesce(s).Post = shell(pre), shell(post) }
}

func shell(script string) *v1alpha1.HookCommand {
	return &v1alpha1.HookCommand{Command: []string{"/bin/sh", "-c", script}}
}

func onFailureContinue(s *v1alpha1.VolumeBackupSpec) {
	quiesce(s).OnFailure = v1alpha1.OnFailureContinue
}

func onePod(s *v1alpha1.VolumeBackupSpec) { quiesce(s).Pods = v1alpha1.PodsOne }

func retained(s *v1alpha1.VolumeBackupSpec) { s.DeletionPolicy = v1alpha1.DeletionRetain }

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
	return isTrue(b, v1alpha1.ConditionComplete) || isTrue(b, v1alpha1.ConditionFailed), nil
}).WithMessage("be complete or have failed")

func isTrue(b *v1alpha1.VolumeBackup, kind string) bool {
	return meta.IsStatusConditionTrue(b.Status.Conditions, kind)
}

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
	var found snapshotv1.VolumeSnapshotList
	err := cluster.List(ctx, &found, client.InNamespace(namespace))
	return found.Items, err
}

// contentsOf are the contents of snapshots in the spec's namespace.
func contentsOf(ctx context.Context) ([]snapshotv1.VolumeSnapshotContent, error) {
	var found snapshotv1.VolumeSnapshotContentList
	err := cluster.List(ctx, &found)
	return slices.DeleteFunc(found.Items, func(c snapshotv1.VolumeSnapshotContent) bool {
		return c.Spec.VolumeSnapshotRef.Namespace != namespace
	}), err
}

// reasonsOf are the reasons of the events on a backup.
func reasonsOf(ctx context.Context, b *v1alpha1.VolumeBackup) func() ([]string, error) {
	return func() ([]string, error) {
		var events eventsv1.EventList
		err := cluster.List(ctx, &events, client.InNamespace(b.Namespace))
		var reasons []string
		for _, e := range events.Items {
			if e.Regarding.UID == b.UID {
				reasons = append(reasons, e.Reason)
			}
		}
		return reasons, err
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

// aSnapshotClass is a class of the test driver with these parameters.
func aSnapshotClass(ctx context.Context, parameters ...string) string {
	GinkgoHelper()
	set := map[string]string{}
	for i := 0; i < len(parameters); i += 2 {
		set[parameters[i]] = parameters[i+1]
	}
	return aSnapshotClassOf(ctx, testDriver, set)
}

func aSnapshotClassOf(ctx context.Context, driver string, parameters map[string]string) string {
	GinkgoHelper()
	class := &snapshotv1.VolumeSnapshotClass{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}, Driver: driver,
		DeletionPolicy: snapshotv1.VolumeSnapshotContentDelete, Parameters: parameters,
	}
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
