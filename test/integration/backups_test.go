package integration

import (
	"context"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// aBackup of the pod mysql.
func (fc *fakeCluster) aBackup(change ...func(*v1alpha1.VolumeBackupSpec)) *v1alpha1.VolumeBackup {
	fc.Helper()
	return fc.aBackupOf(v1alpha1.KindPod, "mysql", change...)
}

func (fc *fakeCluster) aBackupOf(kind v1alpha1.ApplicationKind, name string, change ...func(*v1alpha1.VolumeBackupSpec)) *v1alpha1.VolumeBackup {
	fc.Helper()
	b := &v1alpha1.VolumeBackup{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "backup-"},
		Spec:       v1alpha1.VolumeBackupSpec{ApplicationRef: v1alpha1.ApplicationReference{Kind: kind, Name: name}},
	}
	for _, c := range change {
		c(&b.Spec)
	}
	fc.create(b)
	return b
}

func quiesce(spec *v1alpha1.VolumeBackupSpec) *v1alpha1.QuiesceSpec {
	if spec.Quiesce == nil {
		spec.Quiesce = &v1alpha1.QuiesceSpec{}
	}
	return spec.Quiesce
}

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
