package restore

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// warnings are what the owner should know of what is proposed.
func (p *proposal) warnings() []Warning {
	var all []Warning
	for _, warn := range []func(*proposal) *Warning{warnOfReadyTimeout, warnOfOwner, warnOfShared, warnOfShape} {
		if w := warn(p); w != nil {
			all = append(all, *w)
		}
	}
	return all
}

// warnOfReadyTimeout tells where the application can't be ready in the time that
// is allowed. It gets the time that it takes at least on top of that, on the way
// back too: given up sooner, it would be stopped twice for nothing.
func warnOfReadyTimeout(p *proposal) *Warning {
	if !p.touches() {
		return nil
	}
	least, settings := p.Workload.LeastReady(p.Workload.Replicas)
	if allowed := readyTimeout(p.Restore); least == 0 || least < allowed {
		return nil
	}
	return &Warning{v1alpha1.ReasonReadyTimeoutExtended, fmt.Sprintf(
		"%s %s can't be ready within spec.readyTimeout (%s): it takes %s at least (%s). It is given that much on top",
		p.Workload.Ref.Kind, p.Workload.Ref.Name, readyTimeout(p.Restore), least, settings)}
}

// warnOfOwner tells of a controller that may not let the application be stopped.
// Many do: they leave the number of replicas alone once it is made.
func warnOfOwner(p *proposal) *Warning {
	if !p.touches() {
		return nil
	}
	owner := metav1.GetControllerOfNoCopy(&p.Workload.Meta)
	if owner == nil {
		return nil
	}
	return &Warning{v1alpha1.ReasonManagedByOther, fmt.Sprintf(
		"%s belongs to %s %s, whose controller may scale it up again while it is stopped: the restore is given up then. Pause that controller meanwhile where it does",
		named(p.Workload), owner.Kind, owner.Name)}
}

// warnOfShape tells of claims that are made without knowing how they were.
func warnOfShape(p *proposal) *Warning {
	var unknown []string
	for _, c := range p.res.Claims {
		if c.Shape.From == v1alpha1.ShapeFromSnapshot || c.Shape.From == v1alpha1.ShapeFromRepository {
			unknown = append(unknown, fmt.Sprintf("%s (ReadWriteOnce, class %s, %s)", c.ClaimName, ptr.Deref(c.Shape.StorageClassName, "none"), &c.Shape.Size))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return &Warning{v1alpha1.ReasonClaimShapeUnknown, fmt.Sprintf(
		"gone, and %s doesn't say how it was: claim %s is made like this, without labels. Make it as it was before you restore where that matters",
		p.source(), strings.Join(unknown, ", "))}
}
