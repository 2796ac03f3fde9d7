package policy

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
	"github.com/lull-dev/lull/snapshot/workload"
)

// Application is one that a policy backs up.
type Application struct {
	Namespace string
	Ref       v1alpha1.ApplicationReference
}

// Compare orders applications by namespace, kind and name.
func (a Application) Compare(b Application) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Ref.Kind, b.Ref.Kind), cmp.Compare(a.Ref.Name, b.Ref.Name))
}

// Candidate is a workload or a claim that a policy may have.
type Candidate struct {
	Application
	Labels, Annotations map[string]string
	// IsOwned is true for a version of what another object makes anew with each. It
	// may have that one's annotations: a Deployment's ReplicaSets do.
	IsOwned bool
	// Mounts are the claims that it mounts, nil where that isn't known: for a policy
	// that doesn't select, and for what is gone meanwhile.
	Mounts *workload.MountedClaims
}

func (c *Candidate) isClaim() bool { return c.Ref.Kind == v1alpha1.KindPersistentVolumeClaim }

// optsOut are the annotations by which a workload or a claim says that it isn't
// backed up, where their value is "false": ours, K8up's and APPUiO's.
var optsOut = []string{v1alpha1.AnnotationBackup, "k8up.io/backup", "appuio.ch/backup"}

// IsOut is true for what says of itself that no policy takes it.
func (c *Candidate) IsOut() bool { return IsOut(c.Annotations) }

// IsOut is true for the annotations of what says so.
func IsOut(annotations map[string]string) bool {
	return slices.ContainsFunc(optsOut, func(key string) bool { return annotations[key] == "false" })
}

// isPrevious is true for a claim that a restore has replaced and keeps. It has the
// labels and annotations of the one in its place.
func (c *Candidate) isPrevious() bool { return c.isClaim() && c.Labels[v1alpha1.LabelPrevious] != "" }

// isNobodys is true for what is an application only where it is named.
func (c *Candidate) isNobodys() bool { return c.IsOut() || c.IsOwned || c.isPrevious() }

// Joins is true for what asks by its annotation to be in the policy of that name.
func (c *Candidate) Joins(policy string) bool { return slices.Contains(Joined(c.Annotations), policy) }

// Joined are the names of the policies that an annotation asks for.
func Joined(annotations map[string]string) []string {
	var all []string
	for name := range strings.SplitSeq(annotations[v1alpha1.AnnotationPolicy], ",") {
		if name = strings.TrimSpace(name); name != "" {
			all = append(all, name)
		}
	}
	return all
}

// OwnAnnotations are those of the annotations that policies read. One that is longer
// than anybody has use for isn't read.
func OwnAnnotations(annotations map[string]string) map[string]string {
	kept := map[string]string{}
	for _, key := range append([]string{v1alpha1.AnnotationPolicy, v1alpha1.AnnotationPolicies}, optsOut...) {
		if value, is := annotations[key]; is && len(value) <= limits.AnnotationBytes {
			kept[key] = value
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// MayTake is true for a workload that a policy which selects has, or may have: of
// those it matters which claims they mount.
func (p *Policy) MayTake(c *Candidate) bool {
	who := p.Spec.Applications
	if c.isClaim() || who.Selector == nil && who.ClaimSelector == nil {
		return false
	}
	selects, err := metav1.LabelSelectorAsSelector(who.Selector)
	isNamed := slices.ContainsFunc(who.Refs, func(ref v1alpha1.ApplicationReference) bool { return isRefTo(ref, c) })
	return isNamed || !c.isNobodys() && (c.Joins(p.Name) || err == nil && selects.Matches(labels.Set(c.Labels)))
}

func isRefTo(ref v1alpha1.ApplicationReference, c *Candidate) bool {
	ref.Kind = cmp.Or(ref.Kind, v1alpha1.KindDeployment)
	return ref == c.Ref
}

// hasClaims is true for what mounts a claim that may be backed up, and where that
// isn't known. out are the claims that say that they aren't.
func (c *Candidate) hasClaims(out []string) bool {
	if c.Mounts == nil || c.Mounts.IsAtZero() {
		return true
	}
	left := c.Mounts.Count()
	for _, claim := range out {
		if c.Mounts.Mounts(claim) {
			left--
		}
	}
	return left > 0
}

// claimsOut are the claims that say of themselves that they aren't backed up.
func claimsOut(there map[v1alpha1.ApplicationReference]*Candidate) []string {
	var out []string
	for ref, c := range there {
		if c.isClaim() && c.IsOut() {
			out = append(out, ref.Name)
		}
	}
	return out
}

// Select is who a policy has in one namespace: what is named, what a selector
// takes and what asks for itself, each once and in order. A selector takes nothing
// that has no claims: it is for whatever there is, and would fail at each run. Of a policy of the
// cluster only what asks for itself counts where the namespace isn't one of its,
// and a name means nothing where there is none of it. It is a Problem that a
// selector can't be read.
func (p *Policy) Select(namespace string, isSelected bool, candidates []Candidate) ([]Application, error) {
	who := p.Spec.Applications
	workloads, err := selector(who.Selector, "spec.applications.selector")
	if err != nil {
		return nil, err
	}
	claims, err := selector(who.ClaimSelector, "spec.applications.claimSelector")
	if err != nil {
		return nil, err
	}
	there := map[v1alpha1.ApplicationReference]*Candidate{}
	for i := range candidates {
		there[candidates[i].Ref] = &candidates[i]
	}
	chosen := map[v1alpha1.ApplicationReference]bool{}
	for _, ref := range who.Refs {
		ref.Kind = cmp.Or(ref.Kind, v1alpha1.KindDeployment)
		c := there[ref]
		if c == nil && !p.IsOfCluster() || c != nil && isSelected && !c.IsOut() {
			chosen[ref] = true
		}
	}
	out := claimsOut(there)
	for ref, c := range there {
		isTaken := isSelected && !c.isClaim() && workloads.Matches(labels.Set(c.Labels)) && c.hasClaims(out)
		if !c.isNobodys() && (isTaken || c.Joins(p.Name)) {
			chosen[ref] = true
		}
	}
	mounting := mountsOf(there, chosen)
	for ref, c := range there {
		if isSelected && c.isClaim() && !c.isNobodys() && claims.Matches(labels.Set(c.Labels)) && !isMounted(ref.Name, mounting) {
			chosen[ref] = true
		}
	}
	var all []Application
	for ref := range chosen {
		all = append(all, Application{Namespace: namespace, Ref: ref})
	}
	slices.SortFunc(all, Application.Compare)
	return all, nil
}

// Without are the applications that aren't among the others.
func Without(applications, others []Application) []Application {
	return slices.DeleteFunc(slices.Clone(applications), func(a Application) bool { return slices.Contains(others, a) })
}

func mountsOf(there map[v1alpha1.ApplicationReference]*Candidate, chosen map[v1alpha1.ApplicationReference]bool) []*workload.MountedClaims {
	var all []*workload.MountedClaims
	for ref := range chosen {
		if c := there[ref]; c != nil && c.Mounts != nil {
			all = append(all, c.Mounts)
		}
	}
	return all
}

// isMounted is true for a claim that a workload of the policy mounts: it is
// backed up with that.
func isMounted(claim string, by []*workload.MountedClaims) bool {
	return slices.ContainsFunc(by, func(m *workload.MountedClaims) bool { return m.May(claim) })
}

// selector selects nothing where it isn't written.
func selector(written *metav1.LabelSelector, field string) (labels.Selector, error) {
	s, err := metav1.LabelSelectorAsSelector(written)
	if err != nil {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonInvalidSelector, "%s can't be read: %v", field, err)
	}
	return s, nil
}

// SelectsNamespace is true for a namespace that a policy of the cluster selects
// in: any, where it says nothing of namespaces.
func SelectsNamespace(written *metav1.LabelSelector, ns metav1.Object) (bool, error) {
	if ns.GetAnnotations()[v1alpha1.AnnotationPolicies] == v1alpha1.PoliciesNone {
		return false, nil
	}
	if written == nil {
		return true, nil
	}
	s, err := selector(written, "spec.namespaceSelector")
	return err == nil && s.Matches(labels.Set(ns.GetLabels())), err
}
