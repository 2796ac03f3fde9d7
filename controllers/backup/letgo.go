package backup

import (
	"cmp"
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/workload"
)

// letGo says what is in doubt about pods that the API has forgotten: whether a
// node uses volumes that no pod writes to, or such a pod writes beside those that
// are held. It is asked before the freeze and after the cut; pods are all of the
// namespace at that moment. A passing Problem is one that is waited for.
func (w *run) letGo(ctx context.Context, p *plan, pods []corev1.Pod) (doubt string, err error) {
	switch p.quiesce.Method {
	case v1alpha1.MethodIdle:
		return w.unmounted(ctx, p, pods)
	case v1alpha1.MethodHold:
		return w.forgotten(ctx, p, pods)
	}
	return "", nil
}

// unmounted finds evidence that the nodes have let go the volumes that no pod
// writes to. A pod that reads them is a doubt, and still no other may write.
func (w *run) unmounted(ctx context.Context, p *plan, pods []corev1.Pod) (doubt string, err error) {
	mounted := cut.StillMounted(pods, cut.ClaimNames(p.volumes))
	silent, doubt, err := w.notAttached(ctx, p, pods)
	if err != nil || doubt != "" || len(silent) == 0 {
		return cmp.Or(doubt, mounted), err
	}
	word, err := w.askNodes(ctx)
	switch {
	case err != nil:
		return "", err
	case word.Silent != "":
		return cmp.Or(mounted, cut.NobodySays(silent, word.Silent)), nil
	}
	if f := w.concerning(word.Forgotten, silent); f != nil {
		return "", v1alpha1.PassingProblemf(v1alpha1.ReasonPodNotRunning, "%s", cut.MayWrite(*f))
	}
	since := w.departures.last(w.Namespace, silent)
	if left := cut.UnmountGrace - w.Now().Sub(since); left > 0 {
		return "", v1alpha1.PassingProblemf(v1alpha1.ReasonPodNotRunning,
			"a pod may have used the volumes a moment ago, and its node may not have unmounted them yet: what it wrote last would be missing")
	}
	return mounted, nil
}

// notAttached are the claims whose drivers attach nothing, of which attachments
// therefore say nothing. That the others aren't attached is known, but for pods
// that read them; doubt says which node hasn't let one go all the same.
func (w *run) notAttached(ctx context.Context, p *plan, pods []corev1.Pod) (silent []string, doubt string, err error) {
	silent, err = w.attachedByNobody(ctx, p)
	if err != nil || len(silent) == len(p.volumes) {
		return silent, "", err
	}
	nodes, err := live.Reader{Reader: w.Live}.Nodes(ctx)
	if err != nil {
		return nil, "", err
	}
	for _, v := range p.volumes {
		reads := func(n corev1.Node) bool { return workload.IsMountedOn(n.Name, v.ClaimName, pods) }
		if node := cut.UsedBy(v.Driver, p.handles[v.ClaimName], slices.DeleteFunc(slices.Clone(nodes), reads)); node != "" {
			return silent, cut.DetachedByForce(v.VolumeName, node), nil
		}
	}
	return silent, "", nil
}

// attachedByNobody are the claims whose drivers attach nothing.
func (w *run) attachedByNobody(ctx context.Context, p *plan) (claims []string, err error) {
	drivers, err := live.Named(ctx, w.Live, "", driversOf(p.volumes), func() *storagev1.CSIDriver { return &storagev1.CSIDriver{} })
	for _, v := range p.volumes {
		if !cut.Attaches(drivers[v.Driver]) {
			claims = append(claims, v.ClaimName)
		}
	}
	return claims, err
}

func driversOf(volumes []v1alpha1.VolumeStatus) (names []string) {
	for _, v := range volumes {
		names = append(names, v.Driver)
	}
	return names
}

// forgotten finds a pod that may write beside those that are held: by the
// nodes' word, where they may be asked, and by what this manager has seen.
func (w *run) forgotten(ctx context.Context, p *plan, pods []corev1.Pod) (doubt string, err error) {
	word, err := w.askNodes(ctx)
	if err != nil {
		return "", err
	}
	held, claims := p.pods(), cut.ClaimNames(p.volumes)
	if doubt := cut.NotEnded(pods, claims); doubt != "" && word.Silent != "" {
		return doubt, nil
	}
	isHeld := func(d workload.Departure) bool { return slices.Contains(held, d.UID) }
	if f := w.concerning(slices.DeleteFunc(word.Forgotten, isHeld), claims); f != nil {
		return cut.MayWrite(*f), nil
	}
	for _, left := range w.departures.mayRun(w.Namespace, claims) {
		if isHeld(left) {
			continue
		}
		if gone, err := w.hasLetGo(ctx, left, p); err != nil || !gone {
			return cut.MayWrite(left), err
		}
	}
	return "", nil
}

// concerning is the first of the pods that may mount one of the claims, nil where
// none may.
func (w *run) concerning(forgotten []workload.Departure, claims []string) *workload.Departure {
	i := slices.IndexFunc(forgotten, func(f workload.Departure) bool { return w.departures.concerns(f.UID, claims) })
	if i < 0 {
		return nil
	}
	return &forgotten[i]
}

// hasLetGo is true where the node of a pod that left has let go each volume of
// ours that the pod mounted. Either the volume isn't attached there any more;
// or it is one that a node gives to one pod alone (ReadWriteOncePod), and a pod
// that runs there now has it.
func (w *run) hasLetGo(ctx context.Context, left workload.Departure, p *plan) (bool, error) {
	silent, err := w.attachedByNobody(ctx, p)
	if err != nil {
		return false, err
	}
	var attached storagev1.VolumeAttachmentList
	if err := w.Live.List(ctx, &attached); err != nil {
		return false, err
	}
	nodes, err := live.Reader{Reader: w.Live}.Nodes(ctx)
	if err != nil {
		return false, err
	}
	its := slices.DeleteFunc(nodes, func(n corev1.Node) bool { return n.Name != left.Node })
	for _, v := range p.volumes {
		if !slices.Contains(left.Claims, v.ClaimName) || p.exclusive[v.ClaimName] == left.Node {
			continue
		}
		if slices.Contains(silent, v.ClaimName) || cut.AttachedTo(v.VolumeName, left.Node, attached.Items) || cut.UsedBy(v.Driver, p.handles[v.ClaimName], its) != "" {
			return false, nil
		}
	}
	return true, nil
}

// askNodes asks every node what it runs, where that is allowed. A pod that is
// held may have been forgotten meanwhile, and is among the answers.
func (w *run) askNodes(ctx context.Context) (cut.Word, error) {
	may, err := w.Nodes.MayAsk(ctx)
	if err != nil {
		return cut.Word{}, err
	}
	if !may {
		return cut.Word{Silent: "Lull may not ask the nodes"}, nil
	}
	reader := live.Reader{Reader: w.Live}
	nodes, err := reader.Nodes(ctx)
	if err != nil {
		return cut.Word{}, err
	}
	running, silent := live.RunningPods(ctx, w.Nodes, nodes, w.Namespace)
	if silent != "" {
		return cut.Word{Silent: silent}, nil
	}
	known, err := reader.Pods(ctx, w.Namespace)
	if err != nil {
		return cut.Word{}, err
	}
	word := cut.Word{Forgotten: cut.Forgotten(running, known)}
	w.departures.hear(w.Namespace, word.Forgotten, w.Now())
	return word, nil
}

// stillLetGo is letGo after the cut, when nothing can be waited for any more.
func (w *run) stillLetGo(ctx context.Context, p *plan, pods []corev1.Pod) (doubt string, err error) {
	doubt, err = w.letGo(ctx, p, pods)
	if problem := reconcile.ProblemOf(err); problem != nil {
		doubt, err = problem.Message, nil
	}
	return doubt, err
}

// overdue is what was waited for, as a doubt, once it doesn't come in time. It is
// empty where it may still come, or nothing is waited for. A node that is lost
// never lets go of its volumes, and whoever has lost it wants a copy of them: it
// is Declared, with the reason, and not refused.
func overdue(err error, until, now time.Time) string {
	if p := reconcile.ProblemOf(err); p != nil && p.Passing && !now.Before(until) {
		return p.Message
	}
	return ""
}

// noteDepartures has the manager remember which pods leave the API.
func (r *Reconciler) noteDepartures(ctx context.Context, mgr ctrl.Manager) error {
	r.departures = newDepartures(r.Clock.Now())
	informer, err := mgr.GetCache().GetInformer(ctx, &corev1.Pod{})
	if err != nil {
		return err
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{DeleteFunc: func(obj any) {
		if missed, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
			obj = missed.Obj // as it was last seen
		}
		if p, ok := obj.(*corev1.Pod); ok {
			r.departures.note(workload.DepartureOf(p, r.Clock.Now()))
		}
	}})
	return err
}

// OnlyWhereabouts is the transform of a cache that keeps of a pod what tells
// which claims it mounts, where, and whether it has ended.
func OnlyWhereabouts(obj any) (any, error) {
	p, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	kept := &corev1.Pod{TypeMeta: p.TypeMeta}
	kept.Namespace, kept.Name, kept.UID, kept.ResourceVersion = p.Namespace, p.Name, p.UID, p.ResourceVersion
	kept.Spec.NodeName, kept.Status.Phase, kept.Status.Message = p.Spec.NodeName, p.Status.Phase, p.Status.Message
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim != nil || v.Ephemeral != nil {
			kept.Spec.Volumes = append(kept.Spec.Volumes, v)
		}
	}
	kept.Status.ContainerStatuses = onlyState(p.Status.ContainerStatuses)
	kept.Status.InitContainerStatuses = onlyState(p.Status.InitContainerStatuses)
	kept.Status.EphemeralContainerStatuses = onlyState(p.Status.EphemeralContainerStatuses)
	return kept, nil
}

func onlyState(all []corev1.ContainerStatus) []corev1.ContainerStatus {
	kept := make([]corev1.ContainerStatus, 0, len(all))
	for _, c := range all {
		kept = append(kept, corev1.ContainerStatus{State: c.State, ContainerID: c.ContainerID, RestartCount: c.RestartCount})
	}
	return kept
}

// exclusiveNodes are the nodes of running pods that have a claim for themselves,
// by the claims: those that the node gives to one pod alone, as it does where
// ReadWriteOncePod is a volume's only access mode (k8s.io/kubernetes,
// pkg/volume/util/operationexecutor, IsVolumeMountedElsewhere).
func exclusiveNodes(pods []corev1.Pod, held []types.UID, onePod map[string]bool) map[string]string {
	nodes := map[string]string{}
	for i := range pods {
		for _, claim := range workload.ClaimsOf(&pods[i]) {
			if onePod[claim] && slices.Contains(held, pods[i].UID) {
				nodes[claim] = pods[i].Spec.NodeName
			}
		}
	}
	return nodes
}
