package integration

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

func keyOf(obj client.Object) client.ObjectKey { return client.ObjectKeyFromObject(obj) }

// says wants it in the message and in a warning.
func (fc *fakeCluster) says(b *v1alpha1.VolumeBackup, reason, words string) {
	fc.Helper()
	fc.isWarned(b, reason, words)
	if !strings.Contains(b.Status.Message, words) || !slices.ContainsFunc(b.Status.Warnings, func(w string) bool { return strings.Contains(w, words) }) {
		fc.Errorf("should say %q: %s\n%s", words, b.Status.Message, describe(b))
	}
}

// More is backed up than was asked for, which loses nothing.
func TestAnExclusionThatMatchesNothingIsTold(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data-db-0", "cache-db-0")
	set := fc.aStatefulSet("db", 1, "data", "cache")
	set.Spec.Template.Annotations = map[string]string{v1alpha1.AnnotationExcludeVolumes: "cache, scratchh, cache-db-7"}
	fc.must(admin.Update(fc.ctx, set))
	fc.runs("db-0", annotated(set.Spec.Template.Annotations, "data-db-0", "cache-db-0"), set)
	fc.aManager()
	b := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindStatefulSet, "db"), v1alpha1.Crash)
	if !slices.Equal(claimsOf(b), []string{"cache-db-0", "data-db-0"}) {
		t.Errorf("of %v", claimsOf(b))
	}
	fc.says(b, v1alpha1.ReasonNothingExcluded, `names claim "cache", which the application doesn't mount, so that nothing is left out by it: it is the name of a volume of its pods. Write the claim there: cache-db-0`)
	fc.says(b, v1alpha1.ReasonNothingExcluded, `names claim "scratchh", which the application doesn't mount, so that nothing is left out by it: it mounts cache-db-0, data-db-0`)
	if strings.Contains(b.Status.Message, "cache-db-7") {
		t.Errorf("one of a replica that isn't there yet is in order: %s", b.Status.Message)
	}
	fc.awaitFailed(fc.aBackupOf(v1alpha1.KindStatefulSet, "db", func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Exclude = []string{"cache"} }),
		v1alpha1.ReasonClaimNotFound, "Write the claim there: cache-db-0")
}

// Whoever annotates the wrong object, or misspells it, is told.
func TestAnAnnotationThatIsntReadIsTold(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	of := annotated(map[string]string{"lull.dev/quiese": "mariadb", "lull.dev/hook-timeout": "20s"}, "data")
	d := fc.aDeployment("db", of)
	d.Annotations = map[string]string{v1alpha1.AnnotationQuiesce: "mariadb", "pre.hook.backup.velero.io/command": "/bin/true", "unheard.of/quiesce": "x"}
	fc.must(admin.Update(fc.ctx, d))
	set := fc.aReplicaSet("db-1", of, d)
	of.Annotations = map[string]string{v1alpha1.AnnotationHoldHook: "x", "lull.dev/hook-timeout": "20s"}
	fc.runs("db-1-a", of, set)
	fc.aManager()
	b := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindDeployment, "db"), v1alpha1.Crash)
	for _, words := range []string{
		"annotate the pod template with lull.dev/quiesce",
		"the annotation lull.dev/quiesce isn't read where it stands (Deployment db): write it on the pod template",
		"the annotation lull.dev/hold-hook isn't read where it stands (pod db-1-a)",
		"the annotation pre.hook.backup.velero.io/command isn't read where it stands (Deployment db)",
		"the annotation lull.dev/quiese of the pod template isn't read: write one of lull.dev/quiesce",
	} {
		if !strings.Contains(b.Status.Message, words) || !strings.Contains(condition(b, v1alpha1.ConditionFrozen).Message, words) {
			t.Errorf("should say %q: %s", words, b.Status.Message)
		}
	}
	if strings.Contains(b.Status.Message, "hook-timeout isn't") || strings.Contains(b.Status.Message, "unheard.of") {
		t.Errorf("says too much: %s", b.Status.Message)
	}
	fc.isWarned(b, v1alpha1.ReasonAnnotationNotRead, "Deployment db")
}

// Who may patch a pod may not run commands in it by that.
func TestAnnotationsOfPodsCanBeIgnored(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	var holding v1alpha1.VolumeBackupSpec
	fc.held(&holding)
	command, err := json.Marshal(holding.Quiesce.Hold.Command)
	fc.must(err)
	fc.runs("mysql", annotated(map[string]string{v1alpha1.AnnotationHoldHook: string(command)}, "data"), nil)
	fc.aManager()
	for _, kind := range []v1alpha1.ApplicationKind{v1alpha1.KindPersistentVolumeClaim, v1alpha1.KindPod} {
		name := map[v1alpha1.ApplicationKind]string{v1alpha1.KindPersistentVolumeClaim: "data", v1alpha1.KindPod: "mysql"}[kind]
		b := fc.awaitComplete(fc.aBackupOf(kind, name, func(s *v1alpha1.VolumeBackupSpec) {
			framework.Quiesce(s).PodAnnotations = v1alpha1.PodAnnotationsIgnore
		}), v1alpha1.Crash)
		fc.noCommandRan()
		fc.isWarned(b, v1alpha1.ReasonAnnotationNotRead, "(pod mysql, by spec.quiesce.podAnnotations: Ignore)")
	}
	fc.awaitComplete(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data"), v1alpha1.Proven)
}
