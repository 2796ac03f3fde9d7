package integration

import (
	"context"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// aBackup of the pod mysql.
func (fc *fakeCluster) aBackup(change ...framework.Change) *v1alpha1.VolumeBackup {
	fc.Helper()
	return fc.aBackupOf(v1alpha1.KindPod, "mysql", change...)
}

func (fc *fakeCluster) aBackupOf(kind v1alpha1.ApplicationKind, name string, change ...framework.Change) *v1alpha1.VolumeBackup {
	fc.Helper()
	b := framework.NewBackup(fc.namespace, v1alpha1.ApplicationReference{Kind: kind, Name: name}, change...)
	fc.create(b)
	return b
}

// The words for what is special about a backup.
var (
	within, attempts   = framework.Within, framework.Attempts
	orContinue, retain = framework.OrContinue, framework.Retained
	isTrue, ended      = framework.BackupIs, framework.BackupEnded
)

// await returns the backup as soon as is says so of it.
func (fc *fakeCluster) await(b *v1alpha1.VolumeBackup, what string, is func(*v1alpha1.VolumeBackup) bool) *v1alpha1.VolumeBackup {
	fc.Helper()
	found := fc.follow(fc.ctx, b.Name, what, is)
	if found == nil {
		fc.Fatalf("%s was deleted before it was %s", b.Name, what)
	}
	return found
}

// awaitGone waits until the backup is no more.
func (fc *fakeCluster) awaitGone(b *v1alpha1.VolumeBackup) {
	fc.Helper()
	fc.follow(fc.ctx, b.Name, "gone", func(*v1alpha1.VolumeBackup) bool { return false })
}

// follow watches a backup until is says so of it. It returns nothing where the
// backup is deleted, or life ends, before.
func (fc *fakeCluster) follow(life context.Context, name, what string, is func(*v1alpha1.VolumeBackup) bool) *v1alpha1.VolumeBackup {
	fc.Helper()
	ctx, cancel := context.WithTimeout(life, patience)
	defer cancel()
	var last *v1alpha1.VolumeBackup
	for ctx.Err() == nil {
		watcher, err := admin.Watch(ctx, &v1alpha1.VolumeBackupList{}, client.InNamespace(fc.namespace), client.MatchingFields{"metadata.name": name})
		if err != nil {
			continue
		}
		// A watch begins with what is there; what is gone already never comes.
		if err := admin.Get(ctx, client.ObjectKey{Namespace: fc.namespace, Name: name}, &v1alpha1.VolumeBackup{}); apierrors.IsNotFound(err) {
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
		fc.Fatalf("%s never was %s:\n%s", name, what, describe(last))
	}
	return nil
}

func (fc *fakeCluster) awaitEnd(b *v1alpha1.VolumeBackup) *v1alpha1.VolumeBackup {
	fc.Helper()
	b = fc.await(b, "at its end", ended)
	fc.checkInvariants(b)
	return b
}

func (fc *fakeCluster) awaitComplete(b *v1alpha1.VolumeBackup, verdict v1alpha1.Consistency) *v1alpha1.VolumeBackup {
	fc.Helper()
	b = fc.awaitEnd(b)
	if !isTrue(b, v1alpha1.ConditionComplete) || b.Status.Consistency != verdict {
		fc.Fatalf("should be complete and %s:\n%s", verdict, describe(b))
	}
	return b
}

func (fc *fakeCluster) awaitFailed(b *v1alpha1.VolumeBackup, reason string, message ...string) *v1alpha1.VolumeBackup {
	fc.Helper()
	b = fc.awaitEnd(b)
	if !isTrue(b, v1alpha1.ConditionFailed) || condition(b, v1alpha1.ConditionFailed).Reason != reason {
		fc.Fatalf("should have failed by %s:\n%s", reason, describe(b))
	}
	for _, words := range message {
		if !strings.Contains(b.Status.Message, words) {
			fc.Errorf("the message should say %q:\n%s", words, b.Status.Message)
		}
	}
	return b
}

func claimsOf(b *v1alpha1.VolumeBackup) []string {
	var names []string
	for _, v := range b.Status.Volumes {
		names = append(names, v.ClaimName)
	}
	return names
}
