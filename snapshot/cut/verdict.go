package cut

import "github.com/lull-dev/lull/api/v1alpha1"

// Evidence is what is known of an attempt whose snapshots were all cut in time.
type Evidence struct {
	Method v1alpha1.QuiesceMethod
	// Testified: every pod was quiet throughout, by its own word.
	Testified bool
	// Unchanged: nobody could write to the volumes after the cut who couldn't
	// before the freeze.
	Unchanged bool
	// Paired: no pod was quieted by half a pair of hooks.
	Paired bool
	// Covered: every pod that mounts the volumes for writing was quieted.
	Covered bool
	// Doubt says why what stood still may not be enough, empty where it is.
	Doubt string
}

// Verdict is the consistency that the evidence bears out, never more. It is
// false where the attempt is to be discarded.
func Verdict(e Evidence) (v1alpha1.Consistency, bool) {
	switch {
	case e.Method == v1alpha1.MethodNone:
		return v1alpha1.Crash, true
	case !e.Unchanged:
		return "", false
	case e.Method == v1alpha1.MethodIdle && e.Doubt == "":
		return v1alpha1.Proven, true
	case e.Method == v1alpha1.MethodIdle:
		return v1alpha1.Declared, true
	case !e.Testified:
		return "", false
	case !e.Covered, !e.Paired:
		return v1alpha1.Crash, true
	case e.Method == v1alpha1.MethodHold && e.Doubt == "":
		return v1alpha1.Proven, true
	}
	return v1alpha1.Declared, true
}
