package integration

import (
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// impatient is a manager that waits only a moment for what may come.
func impatient(_ *manager, o *options) {
	o.NotFoundTimeout, o.PrepareTimeout = time.Second, time.Second
}

func annotated(annotations map[string]string, claims ...string) corev1.PodTemplateSpec {
	t := template(claims...)
	t.Annotations = annotations
	return t
}

// What can't be backed up fails before anything is frozen or cut, and its
// message names the object and the mend.
func TestWhatCantBeBackedUpFailsBeforeAnythingIsFrozen(t *testing.T) {
	for _, c := range []struct {
		name   string
		begin  func(*fakeCluster) *v1alpha1.VolumeBackup
		reason string
		says   []string
	}{
		{"no workload", func(fc *fakeCluster) *v1alpha1.VolumeBackup { return fc.aBackupOf(v1alpha1.KindDeployment, "mysql") },
			v1alpha1.ReasonApplicationNotFound, []string{`there is no Deployment "mysql" in namespace`, "create it"}},
		{"no pod", func(fc *fakeCluster) *v1alpha1.VolumeBackup { return fc.aBackup() },
			v1alpha1.ReasonApplicationNotFound, []string{`there is no Pod "mysql"`}},
		{"no claim of that name", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			return fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data")
		}, v1alpha1.ReasonClaimNotFound, []string{`there is no PersistentVolumeClaim "data"`, "create it"}},
		{"no volumes", func(fc *fakeCluster) *v1alpha1.VolumeBackup { fc.anApplication(); return fc.aBackup(fc.held) },
			v1alpha1.ReasonNoVolumes, []string{"mounts no PersistentVolumeClaim"}},
		{"all volumes excluded", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data")
			return fc.aBackup(fc.held, func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Exclude = []string{"data"} })
		}, v1alpha1.ReasonNoVolumes, []string{"every claim of the application (data) is excluded", "leave at least one"}},
		{"a volume that isn't mounted", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data")
			return fc.aBackup(fc.held, func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Include = []string{"dta"} })
		}, v1alpha1.ReasonClaimNotFound, []string{`spec.volumes names claim "dta"`, "it mounts data"}},
		{"a claim that isn't bound", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.create(fc.newClaim("data"))
			fc.runs("mysql", template("data"), nil)
			return fc.aBackup(fc.held)
		}, v1alpha1.ReasonClaimNotBound, []string{`PersistentVolumeClaim "data" is Pending, not Bound`, "kubectl describe pvc data"}},
		{"a volume that isn't CSI's", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.boundClaim("data", corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/data"}})
			fc.runs("mysql", template("data"), nil)
			return fc.aBackup(fc.held)
		}, v1alpha1.ReasonNotCSI, []string{`PersistentVolumeClaim "data" is bound to`, "isn't a CSI volume", "leave it out"}},
		{"a driver without a class", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.boundClaim("data", csi("other."+fc.driver))
			fc.runs("mysql", template("data"), nil)
			return fc.aBackup(fc.held)
		}, v1alpha1.ReasonNoSnapshotClass, []string{"there is no VolumeSnapshotClass for the driver", "create one"}},
		{"a class that isn't there", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data")
			return fc.aBackup(fc.held, func(s *v1alpha1.VolumeBackupSpec) { s.VolumeSnapshotClassName = ptr.To("fast") })
		}, v1alpha1.ReasonNoSnapshotClass, []string{`there is no VolumeSnapshotClass "fast"`}},
		{"a cluster without groups", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data")
			return fc.aBackup(fc.held, func(s *v1alpha1.VolumeBackupSpec) { s.VolumeGroupSnapshotClassName = ptr.To("together") })
		}, v1alpha1.ReasonNoSnapshotClass, []string{"this cluster doesn't serve VolumeGroupSnapshot", "leave out spec.volumeGroupSnapshotClassName"}},
		{"a class of another driver", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data")
			fc.class(fc.namespace+"-other", "other."+fc.driver, false)
			return fc.aBackup(fc.held, func(s *v1alpha1.VolumeBackupSpec) { s.VolumeSnapshotClassName = ptr.To(fc.namespace + "-other") })
		}, v1alpha1.ReasonSnapshotClassMismatch, []string{"name a class of that driver"}},
		{"several classes", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data")
			fc.class(fc.namespace+"-more", fc.driver, false)
			return fc.aBackup(fc.held)
		}, v1alpha1.ReasonAmbiguousClass, []string{"none is its default", "spec.volumeSnapshotClassName"}},
		{"several default classes", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data")
			fc.class(fc.namespace+"-a", fc.driver, true)
			fc.class(fc.namespace+"-b", fc.driver, true)
			return fc.aBackup(fc.held)
		}, v1alpha1.ReasonAmbiguousClass, []string{"several default VolumeSnapshotClasses"}},
		{"a pod that doesn't run", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			pod := fc.anApplication("data")
			pod.Status.Phase = corev1.PodPending
			fc.must(admin.Status().Update(fc.ctx, pod))
			return fc.aBackup(fc.held)
		}, v1alpha1.ReasonPodNotRunning, []string{"pod mysql", "is Pending"}},
		{"a container that crashes", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			pod := fc.anApplication("data")
			pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
			fc.must(admin.Status().Update(fc.ctx, pod))
			return fc.aBackup(fc.held)
		}, v1alpha1.ReasonPodNotRunning, []string{`container "db" of pod mysql doesn't run (CrashLoopBackOff)`}},
		{"a container that isn't there", func(fc *fakeCluster) *v1alpha1.VolumeBackup {
			fc.anApplication("data")
			return fc.aBackup(fc.held, func(s *v1alpha1.VolumeBackupSpec) { s.Quiesce.Hold.Container = "database" })
		}, v1alpha1.ReasonContainerNotFound, []string{`pod mysql has no container "database"`, "[db]"}},
		{"an unknown recipe", annotatedBackup(map[string]string{v1alpha1.AnnotationQuiesce: "oracle"}),
			v1alpha1.ReasonUnknownRecipe, []string{`there is no recipe "oracle"`, "mariadb, mongodb, mysql"}},
		{"Elasticsearch", annotatedBackup(map[string]string{v1alpha1.AnnotationQuiesce: "elasticsearch"}),
			v1alpha1.ReasonUnknownRecipe, []string{"use its snapshot API"}},
		{"half a pair", annotatedBackup(map[string]string{v1alpha1.AnnotationPreHook: "freeze"}),
			v1alpha1.ReasonInvalidHook, []string{"without the other: write both"}},
		{"two ways", annotatedBackup(map[string]string{v1alpha1.AnnotationQuiesce: "mariadb", v1alpha1.AnnotationHoldHook: "freeze"}),
			v1alpha1.ReasonConflictingHooks, []string{"keep one"}},
		{"a bad timeout", annotatedBackup(map[string]string{v1alpha1.AnnotationHoldHook: "freeze", v1alpha1.AnnotationHookTimeout: "soon"}),
			v1alpha1.ReasonInvalidHook, []string{`is "soon": write a duration from 1s to 1h`}},
		{"a bad command", annotatedBackup(map[string]string{v1alpha1.AnnotationHoldHook: `["freeze`}),
			v1alpha1.ReasonInvalidHook, []string{"begins like a JSON array and isn't one"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fc := aFakeCluster(t)
			b := c.begin(fc)
			fc.aManager(impatient)
			fc.awaitFailed(b, c.reason, c.says...)
			fc.noCommandRan()
			fc.noSnapshotWasMade()
		})
	}
}

func annotatedBackup(annotations map[string]string) func(*fakeCluster) *v1alpha1.VolumeBackup {
	return func(fc *fakeCluster) *v1alpha1.VolumeBackup {
		fc.claims("data")
		fc.runs("mysql", annotated(annotations, "data"), nil)
		return fc.aBackup()
	}
}

func csi(driver string) corev1.PersistentVolumeSource {
	return corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: driver}}
}

func TestABackupWaitsForWhatIsAppliedAMomentLater(t *testing.T) {
	fc := aFakeCluster(t)
	fc.aManager()
	b := fc.await(fc.aBackup(fc.held), "Stalled and waiting", func(b *v1alpha1.VolumeBackup) bool {
		return condition(b, v1alpha1.ConditionStalled).Reason == v1alpha1.ReasonApplicationNotFound && !ended(b)
	})
	fc.anApplication("data")
	fc.awaitComplete(b, v1alpha1.Proven)
}

// Each kind finds the pods that are its own and the claims that they mount.
func TestEveryKindOfApplicationIsFound(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   v1alpha1.ApplicationKind
		begin  func(*fakeCluster)
		pods   []string
		claims []string
	}{
		{"Deployment", v1alpha1.KindDeployment, func(fc *fakeCluster) {
			fc.claims("data")
			d := fc.aDeployment("db", template("data"))
			fc.runs("db-a", template("data"), fc.aReplicaSet("db-1", template("data"), d))
		}, []string{"db-a"}, []string{"data"}},
		{"Deployment with a pod of an older ReplicaSet", v1alpha1.KindDeployment, func(fc *fakeCluster) {
			fc.claims("data", "old")
			d := fc.aDeployment("db", template("data"))
			fc.runs("db-new", template("data"), fc.aReplicaSet("db-2", template("data"), d))
			fc.runs("db-old", template("old"), fc.aReplicaSet("db-1", template("old"), d))
			fc.runs("stranger", template(), fc.aReplicaSet("web-1", template(), nil))
		}, []string{"db-new", "db-old"}, []string{"data", "old"}},
		{"a claim that all replicas share, once", v1alpha1.KindDeployment, func(fc *fakeCluster) {
			fc.claims("data")
			set := fc.aReplicaSet("db-1", template("data"), fc.aDeployment("db", template("data")))
			fc.runs("db-a", template("data"), set)
			fc.runs("db-b", template("data"), set)
		}, []string{"db-a", "db-b"}, []string{"data"}},
		{"Deployment scaled to zero", v1alpha1.KindDeployment, func(fc *fakeCluster) {
			fc.claims("data")
			fc.aDeployment("db", template("data"))
		}, nil, []string{"data"}},
		{"StatefulSet", v1alpha1.KindStatefulSet, func(fc *fakeCluster) {
			fc.claims("data-db-0", "data-db-1")
			set := fc.aStatefulSet("db", 2, "data")
			fc.runs("db-0", template("data-db-0"), set)
			fc.runs("db-1", template("data-db-1"), set)
		}, []string{"db-0", "db-1"}, []string{"data-db-0", "data-db-1"}},
		{"StatefulSet that doesn't begin at 0", v1alpha1.KindStatefulSet, func(fc *fakeCluster) {
			fc.claims("data-db-5", "data-db-6")
			set := fc.aStatefulSet("db", 2, "data")
			set.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 5}
			fc.must(admin.Update(fc.ctx, set))
			fc.runs("db-5", template("data-db-5"), set)
			fc.runs("db-6", template("data-db-6"), set)
		}, []string{"db-5", "db-6"}, []string{"data-db-5", "data-db-6"}},
		{"StatefulSet scaled to zero", v1alpha1.KindStatefulSet, func(fc *fakeCluster) {
			fc.claims("data-db-0", "data-db-1", "data-db-x", "data-web-0")
			fc.aStatefulSet("db", 0, "data")
		}, nil, []string{"data-db-0", "data-db-1"}},
		{"DaemonSet", v1alpha1.KindDaemonSet, func(fc *fakeCluster) {
			fc.claims("data")
			d := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "db"}, Spec: appsv1.DaemonSetSpec{Selector: selector(), Template: template("data")}}
			fc.create(d)
			fc.runs("db-a", template("data"), d)
		}, []string{"db-a"}, []string{"data"}},
		{"ReplicaSet", v1alpha1.KindReplicaSet, func(fc *fakeCluster) {
			fc.claims("data")
			fc.runs("db-a", template("data"), fc.aReplicaSet("db", template("data"), nil))
		}, []string{"db-a"}, []string{"data"}},
		{"ReplicationController", v1alpha1.KindReplicationController, func(fc *fakeCluster) {
			fc.claims("data")
			r := &corev1.ReplicationController{
				ObjectMeta: metav1.ObjectMeta{Name: "db"},
				Spec:       corev1.ReplicationControllerSpec{Selector: appLabels(), Template: ptr.To(template("data"))},
			}
			fc.create(r)
			fc.runs("db-a", template("data"), r)
		}, []string{"db-a"}, []string{"data"}},
		{"Pod", v1alpha1.KindPod, func(fc *fakeCluster) {
			fc.claims("data", "log")
			fc.runs("db", template("data", "log"), nil)
			fc.runs("other", template(), nil)
		}, []string{"db"}, []string{"data", "log"}},
		{"PersistentVolumeClaim", v1alpha1.KindPersistentVolumeClaim, func(fc *fakeCluster) {
			fc.claims("db", "log")
			fc.runs("db-a", template("db", "log"), nil)
		}, []string{"db-a"}, []string{"db"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fc := aFakeCluster(t)
			c.begin(fc)
			fc.aManager()
			b := fc.awaitComplete(fc.aBackupOf(c.kind, "db", fc.held), v1alpha1.Proven)
			var pods []string
			for _, p := range b.Status.Quiesce.Pods {
				pods = append(pods, p.Name)
			}
			if slices.Sort(pods); !slices.Equal(pods, c.pods) || !slices.Equal(claimsOf(b), c.claims) {
				t.Errorf("found pods %v and claims %v, and should find %v and %v", pods, claimsOf(b), c.pods, c.claims)
			}
		})
	}
}

// The template says how to quiet, and not the live pod: who may only edit pods
// gains nothing by it.
func TestTheTemplateSaysHowToQuiet(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	hold := fc.command(`trap '' PIPE HUP; mark="$marks/$POD.$$"; ` + holds)
	by := map[string]string{v1alpha1.AnnotationHoldHook: hold[2], v1alpha1.AnnotationExcludeVolumes: "cache"}
	d := fc.aDeployment("db", annotated(by, "data", "cache"))
	fc.runs("db-a", annotated(map[string]string{v1alpha1.AnnotationHoldHook: "echo HELD"}, "data"), fc.aReplicaSet("db-1", template("data"), d))
	fc.aManager()
	b := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindDeployment, "db"), v1alpha1.Proven)
	if !slices.Equal(claimsOf(b), []string{"data"}) {
		t.Errorf("the claim cache is excluded: %v", claimsOf(b))
	}
}
