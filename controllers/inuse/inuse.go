package inuse

import (
	"cmp"
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/workload"
)

// Finder finds out which volumes are in use by pods that the API doesn't show. It
// may be used by many at once.
type Finder struct {
	live       client.Reader
	nodes      live.Nodes
	clock      clock.PassiveClock
	departures // which pods it has seen to leave
}

// NewFinder reads past the cache, asks the nodes where that is allowed, and
// remembers which pods leave the API from now on.
func NewFinder(ctx context.Context, from client.Reader, nodes live.Nodes, clock clock.PassiveClock, pods cache.Cache) (*Finder, error) {
	f := &Finder{live: from, nodes: nodes, clock: clock}
	f.since, f.seen = clock.Now(), map[string]time.Time{}
	return f, f.watch(ctx, pods)
}

// Question is what is asked of volumes.
type Question struct {
	Namespace string
	// Method is how the pods that use them by the API's word are quieted: Idle
	// where none writes.
	Method  v1alpha1.QuiesceMethod
	Volumes []v1alpha1.VolumeStatus
	// Handles are what the drivers call the volumes, by their claims.
	Handles map[string]string
	// OnePod are the claims of volumes that a node gives to one pod alone.
	OnePod map[string]bool
	// Pods are all of the namespace at this moment, Held those that are quieted.
	Pods []corev1.Pod
	Held []types.UID
}

// BeforeFreeze says what is in doubt about pods that the API has forgotten: whether
// a node uses volumes that no pod writes to, or such a pod writes beside those
// that are held. A passing Problem is one that may end by itself.
func (f *Finder) BeforeFreeze(ctx context.Context, q Question) (doubt string, err error) {
	if q.Method == v1alpha1.MethodIdle {
		if err := f.checkUnmounted(ctx, q); err != nil {
			return "", err
		}
	}
	return f.doubt(ctx, q)
}

// AfterCut is the same when nothing can be waited for any more.
func (f *Finder) AfterCut(ctx context.Context, q Question) (doubt string, err error) {
	doubt, err = f.doubt(ctx, q)
	if problem := reconcile.ProblemOf(err); problem != nil {
		doubt, err = problem.Message, nil
	}
	return doubt, err
}

func (f *Finder) doubt(ctx context.Context, q Question) (string, error) {
	switch q.Method {
	case v1alpha1.MethodIdle:
		return f.unmounted(ctx, q)
	case v1alpha1.MethodHold:
		return f.forgotten(ctx, q)
	}
	return "", nil
}

// checkUnmounted checks that volumes that no pod is to write to are unmounted, as
// far as the API knows.
func (f *Finder) checkUnmounted(ctx context.Context, q Question) error {
	var attached storagev1.VolumeAttachmentList
	if err := f.live.List(ctx, &attached); err != nil {
		return err
	}
	return cut.CheckUnmounted(q.Volumes, q.Pods, attached.Items, f.clock.Now())
}

// unmounted finds evidence that the nodes have let go the volumes that no pod
// writes to. A pod that reads them is a doubt, and still no other may write.
func (f *Finder) unmounted(ctx context.Context, q Question) (doubt string, err error) {
	mounted := cut.StillMounted(q.Pods, cut.ClaimNames(q.Volumes))
	silent, doubt, err := f.notAttached(ctx, q)
	if err != nil || doubt != "" || len(silent) == 0 {
		return cmp.Or(doubt, mounted), err
	}
	word, err := f.askNodes(ctx, q.Namespace)
	switch {
	case err != nil:
		return "", err
	case word.Silent != "":
		return cmp.Or(mounted, cut.NobodySays(silent, word.Silent)), nil
	}
	if pod := f.concerning(word.Forgotten, silent); pod != nil {
		return "", v1alpha1.PassingProblemf(v1alpha1.ReasonPodNotRunning, "%s", cut.MayWrite(*pod))
	}
	since := f.last(q.Namespace, silent)
	if left := cut.UnmountGrace - f.clock.Now().Sub(since); left > 0 {
		return "", v1alpha1.PassingProblemf(v1alpha1.ReasonPodNotRunning,
			"a pod may have used the volumes a moment ago, and its node may not have unmounted them yet: what it wrote last would be missing")
	}
	return mounted, nil
}

// notAttached are the claims whose drivers attach nothing, of which attachments
// therefore say nothing. That the others aren't attached is known, but for pods
// that read them; doubt says which node hasn't let one go all the same.
func (f *Finder) notAttached(ctx context.Context, q Question) (silent []string, doubt string, err error) {
	silent, err = f.attachedByNobody(ctx, q)
	if err != nil || len(silent) == len(q.Volumes) {
		return silent, "", err
	}
	nodes, err := live.Reader{Reader: f.live}.Nodes(ctx)
	if err != nil {
		return nil, "", err
	}
	for _, v := range q.Volumes {
		reads := func(n corev1.Node) bool { return workload.IsMountedOn(n.Name, v.ClaimName, q.Pods) }
		if node := cut.UsedBy(v.Driver, q.Handles[v.ClaimName], slices.DeleteFunc(slices.Clone(nodes), reads)); node != "" {
			return silent, cut.DetachedByForce(v.VolumeName, node), nil
		}
	}
	return silent, "", nil
}

// attachedByNobody are the claims whose drivers attach nothing.
func (f *Finder) attachedByNobody(ctx context.Context, q Question) (claims []string, err error) {
	drivers, err := live.Named(ctx, f.live, "", cut.DriverNames(q.Volumes), func() *storagev1.CSIDriver { return &storagev1.CSIDriver{} })
	for _, v := range q.Volumes {
		if !cut.Attaches(drivers[v.Driver]) {
			claims = append(claims, v.ClaimName)
		}
	}
	return claims, err
}

// forgotten finds a pod that may write beside those that are held: by the
// nodes' word, where they may be asked, and by what this manager has seen.
func (f *Finder) forgotten(ctx context.Context, q Question) (doubt string, err error) {
	word, err := f.askNodes(ctx, q.Namespace)
	if err != nil {
		return "", err
	}
	claims := cut.ClaimNames(q.Volumes)
	if doubt := cut.NotEnded(q.Pods, claims); doubt != "" && word.Silent != "" {
		return doubt, nil
	}
	isHeld := func(d workload.Departure) bool { return slices.Contains(q.Held, d.UID) }
	if pod := f.concerning(slices.DeleteFunc(word.Forgotten, isHeld), claims); pod != nil {
		return cut.MayWrite(*pod), nil
	}
	for _, left := range f.mayRun(q.Namespace, claims) {
		if isHeld(left) {
			continue
		}
		if gone, err := f.hasLetGo(ctx, left, q); err != nil || !gone {
			return cut.MayWrite(left), err
		}
	}
	return "", nil
}

// concerning is the first of the pods that may mount one of the claims, nil where
// none may.
func (f *Finder) concerning(forgotten []workload.Departure, claims []string) *workload.Departure {
	i := slices.IndexFunc(forgotten, func(d workload.Departure) bool { return f.concerns(d.UID, claims) })
	if i < 0 {
		return nil
	}
	return &forgotten[i]
}

// hasLetGo is true where the node of a pod that left has let go each volume of
// ours that the pod mounted. Either the volume isn't attached there any more;
// or it is one that a node gives to one pod alone (ReadWriteOncePod), and a pod
// that runs there now has it.
func (f *Finder) hasLetGo(ctx context.Context, left workload.Departure, q Question) (bool, error) {
	silent, err := f.attachedByNobody(ctx, q)
	if err != nil {
		return false, err
	}
	var attached storagev1.VolumeAttachmentList
	if err := f.live.List(ctx, &attached); err != nil {
		return false, err
	}
	nodes, err := live.Reader{Reader: f.live}.Nodes(ctx)
	if err != nil {
		return false, err
	}
	its := slices.DeleteFunc(nodes, func(n corev1.Node) bool { return n.Name != left.Node })
	exclusive := exclusiveNodes(q)
	for _, v := range q.Volumes {
		if !slices.Contains(left.Claims, v.ClaimName) || exclusive[v.ClaimName] == left.Node {
			continue
		}
		if slices.Contains(silent, v.ClaimName) || cut.AttachedTo(v.VolumeName, left.Node, attached.Items) || cut.UsedBy(v.Driver, q.Handles[v.ClaimName], its) != "" {
			return false, nil
		}
	}
	return true, nil
}

// askNodes asks every node what it runs, where that is allowed. A pod that is
// held may have been forgotten meanwhile, and is among the answers.
func (f *Finder) askNodes(ctx context.Context, namespace string) (cut.Word, error) {
	may, err := f.nodes.MayAsk(ctx)
	if err != nil {
		return cut.Word{}, err
	}
	if !may {
		return cut.Word{Silent: "Lull may not ask the nodes"}, nil
	}
	reader := live.Reader{Reader: f.live}
	nodes, err := reader.Nodes(ctx)
	if err != nil {
		return cut.Word{}, err
	}
	running, silent := live.RunningPods(ctx, f.nodes, nodes, namespace)
	if silent != "" {
		return cut.Word{Silent: silent}, nil
	}
	known, err := reader.Pods(ctx, namespace)
	if err != nil {
		return cut.Word{}, err
	}
	word := cut.Word{Forgotten: cut.Forgotten(running, known)}
	f.hear(namespace, word.Forgotten, f.clock.Now())
	return word, nil
}

// exclusiveNodes are the nodes of running pods that have a claim for themselves,
// by the claims: those that the node gives to one pod alone, as it does where
// ReadWriteOncePod is a volume's only access mode (k8s.io/kubernetes,
// pkg/volume/util/operationexecutor, IsVolumeMountedElsewhere).
func exclusiveNodes(q Question) map[string]string {
	nodes := map[string]string{}
	for i := range q.Pods {
		p := &q.Pods[i]
		for _, claim := range workload.ClaimsOf(p) {
			if q.OnePod[claim] && slices.Contains(q.Held, p.UID) {
				nodes[claim] = p.Spec.NodeName
			}
		}
	}
	return nodes
}
