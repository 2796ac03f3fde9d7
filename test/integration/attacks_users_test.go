package integration

import (
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// creates is an attack that is over with the object.
func creates(kind, spec string) func(*fakeCluster, client.Client) string {
	return func(fc *fakeCluster, as client.Client) string {
		_, err := fc.createAs(as, kind, spec, client.DryRunAll)
		return answer(err)
	}
}

// changes is one that needs an object of somebody else, and a change of it.
func changes(kind, spec, patch string) func(*fakeCluster, client.Client) string {
	return func(fc *fakeCluster, as client.Client) string {
		there, err := fc.createAs(admin, kind, spec)
		fc.must(err)
		return answer(as.Patch(fc.ctx, there, client.RawPatch(types.MergePatchType, []byte(patch))))
	}
}

const (
	lacksExec = "may not create pods/exec in namespace"
	rests     = `source: {volumeBackupRef: {name: b}}`
)

// Commands in pods, without the right to run commands in pods.
var commandAttacks = []attack{
	{
		"a backup that brings commands", "create volumebackups", "`lull-volumebackup-exec`",
		creates("VolumeBackup", `{applicationRef: {name: mysql}, quiesce: {hold: {command: [cat, /etc/shadow]}}}`), lacksExec,
	},
	{
		"commands in the annotations of a pod, and a backup of that pod", "patch pods, create volumebackups", "`lull-volumebackup-exec`",
		annotatesAPodAnd("VolumeBackup", `{applicationRef: {kind: Pod, name: mysql}}`), lacksExec,
	},
	{
		"the same by a backup of its claim", "patch pods, create volumebackups", "`lull-volumebackup-exec`",
		annotatesAPodAnd("VolumeBackup", `{applicationRef: {kind: PersistentVolumeClaim, name: data}}`), lacksExec,
	},
	{
		"the same by a policy that selects its claim", "patch pods, create snapshotpolicies, create volumebackups, delete volumebackups", "`lull-snapshotpolicy`",
		annotatesAPodAnd("SnapshotPolicy", `{schedule: "@daily", applications: {claimSelector: {}}}`), lacksExec,
	},
	{
		"the same by a policy that names the pod", "patch pods, create snapshotpolicies, create volumebackups, delete volumebackups", "`lull-snapshotpolicy`",
		annotatesAPodAnd("SnapshotPolicy", `{schedule: "@daily", applications: {refs: [{kind: Pod, name: mysql}]}}`), lacksExec,
	},
	{
		"the same by an annotation that joins its claim to somebody's policy", "patch pods, patch persistentvolumeclaims", "the policy's backup ignores annotations of pods",
		joinsAPolicy, "quiesce.podAnnotations: Ignore",
	},
	{
		"a policy that brings commands", "create snapshotpolicies, create volumebackups, delete volumebackups", "`lull-snapshotpolicy`",
		creates("SnapshotPolicy", `{schedule: "@daily", template: {spec: {quiesce: {recipe: mariadb}}}}`), lacksExec,
	},
	{
		"a run at once of somebody's policy that brings commands", "patch snapshotpolicies, create volumebackups", "`lull-snapshotpolicy`",
		changes("SnapshotPolicy", `{schedule: "@daily", template: {spec: {quiesce: {recipe: mariadb}}}}`, `{"metadata":{"annotations":{"lull.dev/run-now":"1"}}}`), lacksExec,
	},
}

// What the operator may do, without the right to do it.
var orderAttacks = []attack{
	{
		"backups by way of a policy", "create snapshotpolicies", "`lull-snapshotpolicy`",
		creates("SnapshotPolicy", `{schedule: "@daily"}`), "may not create volumebackups",
	},
	{
		"backups removed by a policy's retention", "create snapshotpolicies, create volumebackups", "`lull-snapshotpolicy`",
		creates("SnapshotPolicy", `{schedule: "@daily", retention: {snapshots: {keepLast: 1}}}`), "may not delete volumebackups",
	},
	{
		"pods with somebody's Secrets, by a repository", "create resticrepositories", "`lull-resticrepository`",
		creates("ResticRepository", `{passwordSecretRef: {name: p}, backend: {volume: {claimName: disk}}}`), "may not create pods",
	},
	{
		"somebody's application stopped by a restore", "create volumerestores, create persistentvolumeclaims", "`lull-volumerestore-owner`",
		creates("VolumeRestore", `{`+rests+`, target: {applicationRef: {name: shop}}}`), "may not update deployments/shop",
	},
	{
		"somebody's restore undone", "patch volumerestores, create persistentvolumeclaims", "`lull-volumerestore-owner`",
		changes("VolumeRestore", `{`+rests+`, target: {applicationRef: {name: shop}}}`, `{"spec":{"rollBack":true}}`), "may not update deployments/shop",
	},
	{
		"somebody's restore deleted while it is under way", "delete volumerestores", "`lull-volumerestore-owner`",
		func(fc *fakeCluster, as client.Client) string {
			there, err := fc.createAs(admin, "VolumeRestore", `{`+rests+`, target: {applicationRef: {name: shop}}}`)
			fc.must(err)
			return answer(as.Delete(fc.ctx, there))
		}, "may not update deployments/shop",
	},
	{
		"claims deleted by a restore", "create volumerestores, create persistentvolumeclaims, update deployments", "`lull-volumerestore-owner`",
		creates("VolumeRestore", `{`+rests+`, target: {applicationRef: {name: shop}}, previousClaims: Delete}`), "may not delete persistentvolumeclaims",
	},
}

// What a verdict is made of.
var evidenceAttacks = []attack{
	{
		"a pod that writes to an application's volume, and says by a forged owner reference that it is one of its pods", "create pods", "the workload's selector",
		forgesAnOwner, "pod intruder, of another application, writes to the volumes and was not quieted",
	},
}

// A status is what the operator goes on by.
var statusAttacks = []attack{
	{
		"a status that has the operator rewrite another namespace's volume", "patch volumerestores/status", "`lull-status`",
		changesStatus("VolumeRestore", `{`+rests+`}`, `{"status":{"claims":[{"claimName":"data","originalClaim":"data","restoredClaim":"data","shape":{"size":"1Gi"},"restoredVolume":"pv-of-others"}]}}`), "its own account alone writes it",
	},
	{
		"a status of a backup that calls it proven", "do anything in the namespace", "`lull-status`",
		changesStatus("VolumeBackup", `{applicationRef: {name: mysql}}`, `{"status":{"consistency":"Proven"}}`), "its own account alone writes it",
	},
	{
		"a status of a policy that brings its due time forward", "do anything", "`lull-status`",
		changesStatus("SnapshotPolicy", `{schedule: "@daily"}`, `{"status":{"missedRuns":1}}`), "its own account alone writes it",
	},
}

// annotatesAPodAnd has a pod of nobody's template carry a command, and asks for what
// would run it.
func annotatesAPodAnd(kind, spec string) func(*fakeCluster, client.Client) string {
	return func(fc *fakeCluster, as client.Client) string {
		pod := &corev1.Pod{}
		if admin.Get(fc.ctx, client.ObjectKey{Namespace: fc.namespace, Name: "mysql"}, pod) != nil {
			pod = fc.anApplication("data")
		}
		if err := annotates(fc, as, pod, v1alpha1.AnnotationHoldHook, "cat /run/secrets/*"); err != nil {
			return answer(err)
		}
		return creates(kind, spec)(fc, as)
	}
}

// forgesAnOwner has a pod beside those of a Deployment, and looks at a backup of it.
func forgesAnOwner(fc *fakeCluster, as client.Client) string {
	set := &appsv1.ReplicaSet{}
	if admin.Get(fc.ctx, client.ObjectKey{Namespace: fc.namespace, Name: "db-1"}, set) != nil {
		fc.claims("data")
		set = fc.aReplicaSet("db-1", template("data"), fc.theDeployment())
		fc.runs("db-1-a", template("data"), set)
		fc.aManager()
	}
	intruder := &corev1.Pod{Spec: template("data").Spec}
	intruder.Namespace, intruder.Name, intruder.Spec.NodeName = fc.namespace, "intruder", "node"
	fc.owns(set, intruder)
	if err := as.Create(fc.ctx, intruder); err != nil {
		return answer(err)
	}
	fc.starts(intruder)
	b := fc.awaitEnd(fc.aBackupOf(v1alpha1.KindDeployment, "db", fc.held))
	return b.Status.Message
}

func annotates(fc *fakeCluster, as client.Client, obj client.Object, key, value string) error {
	return as.Patch(fc.ctx, obj, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, key, value)))
}

// joinsAPolicy annotates a pod and its claim, and looks at the backup that somebody's
// policy makes of the claim.
func joinsAPolicy(fc *fakeCluster, as client.Client) string {
	var pod corev1.Pod
	if admin.Get(fc.ctx, client.ObjectKey{Namespace: fc.namespace, Name: "mysql"}, &pod) != nil {
		pod = *fc.anApplication("data")
		p := &v1alpha1.SnapshotPolicy{Spec: v1alpha1.SnapshotPolicySpec{Schedule: "@yearly"}}
		p.Name = "nightly"
		fc.create(p)
		fc.aPolicyManager()
	}
	claim := fc.newClaim("data")
	claim.Namespace = fc.namespace
	if err := errors.Join(annotates(fc, as, &pod, v1alpha1.AnnotationHoldHook, "cat"), annotates(fc, as, claim, v1alpha1.AnnotationPolicy, "nightly")); err != nil {
		return answer(err)
	}
	p := &v1alpha1.SnapshotPolicy{}
	p.Namespace, p.Name = fc.namespace, "nightly"
	fc.must(annotates(fc, admin, p, v1alpha1.AnnotationRunNow, time.Now().Format(time.RFC3339Nano)))
	var made v1alpha1.VolumeBackupList
	fc.must(admin.List(fc.ctx, &made, client.InNamespace(fc.namespace)))
	for i := range made.Items {
		if q := made.Items[i].Spec.Quiesce; q != nil {
			return "the backup says quiesce.podAnnotations: " + string(q.PodAnnotations)
		}
	}
	return ""
}

// changesStatus writes a status of an object that is there.
func changesStatus(kind, spec, patch string) func(*fakeCluster, client.Client) string {
	return func(fc *fakeCluster, as client.Client) string {
		there, err := fc.createAs(admin, kind, spec)
		fc.must(err)
		return answer(as.Status().Patch(fc.ctx, there, client.RawPatch(types.MergePatchType, []byte(patch))))
	}
}
