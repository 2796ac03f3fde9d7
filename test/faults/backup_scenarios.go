package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// backupScenario is what people want of backups: it is to come to the same end
// wherever the manager is disturbed.
type backupScenario struct {
	name string
	// begin makes the backups that it is about.
	begin func(context.Context, *testbed) ([]*v1alpha1.VolumeBackup, error)
	// prelude happens to the manager before the round's own fault, where the
	// scenario is about what comes after it.
	prelude *prelude
	// meanwhile is what people do while the manager is at work.
	meanwhile func(context.Context, *testbed, []*v1alpha1.VolumeBackup) error
	// wants says what is wrong with its end, empty where nothing is.
	wants func([]*v1alpha1.VolumeBackup) string
	// tidy mends what the scenario broke on purpose.
	tidy func(context.Context, *testbed) error
	// slow scenarios are for the long form.
	slow bool
	// frozen is how long hooks of it may keep the application frozen, beyond
	// what the spec allows, because they are broken on purpose.
	frozen time.Duration
}

// frozenFor is how long backups may keep the application quiet, and its own
// limit in the container a little more.
const (
	frozenFor = 10 * time.Second
	ownLimit  = 13
)

// tries are more than a scenario and a fault in it use up: the end of a backup is
// not to hang on how busy the machine is.
const tries = 6

type change = framework.Change

func (tb *testbed) aBackup(ctx context.Context, changes ...change) (*v1alpha1.VolumeBackup, error) {
	b := framework.NewBackup(tb.namespace, tb.books.Ref(), append([]change{attempts(tries)}, changes...)...)
	return b, tb.Create(ctx, b)
}

// one begins a scenario with one backup.
func one(changes ...change) func(context.Context, *testbed) ([]*v1alpha1.VolumeBackup, error) {
	return func(ctx context.Context, tb *testbed) ([]*v1alpha1.VolumeBackup, error) {
		b, err := tb.aBackup(ctx, changes...)
		return []*v1alpha1.VolumeBackup{b}, err
	}
}

// onStorage begins a scenario with one backup on storage that misbehaves.
func onStorage(faults []string, changes ...change) func(context.Context, *testbed) ([]*v1alpha1.VolumeBackup, error) {
	return func(ctx context.Context, tb *testbed) ([]*v1alpha1.VolumeBackup, error) {
		class, err := tb.aClass(ctx, faults...)
		if err != nil {
			return nil, err
		}
		return one(append(slices.Clone(changes), ofClass(class))...)(ctx, tb)
	}
}

// The words for what is special about a backup.
var (
	within, attempts      = framework.Within, framework.Attempts
	ofClass, ofGroupClass = framework.OfClass, framework.OfGroupClass
	retained, orContinue  = framework.Retained, framework.OrContinue
	outliving             = framework.Outliving
	isTrue, ended         = framework.BackupIs, framework.BackupEnded
)

func of(kind v1alpha1.ApplicationKind, name string) change {
	return func(s *v1alpha1.VolumeBackupSpec) {
		s.ApplicationRef = v1alpha1.ApplicationReference{Kind: kind, Name: name}
	}
}

func heldBy(text string) change { return frozenBy(framework.Hold(text)) }

func hookedBy(pre, post string) change { return frozenBy(framework.Hooks(pre, post)) }

func frozenBy(quieted change) change {
	return func(s *v1alpha1.VolumeBackupSpec) {
		quieted(s)
		within(frozenFor)(s)
	}
}

var (
	held   = heldBy(holdScript(ownLimit))
	hooked = hookedBy(preScript, postScript)
)

var backupScenarios = []backupScenario{
	{name: "hold", begin: one(held), wants: complete(v1alpha1.Proven)},
	{name: "hooks", begin: one(hooked), wants: complete(v1alpha1.Declared)},
	{name: "claim without a pod", begin: one(of(v1alpha1.KindPersistentVolumeClaim, "idle")), wants: complete(v1alpha1.Declared)},
	{name: "retained", begin: one(held, retained), wants: complete(v1alpha1.Proven)},
	{name: "copies outlive their namespace", begin: one(held, outliving), wants: complete(v1alpha1.Proven)},
	{name: "copies outlive their namespace, group", begin: asGroup(nil, held, outliving), wants: complete(v1alpha1.Proven)},
	{name: "exported", begin: exported(held), wants: complete(v1alpha1.Proven), slow: true},
	{name: "in a repository alone", begin: exported(held, alone), wants: complete(v1alpha1.Proven), slow: true},
	{name: "deleted while it is exported", begin: exported(held), meanwhile: deleteExporting, wants: anything, slow: true},
	{name: "group", begin: asGroup(nil, held), wants: complete(v1alpha1.Proven)},
	{name: "group, retained", begin: asGroup(nil, held, retained), wants: complete(v1alpha1.Proven)},
	{name: "group, late cut", begin: asGroup([]string{"cutDelay", "5s", "times", "1"}, held, within(4*time.Second)), wants: complete(v1alpha1.Proven)},
	{name: "group, deleted while frozen", begin: asGroup([]string{"cutDelay", "2s", "times", "1"}, hooked), meanwhile: deleteFrozen, wants: anything},
	{name: "late cut, hold", begin: onStorage([]string{"cutDelay", "5s", "times", "1"}, held, within(4*time.Second)), wants: complete(v1alpha1.Proven)},
	{name: "late cut, hooks", begin: onStorage([]string{"cutDelay", "5s", "times", "1"}, hooked, within(4*time.Second)), wants: complete(v1alpha1.Declared), slow: true},
	{name: "hold that never holds", begin: one(heldBy("echo no >&2; exit 1"), attempts(1)), wants: failed(v1alpha1.ReasonQuiesceFailed)},
	{name: "hold that never holds, and on without", begin: one(heldBy("echo no >&2; exit 1"), attempts(1), orContinue), wants: completeOrFailed(v1alpha1.Crash)},
	{name: "pre-hook whose program isn't there, and on without", begin: one(hookedBy("no-such-program --freeze", postScript), attempts(1), orContinue), wants: completeOrFailed(v1alpha1.Crash)},
	{name: "copies outlive their snapshots, hold that doesn't testify", begin: ofRetainClass((*testbed).aRetainClass, ofClass, heldBy("echo HELD; cat >/dev/null"), attempts(1)),
		wants: failed(v1alpha1.ReasonQuiesceFailed)},
	{name: "copies outlive their snapshots, group", begin: ofRetainClass((*testbed).aRetainGroupClass, ofGroupClass, held), wants: complete(v1alpha1.Proven)},
	{name: "hold that doesn't end", begin: one(heldBy("echo HELD; sleep 60; echo STILL_HELD"), attempts(1)), wants: failed(v1alpha1.ReasonQuiesceFailed)},
	{name: "pre-hook that hangs", begin: one(hookedBy("sleep 60", postScript), within(2*time.Second), attempts(1)), wants: failed(v1alpha1.ReasonQuiesceFailed)},
	{name: "application that isn't there", begin: one(of(v1alpha1.KindDeployment, "nobody")), wants: failed(v1alpha1.ReasonApplicationNotFound)},
	{name: "waits for driver capacity", begin: oneAfterAnother, wants: func(all []*v1alpha1.VolumeBackup) string {
		return complete(v1alpha1.Proven)(all[:1]) + complete(v1alpha1.Crash)(all[1:])
	}},
	{name: "never ready", begin: onStorage([]string{"readyAfter", "never"}, held), wants: failed(v1alpha1.ReasonReadyTimeout)},
	{name: "snapshot deleted before it is ready", begin: onStorage([]string{"readyAfter", "never"}, held),
		meanwhile: deleteSnapshot, wants: failed(v1alpha1.ReasonSnapshotLost, v1alpha1.ReasonReadyTimeout)},
	{name: "deleted while frozen", begin: onStorage([]string{"cutDelay", "2s", "times", "1"}, hooked), meanwhile: deleteFrozen, wants: anything},
	{name: "after a crash, hold", begin: one(held), prelude: &prelude{at: whileFrozen}, wants: complete(v1alpha1.Proven)},
	{name: "after a crash, hooks", begin: one(hooked), prelude: &prelude{at: whileFrozen}, wants: complete(v1alpha1.Declared)},
	{name: "after a crash, deleted", begin: one(hooked), prelude: &prelude{at: whileFrozen}, meanwhile: deleteFrozen, wants: anything},
	{name: "two of one application, after a crash", begin: twoOfOne, prelude: &prelude{at: whileFrozen}, wants: complete(v1alpha1.Declared), slow: true},
	{name: "after an error", begin: one(held), prelude: &prelude{at: beforeFirstBackupWrite, answer: "internal"}, wants: complete(v1alpha1.Proven)},
	{name: "after a session's stream broke", begin: one(heldBy("mkdir /tmp/once 2>/dev/null && { echo HELD; exit; }; " + holdScript(ownLimit))),
		prelude: &prelude{at: afterSession, answer: "broken"}, wants: complete(v1alpha1.Proven), tidy: inBooks("rm -rf /tmp/once")},
	{name: "after a hook's stream broke", begin: one(hooked), prelude: &prelude{at: afterPreHook, answer: "broken"},
		wants: complete(v1alpha1.Declared)},
	{name: "after a watchman's stream broke", begin: one(hooked), prelude: &prelude{at: afterWatching, answer: "broken"}, wants: complete(v1alpha1.Declared), slow: true},
	{name: "after it broke before the pre-hook", begin: one(hooked), prelude: &prelude{at: atWatching, answer: "broken"}, wants: complete(v1alpha1.Declared), slow: true},
	{name: "post-hook that hangs", begin: one(hookedBy(preScript, "mkdir /tmp/hung 2>/dev/null && sleep 120; "+postScript), attempts(2)), wants: complete(v1alpha1.Declared),
		tidy: inBooks("rmdir /tmp/hung"), slow: true, frozen: 40 * time.Second},
	{name: "post-hook that hangs again", begin: one(hookedBy(preScript, "mkdir /tmp/hung 2>/dev/null && sleep 120; "+postScript), attempts(2)),
		prelude: &prelude{at: whileFrozen}, wants: complete(v1alpha1.Declared), tidy: inBooks("rmdir /tmp/hung"), slow: true, frozen: 40 * time.Second},
	{name: "post-hook that fails for ever", begin: one(hookedBy(preScript, "exit 1")), wants: failed(v1alpha1.ReasonThawFailed),
		tidy: inBooks(postScript), slow: true, frozen: 4 * time.Minute},
}

// oneAfterAnother has the driver busy with one application when another comes.
func oneAfterAnother(ctx context.Context, tb *testbed) ([]*v1alpha1.VolumeBackup, error) {
	first, err := onStorage([]string{"cutDelay", "2s", "times", "1"}, held)(ctx, tb)
	if err != nil {
		return nil, err
	}
	err = poll(ctx, endLimit, "the first is frozen", func(ctx context.Context) (string, error) {
		err := tb.Get(ctx, client.ObjectKeyFromObject(first[0]), first[0])
		return unless(frozenOrOver(first[0]), "it is %s", first[0].Status.Phase), err
	})
	if err != nil {
		return nil, err
	}
	second, err := tb.aBackup(ctx, of(tb.notes.Ref().Kind, tb.notes.Name))
	return append(first, second), err
}

// twoOfOne has two backups of the books at once: hooks of one would thaw the freeze
// of the other.
func twoOfOne(ctx context.Context, tb *testbed) ([]*v1alpha1.VolumeBackup, error) {
	first, err := tb.aBackup(ctx, hooked)
	if err != nil {
		return nil, err
	}
	second, err := tb.aBackup(ctx, hooked)
	return []*v1alpha1.VolumeBackup{first, second}, err
}

func frozenOrOver(b *v1alpha1.VolumeBackup) bool {
	return b.Status.Phase == v1alpha1.PhaseQuiescing || b.Status.Consistency != "" || ended(b)
}

func deleteFrozen(ctx context.Context, tb *testbed, all []*v1alpha1.VolumeBackup) error {
	b := all[0].DeepCopy()
	err := poll(ctx, endLimit, "it is frozen", func(ctx context.Context) (string, error) {
		err := tb.Get(ctx, client.ObjectKeyFromObject(b), b)
		if apierrors.IsNotFound(err) {
			return "", nil // the fault has deleted it
		}
		return unless(frozenOrOver(b), "it is %s", b.Status.Phase), err
	})
	if err != nil {
		return err
	}
	return client.IgnoreNotFound(tb.Delete(ctx, b))
}

// deleteSnapshot deletes a snapshot of a backup that waits for it.
func deleteSnapshot(ctx context.Context, tb *testbed, all []*v1alpha1.VolumeBackup) error {
	b := all[0].DeepCopy()
	return poll(ctx, endLimit, "a snapshot is deleted", func(ctx context.Context) (string, error) {
		if err := tb.Get(ctx, client.ObjectKeyFromObject(b), b); err != nil {
			return "", err
		}
		if ended(b) {
			return "", nil
		}
		if b.Status.Consistency == "" {
			return "it isn't cut", nil
		}
		snapshots, _, err := tb.left(ctx)
		for i := range snapshots {
			if snapshots[i].Name == b.Status.Volumes[0].SnapshotName {
				return "", tb.Delete(ctx, &snapshots[i])
			}
		}
		return "it isn't there", err
	})
}

// inBooks runs a line in the books' pod.
func inBooks(line string) func(context.Context, *testbed) error {
	return func(ctx context.Context, tb *testbed) error {
		return poll(ctx, endLimit, "the books are mended", func(ctx context.Context) (string, error) {
			pods, err := tb.ReadyPods(ctx, tb.books)
			if err != nil {
				return "", err
			}
			_, err = tb.Sh(ctx, &pods[0], line)
			return "", err
		})
	}
}

func reason(b *v1alpha1.VolumeBackup) string {
	return ptr.Deref(meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionFailed), metav1.Condition{}).Reason
}

// complete wants all to be complete, with a verdict.
func complete(verdict v1alpha1.Consistency) func([]*v1alpha1.VolumeBackup) string {
	return func(all []*v1alpha1.VolumeBackup) string {
		var wrong []string
		for _, b := range all {
			if !isTrue(b, v1alpha1.ConditionComplete) || b.Status.Consistency != verdict {
				wrong = append(wrong, fmt.Sprintf("%s is %s %s and should be Completed %s: %s", b.Name, b.Status.Phase, b.Status.Consistency, verdict, b.Status.Message))
			}
		}
		return strings.Join(wrong, "; ")
	}
}

// failed wants all to have failed, for one of the reasons.
func failed(reasons ...string) func([]*v1alpha1.VolumeBackup) string {
	return func(all []*v1alpha1.VolumeBackup) string {
		var wrong []string
		for _, b := range all {
			if !isTrue(b, v1alpha1.ConditionFailed) || !slices.Contains(reasons, reason(b)) {
				wrong = append(wrong, fmt.Sprintf("%s is %s and should have failed for %v: %s", b.Name, b.Status.Phase, reasons, b.Status.Message))
			}
		}
		return strings.Join(wrong, "; ")
	}
}

// completeOrFailed is for a scenario whose attempts are used up by one more
// disturbance.
func completeOrFailed(verdict v1alpha1.Consistency) func([]*v1alpha1.VolumeBackup) string {
	return func(all []*v1alpha1.VolumeBackup) string {
		if failed(v1alpha1.ReasonQuiesceFailed)(all) == "" {
			return ""
		}
		return complete(verdict)(all)
	}
}

func anything([]*v1alpha1.VolumeBackup) string { return "" }
