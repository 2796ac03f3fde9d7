package cut

import (
	"slices"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// SelectClaims is what to back up of the claims that an application mounts:
// sorted, each once. excluded are the claims that the application's own
// annotation leaves out; include stands over it.
func SelectClaims(mounted []string, sel v1alpha1.VolumeSelection, excluded []string) ([]string, error) {
	mounted = names.Set(mounted)
	for _, name := range slices.Concat(sel.Include, sel.Exclude) {
		if !slices.Contains(mounted, name) {
			return nil, v1alpha1.Problemf(v1alpha1.ReasonClaimNotFound,
				"spec.volumes names claim %q, which the application doesn't mount: it mounts %s", name, names.List(mounted))
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
