package shipped

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lull-dev/lull/snapshot/names"
)

// defaults are the fields that the API server fills in, by their names, and what it
// writes there.
var defaults = map[string]any{
	"conversion":        map[string]any{"strategy": "None"},
	"matchPolicy":       "Equivalent",
	"namespaceSelector": map[string]any{},
	"objectSelector":    map[string]any{},
	"scope":             "*",
}

// differs says where the spec of an object isn't as it was shipped, empty where it
// is. What somebody has added counts as well: a selector leaves namespaces out.
func differs(shipped, there *unstructured.Unstructured) string {
	a, b := shipped.DeepCopy(), there.DeepCopy()
	anyVersion(a)
	anyVersion(b)
	return differsAt("spec", a.Object["spec"], b.Object["spec"])
}

func differsAt(path string, shipped, there any) string {
	switch s := shipped.(type) {
	case map[string]any:
		if t, is := there.(map[string]any); is {
			return fieldDiffers(path, s, t)
		}
	case []any:
		t, is := there.([]any)
		if !is || len(s) != len(t) {
			return path
		}
		for i := range s {
			if at := differsAt(fmt.Sprintf("%s[%d]", path, i), s[i], t[i]); at != "" {
				return at
			}
		}
		return ""
	}
	if reflect.DeepEqual(shipped, there) {
		return ""
	}
	return path
}

func fieldDiffers(path string, shipped, there map[string]any) string {
	for _, key := range names.Set(append(slices.Collect(maps.Keys(shipped)), slices.Collect(maps.Keys(there))...)) {
		at := path + "." + key
		s, isShipped := shipped[key]
		t, isThere := there[key]
		if filled, is := defaults[key]; is && !isShipped && reflect.DeepEqual(t, filled) {
			continue
		}
		if isShipped != isThere {
			return at
		}
		if found := differsAt(at, s, t); found != "" {
			return found
		}
	}
	return ""
}

// anyVersion takes the tag off the image that a policy names: another version of the
// operator may be rolled out just now.
func anyVersion(policy *unstructured.Unstructured) {
	variables, _, _ := unstructured.NestedSlice(policy.Object, "spec", "variables")
	for _, v := range variables {
		if variable, is := v.(map[string]any); is && variable["name"] == "image" {
			variable["expression"] = untagged(fmt.Sprint(variable["expression"]))
		}
	}
	if len(variables) > 0 {
		policy.Object["spec"].(map[string]any)["variables"] = variables
	}
}

// untagged is an image, in quotes, without its tag and digest.
func untagged(image string) string {
	name, _, _ := strings.Cut(strings.Trim(image, "'"), "@")
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		name = name[:colon]
	}
	return "'" + name + "'"
}
