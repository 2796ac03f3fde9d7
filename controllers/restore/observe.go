package restore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"golang.org/x/sync/errgroup"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/restore"
	"github.com/lull-dev/lull/snapshot/workload"
)

// observe reads what is there of a restore. It reads all at once: the
// application may be down.
//
// A list that is read past the cache waits until the API server's own cache has
// caught up with the last write to anything, up to a tenth of a second
// (consistent reads from cache, Kubernetes 1.31). Reading by name doesn't wait.
// Between the stop of an application and its start that adds up, so lists are
// read there only where something depends on them.
func (w *run) observe(ctx context.Context) (*restore.State, error) {
	state := &restore.State{Restore: w.Object, Now: w.Now(), ClaimTimeout: w.Options.ClaimTimeout, FillTimeout: w.Options.FillTimeout, Image: w.Options.Image, Resources: w.Options.MountCheckResources}
	var pods []corev1.Pod
	all, inTime := errgroup.WithContext(ctx)
	all.Go(func() (err error) { state.Claims, err = w.claims(inTime); return err })
	all.Go(func() (err error) { state.Volumes, err = w.volumes(inTime, namedVolumes(w.Object)); return err })
	all.Go(func() (err error) { state.Workload, pods, err = w.application(inTime); return err })
	if err := all.Wait(); err != nil {
		return nil, err
	}
	// After the claims: what they were bound to was made before.
	if err := w.addSources(ctx, state); err != nil {
		return nil, err
	}
	sortPods(state, pods)
	w.rememberStop(state, pods)
	if err := w.addCurrent(ctx, state); err != nil {
		return nil, err
	}
	if err := w.addBound(ctx, state); err != nil {
		return nil, err
	}
	state.Complaint, state.FailedMounts = w.complaint(ctx, state), w.failedMounts(ctx, state)
	if !state.LacksMountChecks() {
		return state, nil
	}
	return state, w.addRules(ctx, state)
}

// addSources reads the snapshots that claims are made of.
func (w *run) addSources(ctx context.Context, state *restore.State) (err error) {
	if !restore.ReadsSnapshots(w.Object) {
		return nil
	}
	var sources []string
	for _, c := range w.Object.Status.Claims {
		sources = append(sources, c.SnapshotName)
	}
	state.Snapshots, err = live.Named(ctx, w.Live, w.Object.Namespace, sources, func() *snapshotv1.VolumeSnapshot { return &snapshotv1.VolumeSnapshot{} })
	return err
}

// addRules reads what the mount check pods have to fit. The application still
// runs.
func (w *run) addRules(ctx context.Context, state *restore.State) (err error) {
	if state.Rules, err = w.live().Rules(ctx, w.Object.Namespace); err != nil {
		return err
	}
	if app := w.Object.Status.Application; state.Workload == nil && app != nil {
		state.Model, err = w.live().Workload(ctx, w.Object.Namespace, *app)
	}
	return err
}

// application reads the workload, where the restore touches one, and the pods
// of the namespace. Nobody makes pods for a workload without replicas: once it
// is seen that none is left, they aren't read again until it is scaled up.
func (w *run) application(ctx context.Context) (app *workload.Workload, pods []corev1.Pod, err error) {
	v := w.Object
	var obj workload.Object
	if v.Status.Application != nil && v.Status.Strategy != v1alpha1.StrategyClaimsOnly {
		if obj, err = w.live().WorkloadObject(ctx, v.Namespace, *v.Status.Application); err != nil {
			return nil, nil, err
		}
	}
	if app = workload.Of(obj, nil); w.isStopped(app) {
		app.Owners = append(app.Owners, w.stop.owners...)
		return app, w.stop.pods, nil
	}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() (err error) { app, err = w.live().WithSets(ctx, obj); return err })
	all.Go(func() (err error) { pods, err = w.live().Pods(ctx, v.Namespace); return err })
	err = all.Wait()
	return app, pods, err
}

// stoppedApplication is what was read when no pod of it was left.
type stoppedApplication struct {
	// restore and workload are the UIDs of both, and generation that of the
	// workload: another one may have been scaled up and down again.
	restore, workload types.UID
	generation        int64

	pods   []corev1.Pod
	owners []types.UID
	// reads are the looks since, in which it wasn't read again.
	reads int
}

// isOld is true where it isn't of the last look.
func (s *stoppedApplication) isOld() bool { return s != nil && s.reads > 0 }

// isStopped is true where the application was seen without a pod, by this
// reconcile or by an earlier one of the same workload as it is.
func (w *run) isStopped(app *workload.Workload) bool {
	if w.stop == nil && app != nil {
		seen, _ := w.stops.Load(client.ObjectKeyFromObject(w.Object))
		stop, _ := seen.(*stoppedApplication)
		if stop != nil && stop.restore == w.Object.UID && stop.workload == app.Meta.UID && stop.generation == app.Meta.Generation {
			w.stop = stop
		}
	}
	if w.stop == nil {
		return false
	}
	if app == nil || app.Replicas > 0 {
		w.forgetStop()
		return false
	}
	w.stop.reads++
	return true
}

func (w *run) rememberStop(state *restore.State, pods []corev1.Pod) {
	app := state.Workload
	if w.stop != nil || w.Object.Status.ScaledDownAt == nil || app == nil || app.Replicas > 0 || len(state.Pods)+len(state.MountChecks) > 0 {
		return
	}
	w.stop = &stoppedApplication{restore: w.Object.UID, workload: app.Meta.UID, generation: app.Meta.Generation, pods: pods, owners: app.Owners}
	if !state.IsUsedByOthers() { // who does is looked for each time: it may go
		w.stops.Store(client.ObjectKeyFromObject(w.Object), w.stop)
	}
}

func (w *run) forgetStop() {
	w.stop = nil
	w.stops.Delete(client.ObjectKeyFromObject(w.Object))
}

// sortPods finds the workload's pods and the mount check's. A pod whose
// processes have ended has its volumes still, until the kubelet lets it go; one
// that failed long ago is left behind.
func sortPods(state *restore.State, pods []corev1.Pod) {
	state.MountChecks = map[string]*corev1.Pod{}
	for i := range pods {
		p := &pods[i]
		switch {
		case state.Workload == nil || !state.Workload.Owns(p):
			state.Others = append(state.Others, *p)
		case workload.IsFinished(p) && p.DeletionTimestamp.IsZero():
			state.Finished = append(state.Finished, *p)
		default:
			state.Pods = append(state.Pods, *p)
		}
		if p.Labels[v1alpha1.LabelRestoreUID] == string(state.Restore.UID) && metav1.IsControlledBy(p, state.Restore) {
			state.MountChecks[p.Name] = p
		}
	}
}

func namedVolumes(v *v1alpha1.VolumeRestore) []string {
	var all []string
	for _, c := range v.Status.Claims {
		all = append(all, c.PreviousVolume, c.RestoredVolume, c.CurrentVolume)
	}
	return all
}

// addCurrent reads the claims that the application mounts now, where a later
// restore has put them in the place of those of one that is undone.
func (w *run) addCurrent(ctx context.Context, state *restore.State) error {
	if !restore.WayOf(w.Object).IsBack {
		return nil
	}
	var missing []string
	for i := range w.Object.Status.Claims {
		if name := state.CurrentClaim(&w.Object.Status.Claims[i]); state.Claims[name] == nil {
			missing = append(missing, name)
		}
	}
	more, err := live.Named(ctx, w.Live, w.Object.Namespace, missing, emptyClaim)
	maps.Copy(state.Claims, more)
	return err
}

// addBound reads the volumes that the claims are bound to now, where the
// status doesn't name them.
func (w *run) addBound(ctx context.Context, state *restore.State) error {
	var missing []string
	for i := range w.Object.Status.Claims {
		c := &w.Object.Status.Claims[i]
		for _, claim := range []string{c.RestoredClaim, c.TemporaryClaim, c.PreviousClaim, state.CurrentClaim(c)} {
			if bound := state.Claims[claim]; bound != nil && state.Volumes[bound.Spec.VolumeName] == nil {
				missing = append(missing, bound.Spec.VolumeName)
			}
		}
	}
	more, err := w.volumes(ctx, missing)
	if err != nil {
		return err
	}
	maps.Copy(state.Volumes, more)
	return w.addNamed(ctx, state)
}

// addNamed reads the claims that volumes name and the status doesn't: somebody
// may have given them a volume of the restore.
func (w *run) addNamed(ctx context.Context, state *restore.State) error {
	missing := slices.DeleteFunc(state.ClaimsNamed(), func(name string) bool { return state.Claims[name] != nil || w.names(name) })
	more, err := live.Named(ctx, w.Live, w.Object.Namespace, missing, emptyClaim)
	maps.Copy(state.Claims, more)
	return err
}

// names is true for a claim that the status names, which is read anyhow.
func (w *run) names(claim string) bool {
	return slices.ContainsFunc(w.Object.Status.Claims, func(c v1alpha1.RestoredClaim) bool {
		return claim == c.PreviousClaim || claim == c.RestoredClaim || claim == c.TemporaryClaim
	})
}

// fewClaims are sooner read one by one than all of their namespace.
const fewClaims = 16

// claims reads the restore's claims that are there, by name. Those of a large
// restore are found among all of the namespace.
func (w *run) claims(ctx context.Context) (map[string]*corev1.PersistentVolumeClaim, error) {
	var all []string
	for _, c := range w.Object.Status.Claims {
		all = append(all, c.PreviousClaim, c.RestoredClaim, c.TemporaryClaim)
	}
	if all = names.Set(all); len(all) > fewClaims {
		return w.live().Claims(ctx, w.Object.Namespace)
	}
	return live.Named(ctx, w.Live, w.Object.Namespace, all, emptyClaim)
}

func emptyClaim() *corev1.PersistentVolumeClaim { return &corev1.PersistentVolumeClaim{} }

// volumes reads those of the names that are there.
func (w *run) volumes(ctx context.Context, all []string) (map[string]*corev1.PersistentVolume, error) {
	return live.Named(ctx, w.Live, "", all, func() *corev1.PersistentVolume { return &corev1.PersistentVolume{} })
}

// complaint is the newest warning on a claim or a pod that the mount check waits
// for, in the words of the driver. It is for people: without it the restore goes
// on as well.
func (w *run) complaint(ctx context.Context, state *restore.State) string {
	if w.Object.Status.Step != string(restore.StepCheckMounts) || w.Is(v1alpha1.ConditionClaimsReady) {
		return ""
	}
	for _, name := range state.Unmounted() {
		if told := w.warnings(ctx, name); len(told) > 0 {
			newest := slices.MaxFunc(told, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
			return fmt.Sprintf("%s: %.512s", name, newest.Message)
		}
	}
	return ""
}

// failedMounts counts what the kubelets have told of pods that start and can't
// mount their volumes. The application is about to run without it as well.
func (w *run) failedMounts(ctx context.Context, state *restore.State) map[string]int {
	if w.Object.Status.Step != string(restore.StepAwaitReady) {
		return nil
	}
	failed := map[string]int{}
	for _, name := range state.AwaitingVolumes() {
		for _, e := range w.warnings(ctx, name) {
			if e.Reason == restore.MountFailed {
				failed[name] += int(max(e.Count, 1))
			}
		}
	}
	return failed
}

// warnings are the events of trouble with an object of the restore's namespace,
// none where they can't be read.
func (w *run) warnings(ctx context.Context, name string) []corev1.Event {
	var told corev1.EventList
	if err := w.Live.List(ctx, &told, client.InNamespace(w.Object.Namespace), client.MatchingFields{"involvedObject.name": name, "type": corev1.EventTypeWarning}); err != nil {
		return nil
	}
	return told.Items
}
