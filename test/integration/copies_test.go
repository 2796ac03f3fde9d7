package integration

import (
	"context"
	"strings"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A class may have copies outlive their snapshots, but not those that nobody
// wants.
func TestWhatIsDiscardedTakesItsCopyAlong(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data", "log")
	fc.storage.retains()
	fc.aManager()
	b := fc.awaitFailed(fc.aBackup(fc.heldBy(losesTheLock), attempts(2), within(soon)), v1alpha1.ReasonQuiesceFailed, "without STILL_HELD")
	fc.noSnapshotIsLeft()
	fc.eventually("no copy is left of what failed", func() bool { return len(fc.storage.copies()) == 0 })
	if told := fc.timesTold(b, v1alpha1.ReasonClassRetains); told != 1 {
		t.Errorf("the class was told of %d times", told)
	}

	good := fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
	fc.says(good, v1alpha1.ReasonClassRetains, "VolumeSnapshotClass "+fc.namespace+"-class: the deletionPolicy is Retain")
	if left := len(fc.storage.copies()); left != 2 {
		t.Fatalf("%d copies", left)
	}
	fc.delete(good)
	fc.awaitGone(good)
	fc.eventually("its copies go with a backup", func() bool { return len(fc.storage.copies()) == 0 })
}

func TestARetainedBackupKeepsItsCopies(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.storage.retains()
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held, retain), v1alpha1.Proven)
	if !strings.Contains(b.Status.Message, "its own deletionPolicy is Retain") {
		t.Errorf("should say what stays: %s", b.Status.Message)
	}
	fc.delete(b)
	fc.awaitGone(b)
	fc.keptItsCopy()
}

// A class has copies outlive their snapshots for the day when a namespace goes.
func TestCopiesOutliveTheirNamespace(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.storage.retains()
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
	fc.delete(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fc.namespace}})
	fc.delete(b)
	fc.awaitGone(b)
	fc.keptItsCopy()
}

// A backup may ask for it by itself, whatever its class says. What is then left
// in the storage is found by its labels.
func TestOrphanedCopiesOutliveTheirNamespace(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held, func(s *v1alpha1.VolumeBackupSpec) { s.DeletionPolicy = v1alpha1.DeletionOrphan }), v1alpha1.Proven)
	fc.keptItsCopy()
	if want := "handle-" + b.Status.Volumes[0].SnapshotName; b.Status.Volumes[0].SnapshotHandle != want {
		t.Errorf("the status calls the copy %q, not %q", b.Status.Volumes[0].SnapshotHandle, want)
	}
	fc.delete(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fc.namespace}})
	fc.delete(b)
	fc.awaitGone(b)
	fc.keptItsCopy()
	var found snapshotv1.VolumeSnapshotContentList
	fc.must(admin.List(fc.ctx, &found, client.MatchingLabels{v1alpha1.LabelNamespace: fc.namespace, v1alpha1.LabelClaim: "data", v1alpha1.LabelBackup: b.Name}))
	if len(found.Items) != 1 {
		t.Errorf("%d copies are found by their labels", len(found.Items))
	}
}

// What its policy's retention removes goes with its copy all the same.
func TestADiscardedBackupTakesItsOrphanedCopyAlong(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held, func(s *v1alpha1.VolumeBackupSpec) { s.DeletionPolicy = v1alpha1.DeletionOrphan }), v1alpha1.Proven)
	metav1.SetMetaDataAnnotation(&b.ObjectMeta, v1alpha1.AnnotationDiscard, "true")
	fc.must(admin.Update(fc.ctx, b))
	fc.delete(b)
	fc.awaitGone(b)
	fc.eventually("its copy goes", func() bool { return len(fc.storage.copies()) == 0 })
}

// Somebody may not let it be changed. Then it stays, and the way to be rid of it
// is told.
func TestACopyThatCannotBeLetGoIsTold(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.storage.retains()
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
	content := fc.storage.copies()[0]
	fc.keepsItsPolicy(&content, "copies stay here")
	fc.delete(b)
	fc.isWarned(b, "CopyStays", "kubectl patch volumesnapshotcontent "+content.Name)
	fc.isWarned(b, "CopyStays", "copies stay here")
	fc.awaitGone(b)
	fc.keptItsCopy()
}

// keepsItsPolicy has a policy that lets nobody change what becomes of a copy.
func (fc *fakeCluster) keepsItsPolicy(content *snapshotv1.VolumeSnapshotContent, message string) {
	fc.Helper()
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: fc.namespace}}
	policy.Spec.MatchConstraints = &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
		ResourceNames: []string{content.Name},
		RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Update},
			Rule:       admissionv1.Rule{APIGroups: []string{snapshotv1.GroupName}, APIVersions: []string{"v1"}, Resources: []string{"volumesnapshotcontents"}},
		},
	}}}
	policy.Spec.Validations = []admissionv1.Validation{{Expression: "object.spec.deletionPolicy == oldObject.spec.deletionPolicy", Message: message}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: fc.namespace}}
	binding.Spec.PolicyName = policy.Name
	binding.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Deny}
	for _, obj := range []client.Object{policy, binding} {
		fc.must(admin.Create(fc.ctx, obj))
		fc.Cleanup(func() { fc.must(admin.Delete(context.WithoutCancel(fc.ctx), obj)) })
	}
	change := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"deletionPolicy":"Delete"}}`))
	fc.eventually("the policy is in force", func() bool {
		return apierrors.IsInvalid(admin.Patch(fc.ctx, content.DeepCopy(), change, client.DryRunAll))
	})
}

// keptItsCopy: the only copy in the storage stays for ever.
func (fc *fakeCluster) keptItsCopy() {
	fc.Helper()
	if copies := fc.storage.copies(); len(copies) != 1 || copies[0].Spec.DeletionPolicy != "Retain" {
		fc.Errorf("its copy should be as it was: %v", copies)
	}
}

// timesTold is how many events of that reason there are about the backup.
func (fc *fakeCluster) timesTold(b *v1alpha1.VolumeBackup, reason string) (times int) {
	fc.Helper()
	var events eventsv1.EventList
	fc.must(admin.List(fc.ctx, &events, client.InNamespace(fc.namespace)))
	for _, e := range events.Items {
		if e.Regarding.UID == b.UID && e.Reason == reason {
			times++
			if e.Series != nil {
				times += int(e.Series.Count) - 1
			}
		}
	}
	return times
}
