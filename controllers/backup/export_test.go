package backup

import (
	"context"
	"strings"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
)

// place is a fake API server with the repository offsite, in which one may work at a
// time.
type place struct {
	client.Client
	t     *testing.T
	clock *clocktesting.FakeClock
	// written is told of each write of a backup's status.
	written func(*v1alpha1.VolumeBackup)
}

func aPlace(t *testing.T) *place {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, snapshotv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	p := &place{t: t, clock: clocktesting.NewFakeClock(noon), written: func(*v1alpha1.VolumeBackup) {}}
	offsite := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "offsite", UID: "offsite"}}
	offsite.Spec.Concurrency, offsite.Spec.Backend.Volume = 1, &v1alpha1.VolumeBackend{ClaimName: "disk"}
	meta.SetStatusCondition(&offsite.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonOpened})
	p.Client = fake.NewClientBuilder().WithScheme(scheme).
		WithStatusSubresource(&v1alpha1.VolumeBackup{}).
		WithIndex(&corev1.Event{}, "involvedObject.name", func(o client.Object) []string { return []string{o.(*corev1.Event).InvolvedObject.Name} }).
		WithIndex(&corev1.Event{}, "type", func(o client.Object) []string { return []string{o.(*corev1.Event).Type} }).
		WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			err := c.SubResource(sub).Patch(ctx, obj, patch, opts...)
			if b, is := obj.(*v1alpha1.VolumeBackup); is && err == nil {
				p.written(b)
			}
			return err
		}}).
		WithObjects(offsite).Build()
	return p
}

// aCut is a backup whose snapshots are ready, and which is to be exported.
func (p *place) aCut(name string, change ...func(*v1alpha1.VolumeBackup)) *v1alpha1.VolumeBackup {
	p.t.Helper()
	b := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)}}
	b.Spec.ApplicationRef = v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: name}
	b.Spec.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: "offsite"}}
	b.Status.Consistency, b.Status.Quiesce = v1alpha1.Crash, &v1alpha1.QuiesceStatus{Method: v1alpha1.MethodNone, CutAt: microTime(noon)}
	b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionSnapshotsReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAllReady, LastTransitionTime: metav1.NewTime(noon)}}
	b.Status.Volumes = []v1alpha1.VolumeStatus{{ClaimName: "data", SnapshotName: name + "-data", ReadyToUse: true}}
	for _, c := range change {
		c(b)
	}
	p.must(p.Create(p.t.Context(), b))
	for _, v := range b.Status.Volumes {
		p.must(p.Create(p.t.Context(), &snapshotv1.VolumeSnapshot{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: v.SnapshotName, UID: types.UID(v.SnapshotName), Labels: map[string]string{v1alpha1.LabelBackupUID: string(b.UID)}},
			Status:     &snapshotv1.VolumeSnapshotStatus{ReadyToUse: new(v.ReadyToUse)},
		}))
	}
	return b
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// exports has a manager that has just started bring a backup's exports on.
func (p *place) exports(b *v1alpha1.VolumeBackup) *v1alpha1.VolumeBackup {
	p.t.Helper()
	p.must(p.look(p, b))
	var now v1alpha1.VolumeBackup
	p.must(p.Get(p.t.Context(), client.ObjectKeyFromObject(b), &now))
	return &now
}

// look is one look of a manager at a backup, whose writes go through a client.
func (p *place) look(writes client.Client, b *v1alpha1.VolumeBackup) error {
	r := &Reconciler{Client: writes, Live: writes, Movers: &mover.Movers{Writes: writes, Live: writes}, Options: DefaultOptions()}
	loop := &reconcile.Loop[*v1alpha1.VolumeBackup]{
		Client: writes, Live: writes, Events: events.NewFakeRecorder(100), Clock: p.clock,
		New:    func() *v1alpha1.VolumeBackup { return &v1alpha1.VolumeBackup{} },
		AtRest: func(context.Context, *v1alpha1.VolumeBackup) bool { return false },
		Steps: func(on *reconcile.Scope[*v1alpha1.VolumeBackup]) []reconcile.Step {
			w := &run{VolumeBackup: on.Object, Scope: on, Reconciler: r}
			return []reconcile.Step{{Name: "Verify", Take: w.verify}, {Name: "Export", Take: w.export}}
		},
		Stalled: r.stalled, Summarize: summarize,
	}
	_, err := loop.Reconcile(p.t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(b)})
	return err
}

// moverOf is the Job of a backup's mover, nil where there is none.
func (p *place) moverOf(b *v1alpha1.VolumeBackup) *batchv1.Job {
	p.t.Helper()
	var all batchv1.JobList
	p.must(p.List(p.t.Context(), &all))
	for i := range all.Items {
		if metav1.IsControlledBy(&all.Items[i], b) {
			return &all.Items[i]
		}
	}
	return nil
}

// begins has the mover of a backup have been made now. Its clone waits for a volume.
func (p *place) begins(b *v1alpha1.VolumeBackup) *batchv1.Job {
	p.t.Helper()
	p.exports(b)
	job := p.moverOf(b)
	if job == nil {
		p.t.Fatalf("the mover of %s isn't there", b.Name)
	}
	job.CreationTimestamp = metav1.NewTime(p.clock.Now())
	p.must(p.Update(p.t.Context(), job))
	return job
}

func (p *place) clones() (all []corev1.PersistentVolumeClaim) {
	p.t.Helper()
	var claims corev1.PersistentVolumeClaimList
	p.must(p.List(p.t.Context(), &claims))
	return claims.Items
}

// The place of one whose clone gets no volume is what everybody else waits for.
func TestAnExportThatCannotStartGivesItsPlaceToOthers(t *testing.T) {
	p := aPlace(t)
	stuck, other := p.aCut("stuck"), p.aCut("other")
	first := p.begins(stuck)
	clone := p.clones()[0]
	clone.Status.Phase = corev1.ClaimPending
	p.must(p.Status().Update(t.Context(), &clone))
	p.must(p.Create(t.Context(), &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "shop", Name: "told"},
		InvolvedObject: corev1.ObjectReference{Name: clone.Name}, Type: corev1.EventTypeWarning, Message: "no room in the pool",
	}))
	p.clock.Step(10 * time.Minute)
	if p.exports(stuck); p.moverOf(stuck) == nil {
		t.Fatal("it has ten minutes to start")
	}
	if p.exports(other); p.moverOf(other) != nil {
		t.Fatal("two work at once")
	}
	p.clock.Step(time.Second)
	now := p.exports(stuck)
	if p.moverOf(stuck) != nil || len(p.clones()) != 1 {
		t.Fatalf("it keeps its place, or not its clone: %+v", p.clones())
	}
	if says := "NotStarted: its mover has not started, and others have its place now: claim " + clone.Name + " gets no volume: no room in the pool"; !strings.Contains(now.Status.Message, says) {
		t.Errorf("%q doesn't say %q", now.Status.Message, says)
	}
	if now = p.exports(stuck); !strings.Contains(now.Status.Message, "tries again at 12:20:01 UTC after NotStarted: ") {
		t.Errorf("then it says %q", now.Status.Message)
	}
	job := p.begins(other)
	p.clock.Step(10 * time.Minute)
	if now = p.exports(stuck); p.moverOf(stuck) != nil || !strings.Contains(now.Status.Message, "waits for its turn") {
		t.Errorf("it doesn't come after the other: %q", now.Status.Message)
	}
	p.must(p.Delete(t.Context(), job))
	second := p.begins(stuck)
	if second.Name == first.Name {
		t.Error("its next attempt has the Job of the first")
	}
	p.clock.Step(20 * time.Minute)
	if p.exports(stuck); p.moverOf(stuck) == nil {
		t.Fatal("the second time it has twenty minutes to start")
	}
	p.clock.Step(time.Second)
	p.exports(stuck)
	if now = p.exports(stuck); now.Status.Volumes[0].Export.NotStarted != 2 || !strings.Contains(now.Status.Message, "tries again at 13:00:02") {
		t.Errorf("ever later: %q, %+v", now.Status.Message, now.Status.Volumes[0].Export)
	}
	p.must(p.Get(t.Context(), client.ObjectKeyFromObject(&clone), &clone))
	clone.UID = "of-the-clone"
	p.must(p.Update(t.Context(), &clone))
	clone.Status.Phase = corev1.ClaimBound
	p.must(p.Status().Update(t.Context(), &clone))
	if now = p.exports(stuck); !strings.Contains(now.Status.Message, "tries again at 12:40:22") {
		t.Errorf("its clone has a volume now, and it still waits: %q", now.Status.Message)
	}
	p.clock.Step(20 * time.Second)
	if p.exports(stuck); p.moverOf(stuck) == nil {
		t.Error("soon after its clone has a volume it begins")
	}
}

func kept(b *v1alpha1.VolumeBackup) {
	b.Annotations = map[string]string{v1alpha1.AnnotationKeep: "true"}
}

// exportedAlone is in the repository already, and is to be there alone.
func exportedAlone(b *v1alpha1.VolumeBackup) {
	b.Spec.Export.KeepSnapshot = new(bool)
	b.Status.Volumes = append(b.Status.Volumes, v1alpha1.VolumeStatus{ClaimName: "logs", SnapshotName: b.Name + "-logs", ReadyToUse: true})
	for i := range b.Status.Volumes {
		b.Status.Volumes[i].Export = &v1alpha1.ExportStatus{SnapshotID: strings.Repeat("a", 64)}
	}
}

// What a person writes just before the snapshots would go is heeded.
func TestSnapshotsThatAPersonKeepsStayThoughTheyAreExported(t *testing.T) {
	keeps := func(p *place, name string) {
		b := &v1alpha1.VolumeBackup{}
		p.must(p.Get(p.t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, b))
		kept(b)
		p.must(p.Update(p.t.Context(), b))
	}
	for name, c := range map[string]struct {
		before func(*v1alpha1.VolumeBackup)
		// once the backup is marked to be in the repository alone.
		once func(p *place)
		left int
		step cut.Step
	}{
		"nobody wants them":         {before: func(*v1alpha1.VolumeBackup) {}, step: cut.StepEnd},
		"kept before":               {before: kept, left: 2, step: cut.StepEnd},
		"kept just before they go":  {before: func(*v1alpha1.VolumeBackup) {}, once: func(p *place) { keeps(p, "b") }, left: 2, step: cut.StepAwaitReady},
		"kept when one isn't ready": {before: func(b *v1alpha1.VolumeBackup) { b.Status.Volumes[1].ReadyToUse = false }, once: func(p *place) { keeps(p, "b") }, step: cut.StepEnd},
		"kept when one has gone":    {before: func(*v1alpha1.VolumeBackup) {}, once: func(p *place) { keeps(p, "b"); p.goes("b-logs") }, step: cut.StepEnd},
		"restored from, by another": {before: func(*v1alpha1.VolumeBackup) {}, once: func(p *place) { p.restores("b") }, left: 2, step: cut.StepExport},
	} {
		p := aPlace(t)
		b := p.aCut("b", exportedAlone, c.before)
		p.written = func(now *v1alpha1.VolumeBackup) {
			if cut.IsOnlyExported(now) && c.once != nil {
				c.once(p)
				c.once = nil
			}
		}
		now := p.exports(b)
		for range 2 { // what has gone is seen to have gone
			if cut.Next(now, v1alpha1.OnFailureFail) == cut.StepExport {
				now = p.exports(b)
			}
		}
		var left snapshotv1.VolumeSnapshotList
		p.must(p.List(t.Context(), &left))
		if step := cut.Next(now, v1alpha1.OnFailureFail); len(left.Items) != c.left || step != c.step {
			t.Errorf("%s: %d are left, then comes %s: %+v", name, len(left.Items), step, now.Status.Conditions)
		}
	}
}

func (p *place) goes(snapshot string) {
	p.t.Helper()
	p.must(p.Delete(p.t.Context(), &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: snapshot}}))
}

func (p *place) restores(backup string) {
	p.t.Helper()
	v := &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "restore"}}
	v.Spec.Source.VolumeBackupRef = &v1alpha1.LocalReference{Name: backup}
	p.must(p.Create(p.t.Context(), v))
}
