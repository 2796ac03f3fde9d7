package hooks

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// stillWritten are the claims that pods go on writing to while only their
// commits are held, by the names of the pods. A pod that isn't a target is stood
// for by one, and no better off than that.
func stillWritten(app Application, pods []corev1.Pod, targets []Target) map[string][]string {
	commits := func(t Target) bool { return t.Stills == v1alpha1.StillsCommits }
	written := map[string][]string{}
	for i := range pods {
		t := targetOf(targets, &pods[i])
		if t != nil && !commits(*t) || t == nil && !slices.ContainsFunc(targets, commits) {
			continue
		}
		if claims := app.writtenBy(&pods[i]); len(claims) > 0 {
			written[pods[i].Name] = claims
		}
	}
	return written
}

// writtenBy are the claims that a pod writes to, each once, but for those that
// somebody left out. Where a claim is what is backed up, its pod's others are
// left out by nobody but the pod's own annotation: the claim may be half of a
// database. No such half is a generic ephemeral volume, which goes with its pod.
func (app Application) writtenBy(p *corev1.Pod) []string {
	leftOut := ExcludedVolumes(app.Annotations[p.UID])
	claims, lasting := slices.Sorted(slices.Values(workload.ClaimsOf(p))), workload.NamedClaims(&p.Spec)
	return slices.DeleteFunc(slices.Compact(claims), func(c string) bool {
		isBackedUp := slices.Contains(app.Claims, c)
		isLeftOut := app.IsOne || slices.Contains(leftOut, c) || !slices.Contains(lasting, c)
		return !workload.Writes(p, c) || !isBackedUp && isLeftOut
	})
}
