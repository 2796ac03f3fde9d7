package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// fault is what befalls a round at its moment, while the manager stands still.
type fault struct {
	name string
	// of is the only kind of scenarios that it fits, empty for all.
	of string
	// alone: it breaks what other rounds need.
	alone bool
	// outage: watches end, of everybody. It implies alone.
	outage bool
	// lasts is how long nobody can act because of it, where that is long.
	lasts time.Duration
	// mild: the scenario comes to its own end all the same.
	mild bool
	// fits says at which moments it can strike; nil at all.
	fits func(spot) bool
	// inject does it. What goes on after it is left to r.meanwhile. It returns
	// the answer that the manager gets, empty for the true one.
	inject func(ctx context.Context, r *round, m *manager) (answer string, err error)
	// weight among the random faults, 0 for those that are enumerated.
	weight int
}

func isWrite(s spot) bool { return s.What != "Exec" && (s.when == "before" || s.when == "after") }

func isWord(s spot) bool { return s.when != "before" && s.when != "after" }

var (
	killedBefore = fault{name: "manager killed before a write or a command", mild: true, inject: killed, weight: 12, fits: func(s spot) bool { return s.when == "before" }}
	killedAfter  = fault{name: "manager killed after it", mild: true, inject: killed, weight: 12, fits: func(s spot) bool { return s.when == "after" }}
	killedAtWord = fault{name: "manager killed at a word of a session", mild: true, inject: killed, weight: 12, fits: isWord}
)

// faults beside the enumerated kills.
var faults = []fault{
	killedBefore, killedAfter, killedAtWord,
	{name: "manager killed, and the next one too", inject: killedTwice, weight: 6},
	{name: "manager killed, and the next one's clock is half an hour ahead", mild: true, inject: killedAndAhead(30 * time.Minute), weight: 3},
	{name: "manager killed, and the next one's clock is half an hour behind", mild: true, inject: killedAndAhead(-30 * time.Minute), weight: 3},
	{name: "manager killed, and none until after the deadline", of: ofBackups, inject: missing, weight: 4},
	{name: "manager told to stop", mild: true, inject: terminated, weight: 6},
	{name: "manager halted past the deadline", inject: halted, weight: 4},
	{name: "manager halted, another takes over, and it comes back", inject: haltedAndReplaced, weight: 4},
	{name: "two managers at once", inject: two, weight: 4},
	{name: "a write is answered 409", mild: true, fits: isWrite, inject: answered("conflict", "before"), weight: 3},
	{name: "a write is answered 429", mild: true, fits: isWrite, inject: answered("busy", "before"), weight: 2},
	{name: "a write is answered 500", mild: true, fits: isWrite, inject: answered("internal", "before"), weight: 3},
	{name: "a write is done and its answer lost", mild: true, fits: func(s spot) bool { return isWrite(s) && s.when == "after" }, inject: answered("timeout", "after"), weight: 4},
	{name: "a session's stream breaks at a word", of: ofBackups, fits: func(s spot) bool { return s.when == "HELD" || s.when == "STILL_HELD" }, inject: answered("broken", ""), weight: 3},
	{name: "the object is labelled by somebody", mild: true, inject: labelled, weight: 3},
	{name: "the object is deleted", inject: objectDeleted, weight: 5},
	{name: "a snapshot is deleted by somebody", of: ofBackups, inject: snapshotDeleted, weight: 3},
	{name: "the application's pod is deleted", inject: podDeleted, weight: 5},
	{name: "the application's claim is deleted", of: ofBackups, inject: claimDeleted, weight: 1},
	{name: "a new claim is deleted by somebody", of: ofRestores, inject: newClaimDeleted, weight: 6},
	{name: "a previous claim is deleted by somebody", of: ofRestores, inject: previousClaimDeleted, weight: 4},
	{name: "another restore is asked for", of: ofRestores, inject: restoredAgain, weight: 5},
	{name: "it is asked to go back under way", of: ofRestores, inject: undone, weight: 5},
	{name: "the backup is deleted", of: ofRestores, inject: backupDeleted, weight: 3},
	{name: "the application is scaled by somebody", of: ofRestores, inject: scaled, weight: 3},
	{name: "the namespace is deleted", inject: namespaceDeleted, weight: 1},
	{name: "API server killed", alone: true, outage: true, inject: component("kill", "kube-apiserver"), weight: 3},
	{name: "API server away for 5 s", alone: true, outage: true, inject: away(5*time.Second, "kube-apiserver"), weight: 3},
	awayFor("a minute", time.Minute, "kube-apiserver"), awayFor("a minute", time.Minute, "etcd"), awayFor("a minute", time.Minute, "kubelet"),
	awayFor("a minute", time.Minute, "snapshot-controller"), awayFor("a minute", time.Minute, "csi-snapshotter"),
	awayFor("longer than pods are tolerated on their node", evictedAfter, "kubelet"),
	{name: "etcd killed", alone: true, outage: true, inject: component("kill", "etcd"), weight: 2},
	{name: "kubelet killed", alone: true, inject: component("kill", "kubelet"), weight: 2},
	{name: "kubelet away for 5 s", alone: true, inject: away(5*time.Second, "kubelet"), weight: 2},
	{name: "containerd killed", alone: true, inject: component("kill", "containerd"), weight: 2},
	{name: "containerd hangs for 5 s", alone: true, inject: hangs(5*time.Second, "containerd"), weight: 2},
	{name: "containerd hangs for longer than a freeze", alone: true, lasts: 30 * time.Second, inject: hangs(30*time.Second, "containerd"), weight: 1},
	{name: "snapshot-controller away for 5 s", alone: true, inject: away(5*time.Second, "snapshot-controller"), weight: 2},
	{name: "csi-snapshotter away for 5 s", alone: true, inject: away(5*time.Second, "csi-snapshotter"), weight: 2},
	{name: "csi-provisioner away for 5 s", of: ofRestores, alone: true, inject: away(5*time.Second, "csi-provisioner"), weight: 2},
	{name: "controller manager killed", of: ofRestores, alone: true, inject: component("kill", "kube-controller-manager"), weight: 2},
	{name: "CSI driver away for 5 s", alone: true, inject: away(5*time.Second, "csidriver"), weight: 2},
}

// none is no fault: how a scenario goes undisturbed.
var none = fault{name: "none", mild: true}

// killed ends the manager at once; another takes its place.
func killed(_ context.Context, r *round, m *manager) (string, error) {
	m.kill()
	return "", r.testbed.aManager(nil)
}

// killedAndAhead ends the manager; another takes its place on a machine whose clock is
// ahead.
func killedAndAhead(ahead time.Duration) func(context.Context, *round, *manager) (string, error) {
	return func(_ context.Context, r *round, m *manager) (string, error) {
		m.kill()
		return "", r.testbed.aManagerAhead(nil, ahead)
	}
}

// killedTwice ends the next manager too, at the first moment that it reaches.
func killedTwice(_ context.Context, r *round, m *manager) (string, error) {
	m.kill()
	atOnce := func(moment) bool { return true }
	return "", r.testbed.aManager(newTrap(atOnce, 1, func(next *manager, _ moment) string {
		next.kill()
		if err := r.testbed.aManager(nil); err != nil {
			r.broke("%v", err)
		}
		return ""
	}))
}

// missing ends the manager, and no other is there for longer than any freeze may
// last.
func missing(ctx context.Context, r *round, m *manager) (string, error) {
	m.kill()
	return "", errors.Join(r.run.whileHalted(ctx), r.testbed.aManager(nil))
}

// terminated tells the manager to stop, as a rollout does. It goes on meanwhile
// and lets go what it holds.
func terminated(ctx context.Context, r *round, m *manager) (string, error) {
	m.lay(nil)
	m.signal(syscall.SIGTERM)
	r.meanwhile.Go(func() {
		limit, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := m.stop(limit); err != nil {
			r.broke("%v", err)
		}
		if err := r.testbed.aManager(nil); err != nil {
			r.broke("%v", err)
		}
	})
	return "", nil
}

// halted stops the manager's clock, so to speak, for longer than any freeze may
// last. A held session goes by its own limit meanwhile, and a pair of hooks is undone
// by its watchman.
func halted(ctx context.Context, r *round, m *manager) (string, error) {
	m.signal(syscall.SIGSTOP)
	defer m.signal(syscall.SIGCONT)
	began := time.Now()
	defer func() { r.blindFor(time.Since(began)) }()
	return "", r.run.whileHalted(ctx)
}

// haltedAndReplaced is what happens where a lease was lost unnoticed.
func haltedAndReplaced(ctx context.Context, r *round, m *manager) (string, error) {
	m.signal(syscall.SIGSTOP)
	defer m.signal(syscall.SIGCONT)
	if err := r.testbed.aManager(nil); err != nil {
		return "", err
	}
	return "", r.run.whileHalted(ctx)
}

func two(_ context.Context, r *round, _ *manager) (string, error) { return "", r.testbed.aManager(nil) }

// answered answers a write itself. Before it that keeps it from being done.
func answered(answer, when string) func(context.Context, *round, *manager) (string, error) {
	return func(_ context.Context, r *round, _ *manager) (string, error) {
		if when != "" && r.at.when != when {
			return "timeout", nil
		}
		return answer, nil
	}
}

func labelled(ctx context.Context, r *round, _ *manager) (string, error) {
	all, err := r.objects(ctx)
	if err != nil {
		return "", err
	}
	for _, o := range all {
		if err := r.testbed.Merge(ctx, o, `{"metadata":{"labels":{"somebody":"was-here"}}}`); client.IgnoreNotFound(err) != nil {
			return "", err
		}
	}
	return "", nil
}

func objectDeleted(ctx context.Context, r *round, _ *manager) (string, error) {
	all, err := r.objects(ctx)
	if err != nil {
		return "", err
	}
	for _, o := range all {
		if err := r.testbed.Delete(ctx, o); client.IgnoreNotFound(err) != nil {
			return "", err
		}
	}
	return "", nil
}

func snapshotDeleted(ctx context.Context, r *round, _ *manager) (string, error) {
	snapshots, _, err := r.testbed.left(ctx)
	if err != nil || len(snapshots) == 0 {
		return "", err
	}
	r.note(&r.tampered)
	return "", client.IgnoreNotFound(r.testbed.Delete(ctx, &snapshots[0]))
}

func podDeleted(ctx context.Context, r *round, _ *manager) (string, error) {
	r.note(&r.podGone)
	for _, app := range []string{r.testbed.books.Name, r.testbed.shelf.Name} {
		if err := r.testbed.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(r.testbed.namespace), client.MatchingLabels{"app": app}, client.GracePeriodSeconds(1)); err != nil {
			return "", err
		}
	}
	return "", nil
}

// claimDeleted deletes a claim that is in use: it stays until its pod is gone,
// and the application is of no more use afterwards.
func claimDeleted(ctx context.Context, r *round, _ *manager) (string, error) {
	r.testbed.retire("its claim is deleted")
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: r.testbed.namespace, Name: "second"}}
	return "", client.IgnoreNotFound(r.testbed.Delete(ctx, claim))
}

// newClaimDeleted deletes a claim that a restore made, wherever it stands.
func newClaimDeleted(ctx context.Context, r *round, _ *manager) (string, error) {
	return r.deleteClaim(ctx, func(c *corev1.PersistentVolumeClaim) bool {
		return c.Labels[v1alpha1.LabelRestoreUID] != "" && c.Labels[v1alpha1.LabelPrevious] == ""
	})
}

// previousClaimDeleted deletes a claim that the application had before.
func previousClaimDeleted(ctx context.Context, r *round, _ *manager) (string, error) {
	return r.deleteClaim(ctx, func(c *corev1.PersistentVolumeClaim) bool {
		return c.Name != "third" && c.Name != "idle" && (c.Labels[v1alpha1.LabelRestoreUID] == "" || c.Labels[v1alpha1.LabelPrevious] != "")
	})
}

func (r *round) deleteClaim(ctx context.Context, is func(*corev1.PersistentVolumeClaim) bool) (string, error) {
	r.testbed.retire("a claim is deleted")
	r.note(&r.tampered)
	var claims corev1.PersistentVolumeClaimList
	if err := r.testbed.List(ctx, &claims, client.InNamespace(r.testbed.namespace)); err != nil {
		return "", err
	}
	for i := range claims.Items {
		if is(&claims.Items[i]) {
			return "", client.IgnoreNotFound(r.testbed.Delete(ctx, &claims.Items[i]))
		}
	}
	return "", nil
}

func restoredAgain(ctx context.Context, r *round, _ *manager) (string, error) {
	run, ok := r.run.(*restoreRun)
	if !ok {
		return "", nil
	}
	_, err := run.aRestore(ctx)
	return "", err
}

func undone(ctx context.Context, r *round, _ *manager) (string, error) {
	all, err := r.objects(ctx)
	for _, o := range all {
		err = errors.Join(err, client.IgnoreNotFound(r.testbed.Merge(ctx, o, rollBack)))
	}
	return "", err
}

func backupDeleted(ctx context.Context, r *round, _ *manager) (string, error) {
	return "", r.testbed.DeleteAllOf(ctx, &v1alpha1.VolumeBackup{}, client.InNamespace(r.testbed.namespace))
}

// scaled starts the application in the middle, as a tool does that knows how
// many replicas there should be.
func scaled(ctx context.Context, r *round, _ *manager) (string, error) {
	run, ok := r.run.(*restoreRun)
	if !ok {
		return "", nil
	}
	return "", r.testbed.Merge(ctx, run.app.Workload(), fmt.Sprintf(`{"spec":{"replicas":%d}}`, run.app.Replicas))
}

func namespaceDeleted(ctx context.Context, r *round, _ *manager) (string, error) {
	r.testbed.retire("it is deleted")
	r.note(&r.namespaceGone)
	return "", r.testbed.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: r.testbed.namespace}})
}

// component does something to a part of the cluster.
func component(do, name string) func(context.Context, *round, *manager) (string, error) {
	return func(ctx context.Context, r *round, _ *manager) (string, error) {
		r.blindFor(15 * time.Second) // until all of them have found each other again
		r.heal = append(r.heal, name)
		return "", r.testbed.control(ctx, do, name)
	}
}

// away stops a part of the cluster for a while.
func away(d time.Duration, name string) func(context.Context, *round, *manager) (string, error) {
	return forAWhile(d, name, "stop", "start")
}

// hangs has a part of the cluster stand still for a while: it takes what it is asked
// for, and does it when it goes on.
func hangs(d time.Duration, name string) func(context.Context, *round, *manager) (string, error) {
	return forAWhile(d, name, "suspend", "resume")
}

func forAWhile(d time.Duration, name, do, undo string) func(context.Context, *round, *manager) (string, error) {
	return func(ctx context.Context, r *round, _ *manager) (string, error) {
		r.blindFor(d + 15*time.Second)
		r.heal = append(r.heal, name)
		// Whole: one that was cut off would be undone by nobody.
		if err := r.testbed.control(context.WithoutCancel(ctx), do, name); err != nil {
			return "", err
		}
		r.meanwhile.Go(func() {
			over := time.NewTimer(d)
			defer over.Stop()
			select {
			case <-over.C:
			case <-ctx.Done():
			}
			if err := r.testbed.control(context.WithoutCancel(ctx), undo, name); err != nil {
				r.broke("%v", err)
			}
		})
		return "", nil
	}
}

// evictedAfter is when the pods of a node are deleted that isn't heard of: it is given
// 50 seconds before it counts as not ready, and then pods are tolerated for 300
// (kube-controller-manager's --node-monitor-grace-period, kube-apiserver's
// --default-not-ready-toleration-seconds), and some.
const evictedAfter = 6*time.Minute + 30*time.Second

// awayFor is an outage that no lease outlives.
func awayFor(words string, d time.Duration, name string) fault {
	return fault{
		name: name + " away for " + words, alone: true, outage: name == "kube-apiserver" || name == "etcd", lasts: d,
		inject: away(d, name), weight: 1,
	}
}

// watchers are the parts of the cluster that the scenarios need and that follow
// objects by watches.
var watchers = []string{"kube-controller-manager", "snapshot-controller", "csi-snapshotter", "csi-provisioner"}

// takeUp ends an outage for the rounds that follow. A watch that has failed is
// taken up again ever later, in the end after a minute (client-go), and rounds
// have outages in a row that no cluster has: who watches begins anew.
func (s *suite) takeUp(ctx context.Context) error {
	s.outage = time.Now()
	var errs []error
	for _, name := range watchers {
		errs = append(errs, s.control(ctx, "restart", name))
	}
	return errors.Join(errs...)
}

// control runs a command of test/cluster.
func (s *suite) control(ctx context.Context, words ...string) error {
	cmd := exec.CommandContext(ctx, s.faultctl, words...)
	said, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("cluster %s: %w: %s", strings.Join(words, " "), err, said)
	}
	return nil
}

// faultNamed finds a fault by the beginning of its name.
func faultNamed(name string) (fault, error) {
	i := slices.IndexFunc(faults, func(f fault) bool { return strings.HasPrefix(f.name, name) })
	if i < 0 {
		return fault{}, fmt.Errorf("there is no fault %q", name)
	}
	return faults[i], nil
}
