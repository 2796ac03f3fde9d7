package restore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// playByTwo plays a scenario by two managers that both believe they lead. Right before
// those writes of the first, counted from 1, the second looks and does what it finds to do.
func playByTwo(t *testing.T, s scenario, looksAt func(write int) bool) (wrong string, writes int) {
	w := newWorld(t, s.kind, s.replicas)
	w.broken, w.sick = s.broken, s.sick
	w.must(w.Create(context.Background(), aRestore(s.change)))
	second, looks := w.manager(), false
	w.beforeWrite = func(string, client.Object) {
		if looks {
			return
		}
		if writes++; !looksAt(writes) {
			return
		}
		looks = true
		w.mu.Unlock() // it writes, too
		_, _ = second.Reconcile(context.Background(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: shop, Name: "r"}})
		w.mu.Lock() // an error is that somebody was faster
		looks = false
		w.tick()
	}
	first := w.manager()
	v := w.work(first, true)
	if s.undo && v != nil && v.Status.Phase == v1alpha1.RestoreCompleted {
		w.ask(v)
		v = w.work(first, true)
	}
	return w.judge(first, s, v, nil), writes
}

// Leader election keeps two managers from working at once; where it fails them a restore
// comes to the same end as with one.
func TestTwoManagersAtOnceLeaveNobodyWorseOff(t *testing.T) {
	for i, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			wrong, writes := playByTwo(t, s, func(int) bool { return true })
			if wrong != "" {
				t.Errorf("both at each write: %s", wrong)
			}
			for at := range writes {
				if wrong, _ := playByTwo(t, s, func(write int) bool { return write == at+1 }); wrong != "" {
					t.Errorf("the second before write %d: %s", at+1, wrong)
				}
			}
			for round := range uint64(4) {
				random := rand.New(rand.NewPCG(round, uint64(i)))
				if wrong, _ := playByTwo(t, s, func(int) bool { return random.IntN(3) == 0 }); wrong != "" {
					t.Error(fmt.Sprintf("the second now and then, by seed %d: ", round) + wrong)
				}
			}
		})
	}
}
