package shipped

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const policy = `
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [lull.dev], operations: [UPDATE], resources: ["*/status"]}
  variables:
  - {name: image, expression: "'lull.dev/lull:dev'"}
  validations:
  - {expression: "false", message: no}
`

func TestDiffers(t *testing.T) {
	for name, c := range map[string]struct{ from, to, at string }{
		"the same":               {"", "", ""},
		"defaults":               {"  matchConstraints:\n", "  matchConstraints:\n    matchPolicy: Equivalent\n    namespaceSelector: {}\n    objectSelector: {}\n", ""},
		"a default of a rule":    {"operations: [UPDATE]", `operations: [UPDATE], scope: "*"`, ""},
		"another version":        {"lull:dev", "lull:v1.2@sha256:0123", ""},
		"another image":          {"lull.dev/lull:dev", "evil/lull:dev", "spec.variables[0].expression"},
		"another expression":     {`"false"`, `"true"`, "spec.validations[0].expression"},
		"one that fails open":    {"failurePolicy: Fail", "failurePolicy: Ignore", "spec.failurePolicy"},
		"nothing validated":      {"validations:\n  - {expression: \"false\", message: no}", "validations: []", "spec.validations"},
		"a condition more":       {"failurePolicy: Fail", "failurePolicy: Fail\n  matchConditions: [{name: x, expression: \"false\"}]", "spec.matchConditions"},
		"a selector":             {"  matchConstraints:\n", "  matchConstraints:\n    namespaceSelector: {matchLabels: {a: b}}\n", "spec.matchConstraints.namespaceSelector"},
		"a field that went away": {"  failurePolicy: Fail\n", "", "spec.failurePolicy"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(policy, c.from, c.to, 1)
			if got := differs(read(t, policy), read(t, changed)); got != c.at {
				t.Errorf("differs in %q, not in %q", got, c.at)
			}
		})
	}
}

func read(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	objects, err := objectsIn("apiVersion: v1\nkind: X\n" + text)
	if err != nil || len(objects) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	return objects[0]
}

func TestTheManifestsNameTheManagersOwnAccountAndImage(t *testing.T) {
	all, err := manifests(AccountIn("backup-system"), "registry:5000/lull:v1")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, obj := range all {
		kinds[obj.GetKind()]++
		text, err := obj.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "lull-system") || strings.Contains(string(text), "lull.dev/lull:") {
			t.Errorf("%s %s names another account or image", obj.GetKind(), obj.GetName())
		}
		if obj.GetName() == "lull-manager-pods" && obj.GetKind() == "ValidatingAdmissionPolicy" && !strings.Contains(string(text), "'registry:5000/lull:v1'") {
			t.Error("the policy of pods doesn't name the image")
		}
	}
	if kinds["CustomResourceDefinition"] != 5 || kinds["ValidatingAdmissionPolicy"] != kinds["ValidatingAdmissionPolicyBinding"] || kinds["ValidatingAdmissionPolicy"] < 10 {
		t.Errorf("there are %v", kinds)
	}
}

func TestUntagged(t *testing.T) {
	for image, want := range map[string]string{
		"'a/b:v1'": "'a/b'", "'a/b'": "'a/b'", "'reg:5000/b'": "'reg:5000/b'", "'reg:5000/b:v1@sha256:01'": "'reg:5000/b'", "'a/b@sha256:01'": "'a/b'",
	} {
		if got := untagged(image); got != want {
			t.Errorf("%s is %s, not %s", image, got, want)
		}
	}
}
