package workload

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/snapshot/limits"
	"github.com/lull-dev/lull/snapshot/names"
)

// ClaimsOf are the claims of a pod: those that it names, and those that are made
// for its generic ephemeral volumes.
func ClaimsOf(p *corev1.Pod) []string {
	var claims []string
	for i := range p.Spec.Volumes {
		if claim := claimOf(p, &p.Spec.Volumes[i]); claim != "" {
			claims = append(claims, claim)
		}
	}
	return claims
}

// claimOf is the claim of one of a pod's volumes, empty where it has none. That
// of a generic ephemeral volume is called by its pod and the volume
// (https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#persistentvolumeclaim-naming).
// Where somebody else's claim has that name, the pod gets no node.
func claimOf(p *corev1.Pod, v *corev1.Volume) string {
	switch {
	case v.PersistentVolumeClaim != nil:
		return v.PersistentVolumeClaim.ClaimName
	case v.Ephemeral != nil:
		return p.Name + "-" + v.Name
	}
	return ""
}

// NamedClaims are the claims that the spec of a pod, or of a template, names:
// those that outlast the pod. A template has no name yet by which to call those
// of generic ephemeral volumes.
func NamedClaims(spec *corev1.PodSpec) []string {
	var names []string
	for _, v := range spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		}
	}
	return names
}

// Claims are those that the workload's pods mount, or would if they were there. It
// is a Problem where they are too many: a few words in a spec stand for millions.
func (w *Workload) Claims() ([]string, error) {
	m := w.MountedClaims()
	if err := limits.Mounted(fmt.Sprintf("%s %s", w.Ref.Kind, w.Ref.Name), m.Count()); err != nil {
		return nil, err
	}
	claims := slices.Clone(m.named)
	for _, prefix := range m.prefixes {
		for i := range w.Replicas {
			claims = append(claims, fmt.Sprintf("%s%d", prefix, w.Start+i))
		}
	}
	return claims, nil
}

// IsAtZero is true for a StatefulSet without replicas: its claims are those
// that its replicas had, see ClaimsHad.
func (w *Workload) IsAtZero() bool { return w.Replicas == 0 && len(w.ClaimTemplates) > 0 }

// ClaimsHad are those of the claims that belong to replicas of a StatefulSet,
// whether these are there now or not.
func (w *Workload) ClaimsHad(claims []string) []string {
	var names []string
	for i := range w.ClaimTemplates {
		for _, claim := range claims {
			if _, ok := ordinalAfter(claim, w.prefix(w.ClaimTemplates[i].Name)); ok {
				names = append(names, claim)
			}
		}
	}
	return names
}

// MayMount is true for a claim that its pods mount, or those of replicas that
// it had.
func (w *Workload) MayMount(claim string) bool { return w.MountedClaims().May(claim) }

// MountedClaims are what a workload mounts, without the rest of it. It has no name
// for each replica: there may be any number of those.
type MountedClaims struct {
	// named are those that the pod template names, each once.
	named []string
	// prefixes are how the names of claims begin that replicas of it have, and start
	// and replicas which of them there are.
	prefixes        []string
	start, replicas int32
}

// MountedClaims are those of the workload.
func (w *Workload) MountedClaims() *MountedClaims {
	m := &MountedClaims{named: names.Set(NamedClaims(&w.Template.Spec)), start: w.Start, replicas: w.Replicas}
	for _, t := range w.ClaimTemplates {
		m.prefixes = append(m.prefixes, w.prefix(t.Name))
	}
	return m
}

// IsAtZero is true for those of a StatefulSet without replicas, see ClaimsHad.
func (m *MountedClaims) IsAtZero() bool {
	return len(m.named) == 0 && m.replicas == 0 && len(m.prefixes) > 0
}

// Count is how many its pods mount, or would if they were there.
func (m *MountedClaims) Count() int64 {
	return int64(len(m.named)) + int64(len(m.prefixes))*int64(m.replicas)
}

// Mounts is true for a claim that its pods mount, or would if they were there.
func (m *MountedClaims) Mounts(claim string) bool {
	isOfReplica := func(prefix string) bool {
		text, is := ordinalAfter(claim, prefix)
		ordinal, err := strconv.ParseInt(text, 10, 64)
		isWritten := is && err == nil && text == strconv.FormatInt(ordinal, 10)
		return isWritten && ordinal >= int64(m.start) && ordinal < int64(m.start)+int64(m.replicas)
	}
	return slices.Contains(m.named, claim) || slices.ContainsFunc(m.prefixes, isOfReplica)
}

// May is true for a claim that its pods mount, or those of replicas that it had.
func (m *MountedClaims) May(claim string) bool {
	isReplicas := func(prefix string) bool { _, is := ordinalAfter(claim, prefix); return is }
	return slices.Contains(m.named, claim) || slices.ContainsFunc(m.prefixes, isReplicas)
}

// ClaimTemplate is the template that a claim is made from, and the ordinal of
// its replica, whether that is there now or not.
func (w *Workload) ClaimTemplate(claim string) (template *corev1.PersistentVolumeClaim, ordinal string) {
	for i := range w.ClaimTemplates {
		if ordinal, ok := ordinalAfter(claim, w.prefix(w.ClaimTemplates[i].Name)); ok {
			return &w.ClaimTemplates[i], ordinal
		}
	}
	return nil, ""
}

// SameReplica is the claim of this StatefulSet's replica that has the ordinal of
// a claim of another StatefulSet.
func (w *Workload) SameReplica(claim, other string) (name string, ok bool) {
	for _, t := range w.ClaimTemplates {
		if ordinal, ok := ordinalAfter(claim, t.Name+"-"+other+"-"); ok {
			return w.prefix(t.Name) + ordinal, true
		}
	}
	return "", false
}

// TemplateVolumes are the volumes of the pod template that mount a claim.
func (w *Workload) TemplateVolumes(claim string) []string {
	var names []string
	for _, v := range w.Template.Spec.Volumes {
		if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim {
			names = append(names, v.Name)
		}
	}
	return names
}

// ClaimAt is the claim that a volume of the pod template mounts, empty where it
// mounts none.
func (w *Workload) ClaimAt(volume string) string {
	for _, v := range w.Template.Spec.Volumes {
		if v.Name == volume && v.PersistentVolumeClaim != nil {
			return v.PersistentVolumeClaim.ClaimName
		}
	}
	return ""
}

// VolumeClaims are the claims that are named, by the names of the volumes that pods
// know them by: in their own specs, and in the workload's pod template and claim templates. w
// is nil where there is none.
func VolumeClaims(w *Workload, pods []corev1.Pod, claims []string) map[string][]string {
	found := map[string][]string{}
	add := func(volumes []corev1.Volume) {
		for _, v := range volumes {
			if v.PersistentVolumeClaim != nil {
				found[v.Name] = append(found[v.Name], v.PersistentVolumeClaim.ClaimName)
			}
		}
	}
	for i := range pods {
		add(pods[i].Spec.Volumes)
	}
	if w == nil {
		return found
	}
	add(w.Template.Spec.Volumes)
	for _, claim := range claims {
		if template, _ := w.ClaimTemplate(claim); template != nil {
			found[template.Name] = append(found[template.Name], claim)
		}
	}
	return found
}

// prefix is how the names of a claim template's claims begin
// (https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#stable-storage).
func (w *Workload) prefix(template string) string { return template + "-" + w.Ref.Name + "-" }

// ordinalAfter is the ordinal at the end of a claim's name after prefix.
func ordinalAfter(claim, prefix string) (ordinal string, ok bool) {
	ordinal, ok = strings.CutPrefix(claim, prefix)
	notDigit := func(r rune) bool { return r < '0' || r > '9' }
	return ordinal, ok && ordinal != "" && !strings.ContainsFunc(ordinal, notDigit)
}

// OwnAnnotations are annotations of a claim without those that Kubernetes binds and
// provisions by: they belong to the volume that was bound.
func OwnAnnotations(annotations map[string]string) map[string]string {
	kept := maps.Clone(annotations)
	for _, key := range []string{
		"pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller",
		"volume.kubernetes.io/selected-node", "volume.kubernetes.io/storage-provisioner",
		"volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-resizer",
	} {
		delete(kept, key)
	}
	return kept
}
