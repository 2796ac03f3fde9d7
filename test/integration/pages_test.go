package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// blocks are the manifests of a page: those in yaml, and those that a command takes.
var blocks = regexp.MustCompile("(?s)```yaml\n(.*?)```|<<EOF\n(.*?)\nEOF\n")

// Whatever a page has people paste is what the API server takes.
func TestManifestsOfThePagesAreAdmitted(t *testing.T) {
	fc := aFakeCluster(t)
	pages, err := filepath.Glob("../../docs/*.md")
	fc.must(err)
	count := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		fc.must(err)
		for _, block := range blocks.FindAllStringSubmatch(string(text), -1) {
			for manifest := range strings.SplitSeq(block[1]+block[2], "\n---\n") {
				obj := &unstructured.Unstructured{}
				if err := yaml.Unmarshal([]byte(manifest), &obj.Object); err != nil || obj.GroupVersionKind().GroupVersion() != v1alpha1.GroupVersion {
					continue // a part of one, or not of Lull's
				}
				count++
				if obj.GetKind() != "ClusterSnapshotPolicy" {
					obj.SetNamespace(fc.namespace)
				}
				if err := admin.Create(fc.ctx, obj, client.DryRunAll, client.FieldValidation("Strict")); err != nil {
					t.Errorf("%s: %v\n%s", filepath.Base(page), err, manifest)
				}
			}
		}
	}
	if count < 10 {
		t.Errorf("the pages have %d manifests", count)
	}
}
