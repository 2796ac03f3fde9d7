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
	"github.com/lull-dev/lull/controllers"
)

// impatient is a manager that waits only a moment for what may come.
func impatient(_ *manager, o *controllers.Options) {
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
		begin  func(*world) *v1alpha1.VolumeBackup
		reason string
		says   []string
	}{
		{"no workload", func(w *world) *v1alpha1.VolumeBackup { return w.aBackupOf(v1alpha1.KindDeployment, "mysql") },
			v1alpha1.ReasonApplicationNotFound, []string{`there is no Deployment "mysql" in namespace`, "create it"}},
		{"no pod", func(w *world) *v1alpha1.VolumeBackup { return w.aBackup() },
			v1alpha1.ReasonApplicationNotFound, []string{`there is no Pod "mysql"`}},
		{"no claim of that name", func(w *world) *v1alpha1.VolumeBackup {
			return w.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data")
		}, v1alpha1.ReasonClaimNotFound, []string{`there is no PersistentVolumeClaim "data"`, "create it"}},
		{"no volumes", func(w *world) *v1alpha1.VolumeBackup { w.anApplication(); return w.aBackup(w.held) },
			v1alpha1.ReasonNoVolumes, []string{"mounts no PersistentVolumeClaim"}},
		{"all volumes excluded", func(w *world) *v1alpha1.VolumeBackup {
			w.anApplication("data")
			return w.aBackup(w.held, func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Exclude = []string{"data"} })
		}, v1alpha1.ReasonNoVolumes, []string{"every claim of the application (data) is excluded", "leave at least one"}},
		{"a volume that isn't mounted", func(w *world) *v1alpha1.VolumeBackup {
			w.anApplication("data")
			return w.aBackup(w.held, func(s *v1alpha1.VolumeBackupSpec) { s.Volumes.Include = []string{"dta"} })
		}, v1alpha1.ReasonClaimNotFound, []string{`spec.volumes names claim "dta"`, "it mounts data"}},
		{"a claim that isn't bound", func(w *world) *v1alpha1.VolumeBackup {
			w.create(w.newClaim("data"))
			w.runs("mysql", template("data"), nil)
			return w.aBackup(w.held)
		}, v1alpha1.ReasonClaimNotBound, []string{`PersistentVolumeClaim "data" is Pending, not Bound`, "kubectl describe pvc data"}},
		{"a volume that isn't CSI's", func(w *world) *v1alpha1.VolumeBackup {
			w.boundClaim("data", corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/data"}})
			w.runs("mysql", template("data"), nil)
			return w.aBackup(w.held)
		}, v1alpha1.ReasonNotCSI, []string{`PersistentVolumeClaim "data" is bound to`, "isn't a CSI volume", "leave it out"}},
		{"a driver without a class", func(w *world) *v1alpha1.VolumeBackup {
			w.boundClaim("data", csi("other."+w.driver))
			w.runs("mysql", template("data"), nil)
			return w.aBackup(w.held)
		}, v1alpha1.ReasonNoSnapshotClass, []string{"there is no VolumeSnapshotClass for the driver", "create one"}},
		{"a class that isn't there", func(w *world) *v1alpha1.VolumeBackup {
			w.anApplication("data")
			return w.aBackup(w.held, func(s *v1alpha1.VolumeBackupSpec) { s.VolumeSnapshotClassName = ptr.To("fast") })
		}, v1alpha1.ReasonNoSnapshotClass, []string{`there is no VolumeSnapshotClass "fast"`}},
		{"a cluster without groups", func(w *world) *v1alpha1.VolumeBackup {
			w.anApplication("data")
			return w.aBackup(w.held, func(s *v1alpha1.VolumeBackupSpec) { s.VolumeGroupSnapshotClassName = ptr.To("together") })
		}, v1alpha1.ReasonNoSnapshotClass, []string{"this cluster doesn't serve VolumeGroupSnapshot", "leave out spec.volumeGroupSnapshotClassName"}},
		{"a class of another driver", func(w *world) *v1alpha1.VolumeBackup {
			w.anApplication("data")
			w.class(w.namespace+"-other", "other."+w.driver, false)
			return w.aBackup(w.held, func(s *v1alpha1.VolumeBackupSpec) { s.VolumeSnapshotClassName = ptr.To(w.namespace + "-other") })
		}, v1alpha1.ReasonSnapshotClassMismatch, []string{"name a class of that driver"}},
		{"several classes", func(w *world) *v1alpha1.VolumeBackup {
			w.anApplication("data")
			w.class(w.namespace+"-more", w.driver, false)
			return w.aBackup(w.held)
		}, v1alpha1.ReasonAmbiguousClass, []string{"none is its default", "spec.volumeSnapshotClassName"}},
		{"several default classes", func(w *world) *v1alpha1.VolumeBackup {
			w.anApplication("data")
			w.class(w.namespace+"-a", w.driver, true)
			w.class(w.namespace+"-b", w.driver, true)
			return w.aBackup(w.held)
		}, v1alpha1.ReasonAmbiguousClass, []string{"several default VolumeSnapshotClasses"}},
		{"a pod that doesn't run", func(w *world) *v1alpha1.VolumeBackup {
			pod := w.anApplication("data")
			pod.Status.Phase = corev1.PodPending
			w.must(admin.Status().Update(w.ctx, pod))
			return w.aBackup(w.held)
		}, v1alpha1.ReasonPodNotRunning, []string{"pod mysql", "is Pending"}},
		{"a container that crashes", func(w *world) *v1alpha1.VolumeBackup {
			pod := w.anApplication("data")
			pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
			w.must(admin.Status().Update(w.ctx, pod))
			return w.aBackup(w.held)
		}, v1alpha1.ReasonPodNotRunning, []string{`container "db" of pod mysql doesn't run (CrashLoopBackOff)`}},
		{"a container that isn't there", func(w *world) *v1alpha1.VolumeBackup {
			w.anApplication("data")
			return w.aBackup(w.held, func(s *v1alpha1.VolumeBackupSpec) { s.Quiesce.Hold.Container = "database" })
		}, v1alpha1.ReasonContainerNotFound, []string{`pod mysql has no container "database"`, "[db]"}},
		{"an unknown recipe", annotatedBackup(map[string]string{v1alpha1.AnnotationQuiesce: "oracle"}),
			v1alpha1.ReasonUnknownRecipe, []string{`there is no recipe "oracle"`, "mariadb, mysql"}},
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
			w := aWorld(t)
			b := c.begin(w)
			w.aManager(impatient)
			w.awaitFailed(b, c.reason, c.says...)
			w.noCommandRan()
			w.noSnapshotWasMade()
		})
	}
}

func annotatedBackup(annotations map[string]string) func(*world) *v1alpha1.VolumeBackup {
	return func(w *world) *v1alpha1.VolumeBackup {
		w.claims("data")
		w.runs("mysql", annotated(annotations, "data"), nil)
		return w.aBackup()
	}
}

func csi(driver string) corev1.PersistentVolumeSource {
	return corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: driver}}
}

func TestABackupWaitsForWhatIsAppliedAMomentLater(t *testing.T) {
	w := aWorld(t)
	w.aManager()
	b := w.await(w.aBackup(w.held), "Stalled and waiting", func(b *v1alpha1.VolumeBackup) bool {
		return condition(b, v1alpha1.ConditionStalled).Reason == v1alpha1.ReasonApplicationNotFound && !ended(b)
	})
	w.anApplication("data")
	w.awaitComplete(b, v1alpha1.Proven)
}

// Each kind finds the pods that are its own and the claims that they mount.
func TestEveryKindOfApplicationIsFound(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   v1alpha1.ApplicationKind
		begin  func(*world)
		pods   []string
		claims []string
	}{
		{"Deployment", v1alpha1.KindDeployment, func(w *world) {
			w.claims("data")
			d := w.aDeployment("db", template("data"))
			w.runs("db-a", template("data"), w.aReplicaSet("db-1", template("data"), d))
		}, []string{"db-a"}, []string{"data"}},
		{"Deployment with a pod of an older ReplicaSet", v1alpha1.KindDeployment, func(w *world) {
			w.claims("data", "old")
			d := w.aDeployment("db", template("data"))
			w.runs("db-new", template("data"), w.aReplicaSet("db-2", template("data"), d))
			w.runs("db-old", template("old"), w.aReplicaSet("db-1", template("old"), d))
			w.runs("stranger", template(), w.aReplicaSet("web-1", template(), nil))
		}, []string{"db-new", "db-old"}, []string{"data", "old"}},
		{"a claim that all replicas share, once", v1alpha1.KindDeployment, func(w *world) {
			w.claims("data")
			set := w.aReplicaSet("db-1", template("data"), w.aDeployment("db", template("data")))
			w.runs("db-a", template("data"), set)
			w.runs("db-b", template("data"), set)
		}, []string{"db-a", "db-b"}, []string{"data"}},
		{"Deployment scaled to zero", v1alpha1.KindDeployment, func(w *world) {
			w.claims("data")
			w.aDeployment("db", template("data"))
		}, nil, []string{"data"}},
		{"StatefulSet", v1alpha1.KindStatefulSet, func(w *world) {
			w.claims("data-db-0", "data-db-1")
			set := w.aStatefulSet("db", 2, "data")
			w.runs("db-0", template("data-db-0"), set)
			w.runs("db-1", template("data-db-1"), set)
		}, []string{"db-0", "db-1"}, []string{"data-db-0", "data-db-1"}},
		{"StatefulSet that doesn't begin at 0", v1alpha1.KindStatefulSet, func(w *world) {
			w.claims("data-db-5", "data-db-6")
			set := w.aStatefulSet("db", 2, "data")
			set.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 5}
			w.must(admin.Update(w.ctx, set))
			w.runs("db-5", template("data-db-5"), set)
			w.runs("db-6", template("data-db-6"), set)
		}, []string{"db-5", "db-6"}, []string{"data-db-5", "data-db-6"}},
		{"StatefulSet scaled to zero", v1alpha1.KindStatefulSet, func(w *world) {
			w.claims("data-db-0", "data-db-1", "data-db-x", "data-web-0")
			w.aStatefulSet("db", 0, "data")
		}, nil, []string{"data-db-0", "data-db-1"}},
		{"DaemonSet", v1alpha1.KindDaemonSet, func(w *world) {
			w.claims("data")
			d := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "db"}, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template("data")}}
			w.create(d)
			w.runs("db-a", template("data"), d)
		}, []string{"db-a"}, []string{"data"}},
		{"ReplicaSet", v1alpha1.KindReplicaSet, func(w *world) {
			w.claims("data")
			w.runs("db-a", template("data"), w.aReplicaSet("db", template("data"), nil))
		}, []string{"db-a"}, []string{"data"}},
		{"ReplicationController", v1alpha1.KindReplicationController, func(w *world) {
			w.claims("data")
			r := &corev1.ReplicationController{
				ObjectMeta: metav1.ObjectMeta{Name: "db"},
				Spec:       corev1.ReplicationControllerSpec{Selector: appLabels, Template: ptr.To(template("data"))},
			}
			w.create(r)
			w.runs("db-a", template("data"), r)
		}, []string{"db-a"}, []string{"data"}},
		{"Pod", v1alpha1.KindPod, func(w *world) {
			w.claims("data", "log")
			w.runs("db", template("data", "log"), nil)
			w.runs("other", template(), nil)
		}, []string{"db"}, []string{"data", "log"}},
		{"PersistentVolumeClaim", v1alpha1.KindPersistentVolumeClaim, func(w *world) {
			w.claims("db", "log")
			w.runs("db-a", template("db", "log"), nil)
		}, []string{"db-a"}, []string{"db"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := aWorld(t)
			c.begin(w)
			w.aManager()
			b := w.awaitComplete(w.aBackupOf(c.kind, "db", w.held), v1alpha1.Proven)
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
	w := aWorld(t)
	w.claims("data")
	hold := w.command(`trap '' PIPE HUP; mark="$marks/$POD.$$"; ` + holds)
	by := map[string]string{v1alpha1.AnnotationHoldHook: hold[2], v1alpha1.AnnotationExcludeVolumes: "cache"}
	d := w.aDeployment("db", annotated(by, "data", "cache"))
	w.runs("db-a", annotated(map[string]string{v1alpha1.AnnotationHoldHook: "echo HELD"}, "data"), w.aReplicaSet("db-1", template("data"), d))
	w.aManager()
	b := w.awaitComplete(w.aBackupOf(v1alpha1.KindDeployment, "db"), v1alpha1.Proven)
	if !slices.Equal(claimsOf(b), []string{"data"}) {
		t.Errorf("the claim cache is excluded: %v", claimsOf(b))
	}
}
