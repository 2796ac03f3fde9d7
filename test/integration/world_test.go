package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// patience is how long a condition may take to come true. No test is slower
// for it: it only ends one that would never end.
const patience = 90 * time.Second

// world is a namespace with an application, its storage, and what was seen.
type world struct {
	*testing.T
	ctx       context.Context
	namespace string
	driver    string
	storage   *storage
	journal   journal
	// marks is the folder where a hook leaves a mark while it holds.
	marks    string
	managers []*manager
}

// aWorld is an empty namespace with a driver and a snapshot class of its own.
// Its test runs beside others.
func aWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return aWorldAlone(t)
}

func aWorldAlone(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{T: t, ctx: ctx, marks: t.TempDir()}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	w.create(ns)
	w.namespace, w.driver = ns.Name, ns.Name+".csi.test"
	w.class(w.namespace+"-class", w.driver, false)
	w.storage = playStorage(w)
	t.Cleanup(func() {
		for _, m := range w.managers {
			m.stop()
		}
		cancel()
		w.storage.all.Wait()
		if t.Failed() {
			t.Logf("what happened:\n  %s", strings.Join(w.journal.entries(), "\n  "))
		}
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) create(obj client.Object) {
	w.Helper()
	if obj.GetNamespace() == "" {
		obj.SetNamespace(w.namespace)
	}
	switch obj.(type) {
	case *corev1.Namespace, *corev1.PersistentVolume, *snapshotv1.VolumeSnapshotClass:
		obj.SetNamespace("")
	}
	w.must(admin.Create(w.ctx, obj))
}

func (w *world) delete(obj client.Object) {
	w.Helper()
	w.must(client.IgnoreNotFound(admin.Delete(w.ctx, obj, client.GracePeriodSeconds(0))))
}

func (w *world) class(name, driver string, isDefault bool) {
	w.Helper()
	class := &snapshotv1.VolumeSnapshotClass{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Driver: driver, DeletionPolicy: snapshotv1.VolumeSnapshotContentDelete,
	}
	if isDefault {
		class.Annotations = map[string]string{"snapshot.storage.kubernetes.io/is-default-class": "true"}
	}
	w.create(class)
}

// claims are bound to volumes of the world's driver.
func (w *world) claims(names ...string) {
	w.Helper()
	for _, name := range names {
		w.boundClaim(name, corev1.PersistentVolumeSource{
			CSI: &corev1.CSIPersistentVolumeSource{Driver: w.driver, VolumeHandle: w.namespace + "-" + name},
		})
	}
}

func (w *world) boundClaim(name string, source corev1.PersistentVolumeSource) {
	w.Helper()
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace + "-" + name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, PersistentVolumeSource: source,
		},
	}
	w.create(pv)
	pvc := w.newClaim(name)
	pvc.Spec.VolumeName = pv.Name
	w.create(pvc)
	pvc.Status.Phase = corev1.ClaimBound
	w.must(admin.Status().Update(w.ctx, pvc))
}

func (w *world) patchClaim(name string, change func(*corev1.PersistentVolumeClaim)) {
	w.Helper()
	claim := &corev1.PersistentVolumeClaim{}
	w.must(admin.Get(w.ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, claim))
	change(claim)
	w.must(admin.Update(w.ctx, claim))
}

// touch makes a file that hooks find beside their marks.
func (w *world) touch(name string) {
	w.Helper()
	w.must(os.WriteFile(filepath.Join(w.marks, "..", name), nil, 0o600))
}

func (w *world) newClaim(name string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		},
	}
}

// template is a pod of one container, db, that mounts the claims.
func template(claims ...string) corev1.PodTemplateSpec {
	db := corev1.Container{Name: "db", Image: "db"}
	spec := corev1.PodSpec{}
	for _, claim := range claims {
		db.VolumeMounts = append(db.VolumeMounts, corev1.VolumeMount{Name: claim, MountPath: "/" + claim})
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}})
	}
	spec.Containers = []corev1.Container{db}
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "db"}}, Spec: spec}
}

// runs starts a pod of the template, for an owner or for itself.
func (w *world) runs(name string, of corev1.PodTemplateSpec, owner client.Object) *corev1.Pod {
	w.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: of.Annotations}, Spec: *of.Spec.DeepCopy()}
	pod.Spec.NodeName = "node"
	if owner != nil {
		w.owns(owner, pod)
	}
	w.create(pod)
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	for _, c := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		})
	}
	w.must(admin.Status().Update(w.ctx, pod))
	return pod
}

func (w *world) owns(owner, owned client.Object) {
	w.Helper()
	gvk, err := admin.GroupVersionKindFor(owner)
	w.must(err)
	owned.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(owner, gvk)})
}

// anApplication is a bare pod named mysql with the claims, which exist.
func (w *world) anApplication(claims ...string) *corev1.Pod {
	w.Helper()
	w.claims(claims...)
	return w.runs("mysql", template(claims...), nil)
}

// aBackup of the pod mysql.
func (w *world) aBackup(change ...func(*v1alpha1.VolumeBackupSpec)) *v1alpha1.VolumeBackup {
	w.Helper()
	return w.aBackupOf(v1alpha1.KindPod, "mysql", change...)
}

func (w *world) aBackupOf(kind v1alpha1.ApplicationKind, name string, change ...func(*v1alpha1.VolumeBackupSpec)) *v1alpha1.VolumeBackup {
	w.Helper()
	b := &v1alpha1.VolumeBackup{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "backup-"},
		Spec:       v1alpha1.VolumeBackupSpec{ApplicationRef: v1alpha1.ApplicationReference{Kind: kind, Name: name}},
	}
	for _, c := range change {
		c(&b.Spec)
	}
	w.create(b)
	return b
}

// held quiets by a command that keeps a mark for as long as it holds.
func (w *world) held(spec *v1alpha1.VolumeBackupSpec) { w.heldBy(holds)(spec) }

// The scripts of holds. $mark is the file that stands while it holds.
const (
	holds         = `: >"$mark"; echo HELD; if timeout 60 cat >/dev/null && [ -e "$mark" ]; then echo STILL_HELD; fi; rm -f "$mark"`
	neverHolds    = `echo "the lock is taken" >&2; exit 1`
	losesTheLock  = `: >"$mark"; echo HELD; timeout 60 cat >/dev/null; rm -f "$mark"`
	endsTooEarly  = `: >"$mark"; echo HELD; rm -f "$mark"`
	freezesSilent = `: >"$mark"; timeout 60 cat >/dev/null; rm -f "$mark"`
)

// heldBy quiets by a script.
func (w *world) heldBy(script string) func(*v1alpha1.VolumeBackupSpec) {
	return func(spec *v1alpha1.VolumeBackupSpec) {
		quiesce(spec).Hold = &v1alpha1.HookCommand{Command: w.command(`trap '' PIPE HUP; mark="$marks/$POD.$$"; ` + script)}
	}
}

// hooked quiets by a pair of hooks, the first of which leaves a mark that the
// second removes.
func (w *world) hooked(spec *v1alpha1.VolumeBackupSpec) {
	w.hookedBy(`echo $$ >"$mark"`, `rm -f "$mark"`)(spec)
}

func (w *world) hookedBy(pre, post string) func(*v1alpha1.VolumeBackupSpec) {
	return func(spec *v1alpha1.VolumeBackupSpec) {
		q := quiesce(spec)
		q.Pre = &v1alpha1.HookCommand{Command: w.command(`: pre; mark="$marks/$POD.hooks"; ` + pre)}
		q.Post = &v1alpha1.HookCommand{Command: w.command(`: post; mark="$marks/$POD.hooks"; ` + post)}
	}
}

func (w *world) command(script string) []string {
	return []string{"/bin/sh", "-c", fmt.Sprintf("marks=%q; %s", w.marks, script)}
}

func quiesce(spec *v1alpha1.VolumeBackupSpec) *v1alpha1.QuiesceSpec {
	if spec.Quiesce == nil {
		spec.Quiesce = &v1alpha1.QuiesceSpec{}
	}
	return spec.Quiesce
}

// soon is a timeout that a test waits for: far more than a busy machine takes
// from an intent to its first command, as an attempt that begins too late is
// given up before it freezes anything.
const soon = 8 * time.Second

func within(d time.Duration) func(*v1alpha1.VolumeBackupSpec) {
	return func(spec *v1alpha1.VolumeBackupSpec) { quiesce(spec).Timeout = &metav1.Duration{Duration: d} }
}

func attempts(n int32) func(*v1alpha1.VolumeBackupSpec) {
	return func(spec *v1alpha1.VolumeBackupSpec) { spec.Attempts = n }
}

func orContinue(spec *v1alpha1.VolumeBackupSpec) {
	quiesce(spec).OnFailure = v1alpha1.OnFailureContinue
}

func retain(spec *v1alpha1.VolumeBackupSpec) { spec.DeletionPolicy = v1alpha1.DeletionRetain }

// frozen are the marks that stand now, each with the process that left it. A
// hold's mark carries its process in its name, and ends with that.
func (w *world) frozen() []string {
	files, err := filepath.Glob(filepath.Join(w.marks, "*"))
	if err != nil {
		panic(err)
	}
	var marks []string
	for _, file := range files {
		if holder := strings.TrimPrefix(filepath.Ext(file), "."); holder != "hooks" && !lives(holder) {
			continue
		}
		if text, err := os.ReadFile(file); err == nil {
			marks = append(marks, filepath.Base(file)+" "+strings.TrimSpace(string(text)))
		}
	}
	return marks
}

// lives is true for a process of this machine that has not ended.
func lives(id string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", id, "stat"))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

// eventually waits for what no watch tells.
func (w *world) eventually(what string, holds func() bool) {
	w.Helper()
	deadline := time.After(patience)
	for tick := time.NewTicker(50 * time.Millisecond); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			w.Fatalf("never came true: %s", what)
		}
	}
}

// await returns the backup as soon as is says so of it.
func (w *world) await(b *v1alpha1.VolumeBackup, what string, is func(*v1alpha1.VolumeBackup) bool) *v1alpha1.VolumeBackup {
	w.Helper()
	found := w.follow(w.ctx, b.Name, what, is)
	if found == nil {
		w.Fatalf("%s was deleted before it was %s", b.Name, what)
	}
	return found
}

// awaitGone waits until the backup is no more.
func (w *world) awaitGone(b *v1alpha1.VolumeBackup) {
	w.Helper()
	w.follow(w.ctx, b.Name, "gone", func(*v1alpha1.VolumeBackup) bool { return false })
}

// follow watches a backup until is says so of it. It returns nothing where the
// backup is deleted, or life ends, before.
func (w *world) follow(life context.Context, name, what string, is func(*v1alpha1.VolumeBackup) bool) *v1alpha1.VolumeBackup {
	w.Helper()
	ctx, cancel := context.WithTimeout(life, patience)
	defer cancel()
	var last *v1alpha1.VolumeBackup
	for ctx.Err() == nil {
		watcher, err := admin.Watch(ctx, &v1alpha1.VolumeBackupList{}, client.InNamespace(w.namespace), client.MatchingFields{"metadata.name": name})
		if err != nil {
			continue
		}
		// A watch begins with what is there; what is gone already never comes.
		if err := admin.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, &v1alpha1.VolumeBackup{}); apierrors.IsNotFound(err) {
			watcher.Stop()
			return nil
		}
		for e := range watcher.ResultChan() {
			b, ok := e.Object.(*v1alpha1.VolumeBackup)
			if ok && e.Type != watch.Deleted {
				last = b
			}
			if ok && (e.Type == watch.Deleted || is(b)) {
				watcher.Stop()
				if e.Type == watch.Deleted {
					return nil
				}
				return b
			}
		}
	}
	if life.Err() == nil {
		w.Fatalf("%s never was %s:\n%s", name, what, describe(last))
	}
	return nil
}

func (w *world) awaitEnd(b *v1alpha1.VolumeBackup) *v1alpha1.VolumeBackup {
	w.Helper()
	b = w.await(b, "at its end", ended)
	w.checkInvariants(b)
	return b
}

func (w *world) awaitComplete(b *v1alpha1.VolumeBackup, verdict v1alpha1.Consistency) *v1alpha1.VolumeBackup {
	w.Helper()
	b = w.awaitEnd(b)
	if !isTrue(b, v1alpha1.ConditionComplete) || b.Status.Consistency != verdict {
		w.Fatalf("should be complete and %s:\n%s", verdict, describe(b))
	}
	return b
}

func (w *world) awaitFailed(b *v1alpha1.VolumeBackup, reason string, message ...string) *v1alpha1.VolumeBackup {
	w.Helper()
	b = w.awaitEnd(b)
	if !isTrue(b, v1alpha1.ConditionFailed) || condition(b, v1alpha1.ConditionFailed).Reason != reason {
		w.Fatalf("should have failed by %s:\n%s", reason, describe(b))
	}
	for _, words := range message {
		if !strings.Contains(b.Status.Message, words) {
			w.Errorf("the message should say %q:\n%s", words, b.Status.Message)
		}
	}
	return b
}

// snapshots are those that exist in the namespace.
func (w *world) snapshots() []snapshotv1.VolumeSnapshot {
	w.Helper()
	var list snapshotv1.VolumeSnapshotList
	w.must(admin.List(w.ctx, &list, client.InNamespace(w.namespace)))
	return list.Items
}

func (w *world) noCommandRan() {
	w.Helper()
	for _, entry := range w.journal.entries() {
		if strings.HasPrefix(entry, "run ") {
			w.Errorf("a command was run: %s", entry)
		}
	}
}

func (w *world) noSnapshotWasMade() {
	w.Helper()
	if made := w.storage.made(); len(made) > 0 {
		w.Errorf("snapshots were made: %v", made)
	}
}

// journal is what happened, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) entries() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

// positions of the entries that begin so.
func (j *journal) positions(prefix string) []int {
	var at []int
	for i, line := range j.entries() {
		if strings.HasPrefix(line, prefix) {
			at = append(at, i)
		}
	}
	return at
}

func claimsOf(b *v1alpha1.VolumeBackup) []string {
	var names []string
	for _, v := range b.Status.Volumes {
		names = append(names, v.ClaimName)
	}
	return names
}
