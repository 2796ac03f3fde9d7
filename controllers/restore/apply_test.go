package restore

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/restore"
)

func TestWhatARefusalComesTo(t *testing.T) {
	terminating := apierrors.NewForbidden(schema.GroupResource{}, "x", errors.New("being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	invalid := apierrors.NewInvalid(schema.GroupKind{}, "x", nil)
	lacking := apierrors.NewForbidden(schema.GroupResource{}, "x", errors.New(`User "manager" cannot patch resource "things" in API group "" in the namespace "shop": RBAC: clusterrole "lull-manager" not found`))
	broken := apierrors.NewInternalError(errors.New("no leader"))
	plain := restore.Change{Cannot: "x can't be made"}
	final := restore.Change{Cannot: "x can't be made", Reason: "Refused"}
	optional := restore.Change{Cannot: "x can't be made", IsOptional: true}
	liftable := restore.Change{Cannot: "x can't be made", Reason: "Refused", Liftable: "x can be made"}
	for name, c := range map[string]struct {
		change                 restore.Change
		answer                 error
		waits, problem, errors bool
	}{
		"made":                                  {final, nil, false, false, false},
		"refused, and it may pass":              {plain, denial, false, false, true},
		"refused":                               {final, denial, false, true, false},
		"refused to everybody, by a new server": {final, lacking, false, false, true},
		"refused as it is":                      {final, invalid, false, true, false},
		"refused as too large":                  {final, apierrors.NewRequestEntityTooLargeError("limit is 3145728"), false, true, false},
		"refused by a quota":                    {liftable, denial, true, false, false},
		"refused as it is, though":              {liftable, invalid, false, true, false},
		"refused since the namespace goes":      {liftable, terminating, false, true, false},
		"not answered, and not needed":          {optional, broken, true, false, false},
		"not answered":                          {liftable, broken, false, false, true},
		"somebody was faster, which isn't that": {final, apierrors.NewConflict(schema.GroupResource{}, "x", nil), false, false, true},
	} {
		refusal, err := judge(c.change, c.answer)
		isProblem := reconcile.ProblemOf(err) != nil
		if (refusal != "") != c.waits || isProblem != c.problem || (err != nil && !isProblem) != c.errors {
			t.Errorf("%s: got %q, %v", name, refusal, err)
		}
	}
}

// What is guarded by the generation isn't refused because of a new status, and
// is for another object of the name.
func TestAGuardedPatch(t *testing.T) {
	before := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "db", UID: "u", Generation: 7, ResourceVersion: "99"}}
	after := before.DeepCopy()
	after.Spec.Replicas = ptr.To[int32](0)
	for guard, want := range map[restore.Guard]string{
		restore.Unguarded:      `{"spec":{"replicas":0}}`,
		restore.SameVersion:    `{"metadata":{"resourceVersion":"99"},"spec":{"replicas":0}}`,
		restore.SameGeneration: `[{"op":"test","path":"/metadata/uid","value":"u"},{"op":"test","path":"/metadata/generation","value":7},{"op":"add","path":"/spec/replicas","value":0}]`,
	} {
		patch, err := patchOf(restore.Change{Verb: restore.Patch, Before: before, After: after, Guard: guard})
		if err != nil {
			t.Fatal(err)
		}
		data, err := patch.Data(after)
		if err != nil || !json.Valid(data) || string(data) != want {
			t.Errorf("got %s, %v; want %s", data, err, want)
		}
	}
}

func TestDryRun(t *testing.T) {
	claim := func() *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "data"}}
	}
	deletion := restore.Change{Verb: restore.Delete, Before: claim(), Cannot: "PersistentVolumeClaim data can't be deleted"}
	creation := restore.Change{Verb: restore.Create, After: claim(), Cannot: "claim data can't be made"}
	overQuota := apierrors.NewForbidden(schema.GroupResource{}, "x", errors.New("exceeded quota: one-claim"))
	for name, c := range map[string]struct {
		change restore.Change
		answer error
		says   string
		fails  bool
	}{
		"allowed":                         {deletion, nil, "", false},
		"gone":                            {deletion, apierrors.NewNotFound(schema.GroupResource{}, "x"), "", false},
		"refused":                         {deletion, denial, "PersistentVolumeClaim data can't be deleted: " + denial.Error(), false},
		"there already":                   {creation, apierrors.NewAlreadyExists(schema.GroupResource{}, "x"), "", false},
		"the claim is counted until then": {creation, overQuota, "", false},
		"a webhook knows no dry runs":     {creation, apierrors.NewBadRequest(`webhook "x" does not support dry run`), "", false},
		"nobody answers":                  {deletion, apierrors.NewInternalError(errors.New("no leader")), "", true},
	} {
		w := newCluster(t, v1alpha1.KindDeployment)
		w.deniesDryRuns, w.refuses = true, c.answer
		w.denies = func(client.Object, client.Patch) error { return c.answer }
		p, err := (&run{Reconciler: w.manager()}).dryRun(context.Background(), []restore.Change{c.change})
		says := ""
		if p != nil {
			says = p.Message
		}
		if says != c.says || (err != nil) != c.fails {
			t.Errorf("%s: got %q, %v", name, says, err)
		}
	}
}
