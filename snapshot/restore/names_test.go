package restore

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("very-long", 40)
	seen := map[string]bool{}
	for _, restore := range []types.UID{"a", "b"} {
		for _, name := range []string{RestoredClaimName(long, restore, "data"), TemporaryClaimName(long, restore, "data"), MountCheckPodName(long, restore, "data"), MountCheckPodName(long, restore, "logs")} {
			if len(name) > 63 || seen[name] {
				t.Errorf("%q is too long, or not the only one of its name", name)
			}
			seen[name] = true
		}
	}
}

func TestAClaimKeepsItsOriginalName(t *testing.T) {
	copied := aClaim("data-restored-1", "pv", "1Gi")
	copied.Labels[v1alpha1.LabelRestoreUID], copied.Labels[v1alpha1.LabelClaim] = "earlier", "data"
	for name, want := range map[string]string{"data-restored-1": "data", "data": "data"} {
		claim := copied
		if name == "data" {
			claim = aClaim("data", "pv", "1Gi")
		}
		if got := originalOf(name, claim); got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}
