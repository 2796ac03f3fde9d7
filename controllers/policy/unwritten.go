package policy

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/snapshot/policy"
)

// unwritten are the runs of each policy that this manager has made and that no
// status tells of yet. It is memory only, and each entry belongs to the reconcile
// of its policy.
type unwritten struct {
	mu sync.Mutex
	of map[types.UID]*policy.Unwritten
}

// take has those of a policy.
func (u *unwritten) take(uid types.UID) *policy.Unwritten {
	u.mu.Lock()
	defer u.mu.Unlock()
	if own := u.of[uid]; own != nil {
		return own
	}
	return &policy.Unwritten{}
}

// keep keeps those of a policy for its next look.
func (u *unwritten) keep(uid types.UID, own *policy.Unwritten) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of == nil {
		u.of = map[types.UID]*policy.Unwritten{}
	}
	if delete(u.of, uid); len(own.Runs) > 0 {
		u.of[uid] = own
	}
}
