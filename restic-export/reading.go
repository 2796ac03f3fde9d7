package resticexport

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Reading is as whom a volume's files are read.
type Reading struct {
	// User is nil for one that owns nothing.
	User *int64
	// Group is nil for the one that all movers have in common.
	Group  *int64
	Groups []int64
	// FSGroup is the group that the application has its volumes made writable for,
	// nil where it has none.
	FSGroup    *int64
	Privileged bool
	// Tolerations are those of the application's pods.
	Tolerations []corev1.Toleration
}

// ID is the user that a mover is which reads and writes so.
func (as Reading) ID() int64 { return ptr.Deref(as.User, moverID) }

// ReadingAs is as whom the pods of an application read its volumes: their groups,
// and the user of the first container that names one. Root isn't taken over: what
// only root can read takes a privileged mover.
func ReadingAs(pod *corev1.PodSpec) Reading {
	as := Reading{Tolerations: slices.Clone(pod.Tolerations)}
	if c := pod.SecurityContext; c != nil {
		if as.Groups, as.FSGroup = slices.Clone(c.SupplementalGroups), c.FSGroup; c.FSGroup != nil {
			as.Groups = append(as.Groups, *c.FSGroup)
		}
		if c.RunAsGroup != nil {
			as.Groups = append(as.Groups, *c.RunAsGroup)
		}
		as.User = notRoot(c.RunAsUser)
	}
	for _, container := range pod.Containers {
		if c := container.SecurityContext; c != nil && notRoot(c.RunAsUser) != nil {
			as.User = c.RunAsUser
			break
		}
	}
	return as
}

// Of is how the movers of a repository read that say as whom they run.
func (as Reading) Of(mover *v1alpha1.MoverSpec) Reading {
	asked := mover.SecurityContext
	if asked == nil || as.Privileged {
		return as
	}
	if asked.RunAsUser != nil {
		as.User = asked.RunAsUser
	}
	as.Group, as.Groups = asked.RunAsGroup, slices.Concat(as.Groups, asked.SupplementalGroups)
	return as
}

func notRoot(user *int64) *int64 {
	if user != nil && *user == 0 {
		return nil
	}
	return user
}
