package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
	"github.com/lull-dev/lull/test/framework"
)

// What the API server takes, and the operator would have to hold.
var sizeAttacks = []attack{
	{
		"four million claims, by the replicas of a StatefulSet times its claim templates", "create statefulsets, create volumebackups", "[a limit](operating.md#limits)",
		multiplies, "StatefulSet crowd mounts 4000000 claims",
	},
	{
		"a status that etcd refuses, by a post-hook of 200 KiB for each of ten pods", "create statefulsets, create volumebackups", "[a limit](operating.md#limits)",
		speaksAtLength, "and 65536 is the most",
	},
}

// multiplies has a few words in a spec stand for four million claims.
func multiplies(fc *fakeCluster, as client.Client) string {
	var templates []string
	for i := range 20 {
		templates = append(templates, fmt.Sprintf("data%d", i))
	}
	return fc.saysOf(as, fc.newStatefulSet("crowd", 200_000, templates...), func() {})
}

// speaksAtLength has each of ten pods carry a long post-hook, which stands in the status
// for each.
func speaksAtLength(fc *fakeCluster, as client.Client) string {
	set := fc.newStatefulSet("db", 10)
	set.Spec.Template = annotated(map[string]string{v1alpha1.AnnotationPreHook: "true", v1alpha1.AnnotationPostHook: "true" + strings.Repeat(" ", 200<<10) + "#"}, "data")
	return fc.saysOf(as, set, func() {
		fc.claims("data")
		for i := range 10 {
			fc.runs(fmt.Sprintf("db-%d", i), template("data"), set)
		}
	})
}

// saysOf is what the operator says of a backup of a StatefulSet that somebody makes, once
// there is all that the cluster makes of it.
func (fc *fakeCluster) saysOf(as client.Client, set *appsv1.StatefulSet, follow func()) string {
	b := framework.NewBackup(fc.namespace, v1alpha1.ApplicationReference{Kind: v1alpha1.KindStatefulSet, Name: set.Name})
	for _, obj := range []client.Object{set, b} {
		if err := client.IgnoreAlreadyExists(as.Create(fc.ctx, obj)); err != nil {
			return answer(err)
		}
	}
	fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(set), set)) // it may have been there
	follow()
	fc.aManager()
	b = fc.awaitFailed(b, v1alpha1.ReasonLimitExceeded)
	fc.noCommandRan()
	fc.noSnapshotWasMade()
	return b.Status.Message
}

// hookedPods are pods that mount claim data and carry a post-hook of so many bytes.
func (fc *fakeCluster) hookedPods(n, bytes int) {
	fc.Helper()
	fc.claims("data")
	post := ": post; :" + strings.Repeat(" ", bytes)
	command, err := json.Marshal([]string{"/bin/sh", "-c", post})
	fc.must(err)
	for i := range n {
		fc.runs(fmt.Sprintf("db-%d", i), annotated(map[string]string{v1alpha1.AnnotationPreHook: `: pre; :`, v1alpha1.AnnotationPostHook: string(command)}, "data"), nil)
	}
}

// Each post-hook stands in the status for its pod: etcd would refuse the intent, and
// it would be tried for ever.
func TestHooksThatAreTooLongAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		pods, bytes int
		says        string
	}{
		"each by itself":  {10, 200 << 10, fmt.Sprintf("the post-hook has %d bytes, and %d is the most", 200<<10+len("/bin/sh-c: post; :"), limits.CommandBytes)},
		"all of them":     {30, 60 << 10, "30 pod(s), each with the post-hook that thaws it, take 180"},
		"as many as that": {limits.Pods + 1, 1, fmt.Sprintf("more than %d pods", limits.Pods)},
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.hookedPods(c.pods, c.bytes)
			fc.aManager()
			fc.awaitFailed(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data"), v1alpha1.ReasonLimitExceeded, c.says)
			fc.noCommandRan()
			fc.noSnapshotWasMade()
			b := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data", orContinue), v1alpha1.Crash)
			words, _, _ := strings.Cut(c.says, ",")
			fc.isSaid(b, words)
			fc.noCommandRan()
		})
	}
}

// The API server and its etcd say in three ways that something is too large, and all
// are known.
func TestWhatTheAPIServerHasNoRoomForIsKnown(t *testing.T) {
	fc := aFakeCluster(t)
	for _, kib := range []int{1600, 2400, 3300} {
		b := framework.NewBackup(fc.namespace, v1alpha1.ApplicationReference{Name: "db"})
		b.Labels = labelsOf(kib << 10)
		if err := admin.Create(fc.ctx, b); !isTooLarge(err) {
			t.Errorf("%d KiB: %v", kib, err)
		}
	}
}

// labelsOf are labels of so many bytes, as JSON: few and long, since the API server
// looks at each by itself.
func labelsOf(bytes int) map[string]string {
	long := strings.Repeat("x", 50)
	domain := strings.Join([]string{long, long, long, long}, ".")
	each := len(`"/l00000":"",`) + len(domain) + len(long)
	labels := map[string]string{}
	for i := range bytes / each {
		labels[fmt.Sprintf("%s/l%05d", domain, i)] = long
	}
	return labels
}

// What is as large as may be can be written, with the annotations that others may write
// meanwhile.
func TestAStatusOfTheLargestSizeCanBeWritten(t *testing.T) {
	fc := aFakeCluster(t)
	b := framework.NewBackup(fc.namespace, v1alpha1.ApplicationReference{Name: "db"})
	fc.must(admin.Create(fc.ctx, b))
	before := b.DeepCopy()
	for i := range limits.Claims {
		b.Status.Volumes = append(b.Status.Volumes, v1alpha1.VolumeStatus{ClaimName: fmt.Sprintf("data-db-%d", i), Claim: &v1alpha1.BackedUpClaim{
			Labels: map[string]string{"app": "db"}, Annotations: map[string]string{"filled": strings.Repeat("x", limits.ObjectBytes/limits.Claims-200)},
		}})
	}
	if size := limits.Bytes(b); size > limits.ObjectBytes || size < limits.ObjectBytes*9/10 {
		t.Fatalf("it has %d bytes", size)
	}
	manager, err := client.New(asManager, client.Options{Scheme: scheme})
	fc.must(err)
	fc.must(manager.Status().Patch(fc.ctx, b, client.MergeFrom(before)))
	annotated := b.DeepCopy()
	annotated.Annotations = map[string]string{"filled": strings.Repeat("x", 255<<10)}
	fc.must(admin.Patch(fc.ctx, annotated, client.MergeFrom(b)))
}

// fill creates a backup in which nothing has room any more.
func (fc *fakeCluster) fill(b *v1alpha1.VolumeBackup) {
	fc.Helper()
	b.Labels = labelsOf(1400 << 10)
	fc.must(admin.Create(fc.ctx, b))
	annotated := func(bytes int) error {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"filled":%q}}}`, strings.Repeat("x", bytes))
		return admin.Patch(fc.ctx, b.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)))
	}
	fits, tooLarge := 0, 250<<10
	for tooLarge-fits > 16 {
		middle := (fits + tooLarge) / 2
		switch err := annotated(middle); {
		case err == nil:
			fits = middle
		case isTooLarge(err):
			tooLarge = middle
		default:
			fc.Fatal(err)
		}
	}
	fc.must(annotated(fits))
}

// Somebody may fill a backup with labels until nothing has room in it any more. That is
// told by an event, and not tried for ever; once there is room again it goes on.
func TestAFilledBackupIsLeftAlone(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	filled := framework.NewBackup(fc.namespace, v1alpha1.ApplicationReference{Kind: v1alpha1.KindPod, Name: "mysql"}, fc.held)
	fc.fill(filled)
	fc.aManager()
	fc.isWarned(filled, v1alpha1.ReasonLimitExceeded, "no room")
	fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
	if tries := fc.journal.positions("  says: the API server has no room"); len(tries) != 1 {
		t.Errorf("its end was tried to be written %d times", len(tries))
	}
	fc.must(admin.Patch(fc.ctx, filled, client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/metadata/labels"}]`))))
	fc.awaitComplete(filled, v1alpha1.Proven)
}
