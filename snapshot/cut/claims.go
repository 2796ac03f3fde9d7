package cut

import (
	"fmt"
	"slices"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// SelectClaims is what to back up of the claims that an application mounts:
// sorted, each once. excluded are the claims that the application's own
// annotation leaves out; include stands over it. volumes are the claims by the
// names of the volumes that the pods know them by.
func SelectClaims(mounted []string, sel v1alpha1.VolumeSelection, excluded []string, volumes map[string][]string) ([]string, error) {
	mounted = names.Set(mounted)
	for _, name := range slices.Concat(sel.Include, sel.Exclude) {
		if !slices.Contains(mounted, name) {
			return nil, v1alpha1.Problemf(v1alpha1.ReasonClaimNotFound,
				"spec.volumes names claim %q, which the application doesn't mount: %s", name, instead(name, mounted, volumes))
		}
	}
	chosen := slices.DeleteFunc(slices.Clone(mounted), func(name string) bool {
		if len(sel.Include) > 0 {
			return !slices.Contains(sel.Include, name)
		}
		return slices.Contains(sel.Exclude, name) || slices.Contains(excluded, name)
	})
	if len(mounted) == 0 {
		return nil, v1alpha1.PassingProblemf(v1alpha1.ReasonNoVolumes,
			"the application mounts no PersistentVolumeClaim: there is nothing to back up")
	}
	if len(chosen) == 0 {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonNoVolumes,
			"every claim of the application (%s) is excluded, by spec.volumes or the annotation %s: leave at least one", names.List(mounted), v1alpha1.AnnotationExcludeVolumes)
	}
	return chosen, nil
}

// Unmatched says of each name that an application's annotation leaves out, and
// that is of none of its claims, what to write instead.
func Unmatched(mounted, excluded []string, volumes map[string][]string) []string {
	mounted = names.Set(mounted)
	var said []string
	for _, name := range excluded {
		if !slices.Contains(mounted, name) {
			said = append(said, fmt.Sprintf("the annotation %s names claim %q, which the application doesn't mount, so that nothing is left out by it: %s",
				v1alpha1.AnnotationExcludeVolumes, name, instead(name, mounted, volumes)))
		}
	}
	return said
}

// instead says what to write in the place of a name that is no claim's.
func instead(name string, mounted []string, volumes map[string][]string) string {
	if claims := names.Set(volumes[name]); len(claims) > 0 {
		return fmt.Sprintf("it is the name of a volume of its pods. Write the claim there: %s", names.List(claims))
	}
	return fmt.Sprintf("it mounts %s", names.List(mounted))
}
