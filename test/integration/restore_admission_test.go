package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// restoreAs creates a restore as kubectl does, with strict field validation.
func (w *world) restoreAs(as client.Client, spec string) (*unstructured.Unstructured, error) {
	w.Helper()
	obj, fields := &unstructured.Unstructured{Object: map[string]any{}}, map[string]any{}
	w.must(yaml.Unmarshal([]byte(spec), &fields))
	obj.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("VolumeRestore"))
	obj.SetNamespace(w.namespace)
	obj.SetGenerateName("restore-")
	obj.Object["spec"] = fields
	return obj, as.Create(w.ctx, obj, client.FieldValidation("Strict"))
}

func refusedBecause(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("should be refused by %q: %v", says, err)
	}
}

func TestNewClaimsHaveNamesOfTheirOwn(t *testing.T) {
	w := aWorld(t)
	_, err := w.restoreAs(admin, `{source: {volumeBackupRef: {name: b}}, target: {claims: {a: zz, b: yy, c: zz}}}`)
	refusedBecause(t, err, "each claim needs a name of its own")
	_, err = w.restoreAs(admin, `{source: {volumeBackupRef: {name: b}}, target: {claims: {a: zz, b: yy}}}`)
	w.must(err)
	many := map[string]string{}
	for i := range 256 {
		many[fmt.Sprintf("%d", i)] = fmt.Sprintf("%d%s", i, strings.Repeat("x", 250))
	}
	spec, err := json.Marshal(many)
	w.must(err)
	_, err = w.restoreAs(admin, `{source: {volumeBackupRef: {name: b}}, target: {claims: `+string(spec)+`}}`)
	w.must(err) // so many are compared where they are resolved
}

// mayRestore is a role for restores and claims.
func (w *world) mayRestore(claims ...string) string {
	w.Helper()
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{GenerateName: w.namespace + "-restore-"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"lull.dev"}, Resources: []string{"volumerestores"}, Verbs: []string{"create", "get", "patch", "delete"}},
			{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims"}, Verbs: claims},
		},
	}
	w.must(admin.Create(w.ctx, role))
	return role.Name
}

func (w *world) mayUpdate(kinds ...string) string {
	w.Helper()
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{GenerateName: w.namespace + "-update-"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: kinds, Verbs: []string{"update"}}},
	}
	w.must(admin.Create(w.ctx, role))
	return role.Name
}

const ontoShop = `source: {volumeBackupRef: {name: b}}, target: {applicationRef: {kind: Deployment, name: shop}}`

func TestWhoDeletesClaimsByARestoreMayDeleteThem(t *testing.T) {
	w := aWorld(t)
	maker := w.aUser("maker", w.mayRestore("create"), w.mayUpdate("deployments"))
	owner := w.aUser("owner", w.mayRestore("create", "delete"), w.mayUpdate("deployments"))
	const deletes = `{` + ontoShop + `, previousClaims: Delete}`
	w.eventually("the policy and the roles are in force", func() bool {
		_, mine := w.restoreAs(owner, deletes)
		_, kept := w.restoreAs(maker, `{`+ontoShop+`}`)
		return mine == nil && kept == nil
	})
	_, err := w.restoreAs(maker, deletes)
	refusedBecause(t, err, w.namespace+"-maker may not delete persistentvolumeclaims in namespace "+w.namespace+": ask for that right, or write Keep")
	_, err = w.restoreAs(maker, `{source: {volumeBackupRef: {name: b}}, target: {strategy: ClaimsOnly}, previousClaims: Delete}`)
	w.must(err) // it deletes none
	owners, err := w.restoreAs(owner, deletes)
	w.must(err)
	w.must(maker.Patch(w.ctx, owners, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"rollBack":true}}`)))) // nor does its undoing
}

func TestWhoDeletesARestoreUnderWayMayUpdateItsApplication(t *testing.T) {
	w := aWorld(t)
	stranger := w.aUser("stranger", w.mayRestore("create"))
	owner := w.aUser("owner", w.mayRestore("create"), w.mayUpdate("deployments"))
	w.eventually("the roles are in force", func() bool {
		other, err := w.restoreAs(admin, `{`+ontoShop+`}`)
		w.must(err)
		claims, err := w.restoreAs(stranger, `{source: {volumeBackupRef: {name: b}}, target: {strategy: ClaimsOnly}}`)
		return err == nil && stranger.Delete(w.ctx, claims) == nil && owner.Delete(w.ctx, other) == nil
	})
	const says = "a restore stops and changes its application, and "
	named, err := w.restoreAs(admin, `{`+ontoShop+`}`)
	w.must(err)
	refusedBecause(t, stranger.Delete(w.ctx, named), says+w.namespace+"-stranger may not update deployments/shop in namespace "+w.namespace+", and a restore that is deleted before its end is undone")
	any, err := w.restoreAs(admin, `{source: {volumeBackupRef: {name: b}}}`)
	w.must(err)
	refusedBecause(t, stranger.Delete(w.ctx, any), says+w.namespace+"-stranger may not update deployments in namespace")
	refusedBecause(t, owner.Delete(w.ctx, any), "may not update statefulsets")

	for _, condition := range []string{v1alpha1.ConditionComplete, v1alpha1.ConditionFailed} {
		ended := w.endedRestore(condition)
		w.must(stranger.Delete(w.ctx, ended)) // nothing is undone by it
	}
	for _, name := range []string{"namespace-controller", "generic-garbage-collector"} {
		cleaner, err := client.New(configOf("system:serviceaccount:kube-system:"+name), client.Options{Scheme: scheme})
		w.must(err)
		left, err := w.restoreAs(admin, `{`+ontoShop+`}`)
		w.must(err)
		w.create(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: w.mayRestore("create")},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "system:serviceaccount:kube-system:" + name}},
		})
		w.eventually("it is cleaned up by "+name, func() bool { return cleaner.Delete(w.ctx, left) == nil })
	}
}

// endedRestore is one of Deployment shop that has the condition.
func (w *world) endedRestore(condition string) *v1alpha1.VolumeRestore {
	w.Helper()
	r := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{GenerateName: "ended-"}}
	r.Spec.Source.VolumeBackupRef = &v1alpha1.LocalReference{Name: "b"}
	r.Spec.Target.ApplicationRef = &v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "shop"}
	w.create(r)
	meta.SetStatusCondition(&r.Status.Conditions, metav1.Condition{Type: condition, Status: metav1.ConditionTrue, Reason: "x"})
	w.must(admin.Status().Update(w.ctx, r))
	return r
}

// Go writes a struct that is empty as {}.
func TestATypedClientCanUpdateARestore(t *testing.T) {
	w := aWorld(t)
	for _, spec := range []string{
		`{source: {volumeBackupRef: {name: b}}}`,
		`{` + ontoShop + `}`,
		`{source: {volumeBackupRef: {name: b}}, target: {claims: {data: zz}}, volumes: {include: [data]}}`,
	} {
		made, err := w.restoreAs(admin, spec)
		w.must(err)
		r := &v1alpha1.VolumeRestore{}
		w.must(admin.Get(w.ctx, client.ObjectKeyFromObject(made), r))
		r.Labels = map[string]string{"team": "shop"}
		w.must(admin.Update(w.ctx, r))
		r.Spec.RollBack = true
		w.must(admin.Update(w.ctx, r))
		for what, change := range map[string]func(*v1alpha1.VolumeRestoreSpec){
			"the target":  func(s *v1alpha1.VolumeRestoreSpec) { s.Target.Strategy = v1alpha1.StrategyClaimsOnly },
			"the volumes": func(s *v1alpha1.VolumeRestoreSpec) { s.Volumes.Exclude = []string{"other"} },
		} {
			other := r.DeepCopy()
			change(&other.Spec)
			t.Run(what, func(t *testing.T) {
				refusedBecause(t, admin.Update(w.ctx, other), "of a restore's spec only rollBack can be changed")
			})
		}
	}
}
