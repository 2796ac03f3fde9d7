package hooks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// NotAsked is why nothing is quieted where nobody asked for it.
const NotAsked = "nothing was asked to be quieted: annotate the pod template with " + v1alpha1.AnnotationQuiesce + ", or write spec.quiesce"

// read are the annotations that are read from a pod template, by what they
// begin with.
var read = map[string][]string{
	"lull.dev/": {
		v1alpha1.AnnotationQuiesce, v1alpha1.AnnotationHoldHook, v1alpha1.AnnotationPreHook, v1alpha1.AnnotationPostHook,
		v1alpha1.AnnotationHookContainer, v1alpha1.AnnotationHookTimeout, v1alpha1.AnnotationHookOnFailure, v1alpha1.AnnotationExcludeVolumes,
		v1alpha1.AnnotationHoldStills,
	},
	"backups.example.com.": {backupsExamplePreHook, backupsExamplePostHook},
	veleroPre:              {veleroPre + veleroCommand, veleroPre + "container", veleroPre + "on-error", veleroPre + "timeout"},
	veleroPost:             {veleroPost + veleroCommand, veleroPost + "container", veleroPost + "on-error", veleroPost + "timeout"},
}

// elsewhere are annotations that begin as ours do, and mean something on other
// objects, or for those who made the pod.
var elsewhere = []string{
	v1alpha1.AnnotationRetainedFrom, v1alpha1.AnnotationConsistency,
	"lull.dev/policy", "lull.dev/backup", "lull.dev/keep",
}

// mostMisspelt is how many are named of the annotations that aren't read.
const mostMisspelt = 5

// misspelt warns of the annotations of a pod template that look as if they were
// read and aren't: of the first few, where there are many.
func misspelt(a map[string]string) []Warning {
	var warnings []Warning
	for _, key := range slices.Sorted(maps.Keys(a)) {
		like := keysLike(key)
		if like == nil || slices.Contains(like, key) || slices.Contains(elsewhere, key) {
			continue
		}
		if len(warnings) == mostMisspelt {
			return append(warnings, Warning{v1alpha1.ReasonAnnotationNotRead, fmt.Sprintf(
				"nor are others read that look like these; the first of them is %s", key)})
		}
		warnings = append(warnings, Warning{v1alpha1.ReasonAnnotationNotRead, fmt.Sprintf(
			"the annotation %s of the pod template isn't read: write one of %s", key, strings.Join(like, ", "))})
	}
	return warnings
}

// keysLike are the annotations that are read and begin as key does, in lower
// case, nil where none do.
func keysLike(key string) []string {
	for _, begins := range slices.Sorted(maps.Keys(read)) {
		if strings.HasPrefix(strings.ToLower(key), begins) {
			return read[begins]
		}
	}
	return nil
}

// misplaced warns of annotations that would be read from the pod template, and
// stand on what isn't read. unread are the annotations of those objects, by what
// they are called; templates those that are read.
func misplaced(unread map[string]map[string]string, templates []map[string]string) []Warning {
	carriers := map[string][]string{}
	for _, object := range slices.Sorted(maps.Keys(unread)) {
		for key, value := range unread[object] {
			isInherited := func(t map[string]string) bool { return t[key] == value }
			if slices.Contains(keysLike(key), key) && !slices.ContainsFunc(templates, isInherited) {
				carriers[key] = append(carriers[key], object)
			}
		}
	}
	var warnings []Warning
	for _, key := range slices.Sorted(maps.Keys(carriers)) {
		warnings = append(warnings, Warning{v1alpha1.ReasonAnnotationNotRead, fmt.Sprintf(
			"the annotation %s isn't read where it stands (%s): write it on the pod template (spec.template.metadata.annotations)", key, names.List(carriers[key]))})
	}
	return warnings
}

// notAsked is why nothing is quieted, with the annotations that aren't read,
// empty where there are none.
func notAsked(warnings []Warning) string {
	why := NotAsked
	for _, w := range warnings {
		if w.Reason == v1alpha1.ReasonAnnotationNotRead {
			why += "; " + w.Message
		}
	}
	if why == NotAsked {
		return ""
	}
	return why
}
