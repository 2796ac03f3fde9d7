package cut

import (
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// CopiesFiles is true for a class whose driver doesn't cut at one instant, by
// the class's own word. marked is false where the class says nothing of it.
func CopiesFiles(class metav1.Object) (copies, marked bool) {
	for _, words := range []map[string]string{class.GetAnnotations(), class.GetLabels()} {
		if value, ok := words[v1alpha1.MarkCopiesFiles]; ok {
			return value != "false", true
		}
	}
	return false, false
}

// Torn says why the copies may not fit together where only commits were held,
// and what to do. It is empty where each pod's volumes are of one instant: there
// is one, or all were cut as one group. A copy of one instant is what a
// database recovers from after a power cut; of two instants it may not start.
//
// writing are the claims that each pod goes on writing to, by the pods' names;
// observed is what is known of the cuts and copied the classes that don't cut at
// one instant, by claims.
func Torn(writing map[string][]string, observed map[string]Observed, copied map[string]string) string {
	for _, pod := range slices.Sorted(maps.Keys(writing)) {
		if why := tornOf(pod, writing[pod], observed, copied); why != "" {
			return why
		}
	}
	return ""
}

func tornOf(pod string, claims []string, observed map[string]Observed, copied map[string]string) string {
	held := fmt.Sprintf("of pod %s only the commits were held, and it went on writing its files: ", pod)
	for _, claim := range claims {
		if _, cut := observed[claim]; !cut {
			return held + fmt.Sprintf("its claim %s isn't part of this backup, and may hold what the others need. Back up the application with all its volumes, or leave out what isn't the database's by the annotation %s", claim, v1alpha1.AnnotationExcludeVolumes)
		}
	}
	for _, claim := range claims {
		if class := copied[claim]; class != "" {
			return held + fmt.Sprintf("%s is marked %s, so the copy of claim %s isn't of one instant. Use a class that cuts at one instant, or a hold that stops all writing (stills: Files)", class, v1alpha1.MarkCopiesFiles, claim)
		}
	}
	if len(claims) > 1 && !areOneGroup(claims, observed) {
		return held + fmt.Sprintf("its claims %s were cut one after another, and their copies may not fit together. Put data and log on one volume, or cut them as a group (spec.volumeGroupSnapshotClassName), or leave out by spec.volumes.exclude what isn't the database's", names.List(claims))
	}
	return ""
}

// areOneGroup is true for claims that were cut in one and the same group.
func areOneGroup(claims []string, observed map[string]Observed) bool {
	group := observed[claims[0]].Group
	return group != "" && !slices.ContainsFunc(claims, func(c string) bool { return observed[c].Group != group })
}
