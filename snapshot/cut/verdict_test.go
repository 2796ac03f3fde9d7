package cut

import (
	"testing"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Every combination, so that no doubt is ever rounded up.
func TestVerdict(t *testing.T) {
	for _, method := range []v1alpha1.QuiesceMethod{"Hold", "Hooks", "Idle", "None"} {
		for bits := range 32 {
			e := Evidence{Method: method, Testified: bits&1 > 0, Unchanged: bits&2 > 0, Covered: bits&4 > 0, Paired: bits&8 > 0}
			if bits&16 > 0 {
				e.Doubt = "the log was cut later, or a pod is forgotten"
			}
			got, ok := Verdict(e)
			if want := expected(e); got != want || ok != (want != "") {
				t.Errorf("%+v: got %q, %v; want %q", e, got, ok, want)
			}
		}
	}
}

func expected(e Evidence) v1alpha1.Consistency {
	all := e.Testified && e.Unchanged && e.Covered && e.Paired
	switch {
	case e.Method == "None":
		return v1alpha1.Crash
	case e.Method == "Idle" && e.Unchanged && e.Doubt == "", e.Method == "Hold" && all && e.Doubt == "":
		return v1alpha1.Proven
	case e.Method == "Idle" && e.Unchanged, e.Method == "Hooks" && all, e.Method == "Hold" && all:
		return v1alpha1.Declared
	case e.Method != "Idle" && e.Testified && e.Unchanged:
		return v1alpha1.Crash
	}
	return ""
}
