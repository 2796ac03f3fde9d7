package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

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
