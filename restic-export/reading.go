package resticexport

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Reading is as whom a volume's files are read.
type Reading struct {
	// User is nil for one that owns nothing.
	User       *int64
	Groups     []int64
	Privileged bool
}

// ReadingAs is as whom the pods of an application read its volumes: their groups,
// and the user of the first container that names one. Root isn't taken over: what
// only root can read takes a privileged mover.
func ReadingAs(pod *corev1.PodSpec) Reading {
	var as Reading
	if c := pod.SecurityContext; c != nil {
		if as.Groups = slices.Clone(c.SupplementalGroups); c.FSGroup != nil {
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

func notRoot(user *int64) *int64 {
	if user != nil && *user == 0 {
		return nil
	}
	return user
}
