package integration

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// replacement is a restore by Replace of StatefulSet db, whose new volume is there,
// and which nobody works on yet.
type replacement struct {
	*fakeCluster
	restore       *v1alpha1.VolumeRestore
	set           *appsv1.StatefulSet
	previous, new *corev1.PersistentVolume
}

const replaced = "data-db-0" // the claim

func (fc *fakeCluster) aReplacement() *replacement {
	fc.Helper()
	r := &replacement{fakeCluster: fc, set: fc.aStatefulSet("db", 1, "data")}
	r.set.Status.ObservedGeneration = r.set.Generation // as its controller would
	fc.must(admin.Status().Update(fc.ctx, r.set))
	r.restore = &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Name: "monday"}}
	r.restore.Spec.Source.VolumeBackupRef = &v1alpha1.LocalReference{Name: "b"}
	fc.create(r.restore)
	claim := fc.newClaim(replaced)
	claim.Spec.VolumeName = fc.namespace + "-old"
	fc.create(claim)
	claim.Status.Phase = corev1.ClaimBound
	fc.must(admin.Status().Update(fc.ctx, claim))
	r.previous = fc.volumeOf("old", claim.UID, nil)
	r.new = fc.volumeOf("new", "", map[string]string{v1alpha1.LabelRestoreUID: string(r.restore.UID)})
	now := metav1.Now()
	r.restore.Status = v1alpha1.VolumeRestoreStatus{
		StartTime: &now, Strategy: v1alpha1.StrategyReplace, Source: "b",
		Application: &v1alpha1.ApplicationReference{Kind: v1alpha1.KindStatefulSet, Name: "db"}, ApplicationUID: r.set.UID,
		Claims: []v1alpha1.RestoredClaim{{
			ClaimName: replaced, OriginalClaim: replaced, PreviousClaim: replaced, RestoredClaim: replaced, TemporaryClaim: "temporary",
			PreviousVolume: r.previous.Name, PreviousVolumeUID: r.previous.UID, PreviousPolicy: corev1.PersistentVolumeReclaimDelete,
			RestoredVolume: r.new.Name, RestoredVolumeUID: r.new.UID, RestoredPolicy: corev1.PersistentVolumeReclaimDelete,
			Shape: v1alpha1.ClaimShape{AccessModes: claim.Spec.AccessModes, Size: resource.MustParse("1Gi")},
		}},
	}
	r.is(v1alpha1.ConditionClaimsReady)
	return r
}

// volumeOf is a volume of claim data-db-0, with that UID.
func (fc *fakeCluster) volumeOf(name string, claim types.UID, labels map[string]string) *corev1.PersistentVolume {
	fc.Helper()
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: fc.namespace + "-" + name, Labels: labels},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes:            []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: fc.driver, VolumeHandle: fc.namespace + "-" + name}},
			ClaimRef:               &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: fc.namespace, Name: replaced, UID: claim},
		},
	}
	fc.create(v)
	return v
}

// is sets conditions of the restore.
func (r *replacement) is(conditions ...string) {
	for _, c := range conditions {
		meta.SetStatusCondition(&r.restore.Status.Conditions, metav1.Condition{Type: c, Status: metav1.ConditionTrue, Reason: "x"})
	}
}

// begins writes the status, and has a manager work from there.
func (r *replacement) begins() {
	r.Helper()
	r.writesStatus(r.restore)
	r.aRestoreManager()
}

// answers is when the restore is at its end, and has answered what is asked.
func (r *replacement) answers() *v1alpha1.VolumeRestore {
	r.Helper()
	v := r.restore
	r.eventually("the restore is at its end", func() bool {
		r.must(admin.Get(r.ctx, client.ObjectKeyFromObject(v), v))
		hasEnded := meta.IsStatusConditionTrue(v.Status.Conditions, v1alpha1.ConditionComplete) || meta.IsStatusConditionTrue(v.Status.Conditions, v1alpha1.ConditionFailed)
		answer := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionRolledBack)
		released := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionPreviousReleased)
		return hasEnded && v.Status.CompletionTime != nil && (!v.Spec.RollBack || answer != nil) && (!v.Spec.ReleasePrevious || released != nil)
	})
	return v
}

// A status can be forged, and the manager may change every volume of the cluster.
func TestAForgedStatusChangesNoVolumeOfAnotherNamespace(t *testing.T) {
	now := metav1.NowMicro()
	type claim = v1alpha1.RestoredClaim
	restored := func(c *claim, victim string) { c.RestoredVolume, c.RestoredVolumeUID = victim, "" }
	previous := func(c *claim, victim string) { c.PreviousVolume, c.PreviousVolumeUID = victim, "" }
	ready := func(r *replacement) {
		r.restore.Status.ScaledDownAt, r.restore.Status.ScaledUpAt = &now, &now
		r.is(v1alpha1.ConditionSwapped, v1alpha1.ConditionApplicationReady)
	}
	for name, attack := range map[string]struct {
		names func(*claim, string)
		at    func(*replacement)
	}{
		"the restored volume, that is to be kept":    {restored, func(*replacement) {}},
		"the previous volume, that is to be kept":    {previous, func(*replacement) {}},
		"the restored volume, that is to be let go":  {restored, ready},
		"the previous volume, that is to be deleted": {previous, func(r *replacement) { ready(r); r.asks(`{"spec":{"releasePrevious":true}}`) }},
		"the restored volume, of a restore that is undone": {restored, func(r *replacement) {
			r.restore.Status.RollBack = &v1alpha1.RollBackStatus{Reason: "x", StartedAt: now}
		}},
		"the previous volume, that is to be brought back": {previous, func(r *replacement) {
			ready(r)
			r.is(v1alpha1.ConditionComplete)
			r.restore.Status.CompletionTime = &metav1.Time{Time: now.Time}
			r.asks(`{"spec":{"rollBack":true}}`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := aFakeCluster(t).aReplacement()
			victim := r.volumeOf("vault", "uid-of-vault", map[string]string{v1alpha1.LabelPrevious: "true", v1alpha1.LabelRestoreUID: "uid-of-theirs"})
			victim.Spec.ClaimRef.Namespace = "bank"
			r.must(admin.Update(r.ctx, victim))
			attack.names(&r.restore.Status.Claims[0], victim.Name)
			r.restore.Status.Claims[0].PreviousPolicy, r.restore.Status.Claims[0].RestoredPolicy = corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimDelete
			attack.at(r)
			r.begins()
			v := r.answers()
			there := &corev1.PersistentVolume{}
			r.must(admin.Get(r.ctx, client.ObjectKeyFromObject(victim), there))
			if there.ResourceVersion != victim.ResourceVersion {
				t.Errorf("another namespace's volume was changed: %+v, %v, by %s: %s", there.Spec, there.Labels, v.Status.Phase, v.Status.Message)
			}
		})
	}
}

// asks changes the restore's spec; its status stays as the test has it.
func (r *replacement) asks(patch string) {
	r.Helper()
	status := r.restore.Status
	r.must(admin.Patch(r.ctx, r.restore, client.RawPatch(types.MergePatchType, []byte(patch))))
	r.restore.Status = status
}

// denies has a policy of the cluster's deny in the namespace what isn't as the
// expression says.
func (fc *fakeCluster) denies(group, resource string, operation admissionv1.OperationType, unless string) {
	fc.Helper()
	const equal = admissionv1.Equivalent
	p := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: fc.namespace}}
	p.Spec.MatchConstraints = &admissionv1.MatchResources{
		MatchPolicy:       ptr.To(equal),
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": fc.namespace}},
		ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{operation},
			Rule:       admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: []string{resource}},
		}}},
	}
	p.Spec.Validations = []admissionv1.Validation{{Expression: unless, Message: "not in this shop"}}
	fc.must(admin.Create(fc.ctx, p))
	b := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: fc.namespace}}
	b.Spec.PolicyName, b.Spec.ValidationActions = fc.namespace, []admissionv1.ValidationAction{admissionv1.Deny}
	fc.must(admin.Create(fc.ctx, b))
	fc.Cleanup(func() {
		fc.must(admin.Delete(fc.ctx, b))
		fc.must(admin.Delete(fc.ctx, p))
	})
}

// What a policy refuses of the writes that come once the application is stopped would
// leave it down.
func TestAPolicyAgainstWhatARestoreWritesLaterStopsNothing(t *testing.T) {
	dry := client.NewDryRunClient(admin)
	for name, c := range map[string]struct {
		denies func(*replacement)
		// probe is a write that the policy denies once it is in force.
		probe func(*replacement) error
		says  string
	}{
		"claims for volumes that are named": {
			denies: func(r *replacement) {
				r.denies("", "persistentvolumeclaims", admissionv1.Create, "!has(object.spec.volumeName)")
			},
			probe: func(r *replacement) error {
				claim := r.newClaim("probe")
				claim.Namespace, claim.Spec.VolumeName = r.namespace, "x"
				return dry.Create(r.ctx, claim)
			},
			says: "claim " + replaced + " can't be made for PersistentVolume",
		},
		"the start of the application": {
			denies: func(r *replacement) {
				r.denies("apps", "statefulsets", admissionv1.Update, "object.spec.replicas == 0")
			},
			probe: func(r *replacement) error {
				return dry.Patch(r.ctx, r.set.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":2}}`)))
			},
			says: "the application can't be scaled to 1 replica(s)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := aFakeCluster(t).aReplacement()
			c.denies(r)
			r.eventually("the policy is in force", func() bool {
				err := c.probe(r)
				return err != nil && strings.Contains(err.Error(), "not in this shop")
			})
			r.begins()
			v := r.answers()
			failed := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionFailed)
			if failed == nil || failed.Reason != v1alpha1.ReasonChangeRefused || !strings.Contains(failed.Message, c.says) || !strings.Contains(failed.Message, "not in this shop") {
				t.Errorf("%s: %+v", v.Status.Phase, failed)
			}
			there := &appsv1.StatefulSet{}
			r.must(admin.Get(r.ctx, client.ObjectKeyFromObject(r.set), there))
			if there.Generation != r.set.Generation || v.Status.ScaledDownAt != nil {
				t.Errorf("the application was touched: %+v, stopped at %v", there.Spec, v.Status.ScaledDownAt)
			}
		})
	}
}
