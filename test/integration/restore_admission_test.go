package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
}
