package integration

import (
	"maps"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/restore"
)

// ownImage is the operator's, by deploy/.
const ownImage = "lull.dev/lull:dev"

const inKubeSystem = "namespace kube-system"

// What the operator's account can't do, whoever acts as it.
var tokenAttacks = []attack{
	{
		"Secrets read", withToken, "the role `lull-manager`",
		func(fc *fakeCluster, as client.Client) string {
			return answer(as.List(fc.ctx, &corev1.SecretList{}, client.InNamespace(fc.namespace)))
		}, `cannot list resource "secrets"`,
	},
	{
		"a volume deleted", withToken, "the role `lull-manager`",
		func(fc *fakeCluster, as client.Client) string {
			return answer(as.Delete(fc.ctx, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "any"}}))
		}, `cannot delete resource "persistentvolumes"`,
	},
	{
		"a policy, or a restore, of its own", withToken, "the role `lull-manager`",
		creates("VolumeRestore", `{`+rests+`}`), `cannot create resource "volumerestores"`,
	},
	{
		"its own bounds taken away", withToken, "the role `lull-manager`",
		func(fc *fakeCluster, as client.Client) string {
			binding := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingAdmissionPolicyBinding"}}
			binding.Name = "lull-manager-pods"
			return answer(as.Delete(fc.ctx, binding))
		}, `cannot delete resource "validatingadmissionpolicybindings"`,
	},
	{"a command in a pod of `kube-system`", withToken, "`lull-manager-exec`", execsInKubeSystem, inKubeSystem},
	{
		"a pod in `kube-system`", withToken, "`lull-manager-pods`",
		func(fc *fakeCluster, as client.Client) string {
			p := aMountCheck(fc)
			p.Namespace = "kube-system"
			return answer(as.Create(fc.ctx, p, client.DryRunAll))
		}, inKubeSystem,
	},
	{
		"a pod of another image", withToken, "`lull-manager-pods`",
		aPodThat(func(s *corev1.PodSpec) { s.Containers[0].Image = "lull.dev/lull-and-more:dev" }), "runs the image lull.dev/lull alone",
	},
	{
		"a pod with another container beside its own", withToken, "`lull-manager-pods`",
		aPodThat(func(s *corev1.PodSpec) {
			s.InitContainers = []corev1.Container{{Name: "x", Image: "x", SecurityContext: s.Containers[0].SecurityContext}}
		}), "runs the image lull.dev/lull alone",
	},
	{
		"a pod with a token", withToken, "`lull-manager-pods`",
		aPodThat(func(s *corev1.PodSpec) { s.AutomountServiceAccountToken = ptr.To(true) }), "has no token of a service account",
	},
	{
		"a pod with a folder of its node", withToken, "`lull-manager-pods`",
		aPodThat(func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		}), "mounts claims, empty folders",
	},
	{
		"a pod in its node's network", withToken, "`lull-manager-pods`",
		aPodThat(func(s *corev1.PodSpec) { s.HostNetwork = true }), "has nothing of its node",
	},
	{
		"a privileged mover", withToken, "`lull-manager-pods`",
		aMoverThat(func(s *corev1.PodSpec) {
			s.Containers[0].SecurityContext.Privileged, s.Containers[0].SecurityContext.AllowPrivilegeEscalation = ptr.To(true), nil
		}), "has nothing of its node",
	},
	{
		"a mover with another capability", withToken, "`lull-manager-pods`",
		aMoverThat(func(s *corev1.PodSpec) {
			s.Containers[0].SecurityContext.Capabilities.Add = []corev1.Capability{"NET_ADMIN"}
		}), "no capabilities but those",
	},
	{
		"a volume given to another namespace", withToken, "`lull-manager-volumes`",
		changesAVolume(`{"spec":{"claimRef":{"namespace":"default","uid":null}}}`), "gives no PersistentVolume to another namespace",
	},
	{
		"a volume that is nobody's by now taken", withToken, "`lull-manager-volumes`",
		func(fc *fakeCluster, as client.Client) string {
			v := fc.aVolume("free", nil)
			return answer(as.Patch(fc.ctx, v, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"claimRef":{"kind":"PersistentVolumeClaim","namespace":"default","name":"x"}}}`))))
		}, "gives no PersistentVolume to another namespace",
	},
	{
		"another change of a volume", withToken, "`lull-manager-volumes`",
		changesAVolume(`{"spec":{"mountOptions":["suid"]}}`), "changes persistentVolumeReclaimPolicy and claimRef alone",
	},
	{
		"a volume let go of by its finalizers", withToken, "`lull-manager-volumes`",
		changesAVolume(`{"metadata":{"finalizers":null}}`), "changes its own labels and annotations alone",
	},
	{
		"another image in a Deployment", withToken, "`lull-manager-workloads`",
		changesADeployment(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"x"}]`), "changes the claims of its volumes alone",
	},
	{
		"another account for a Deployment", withToken, "`lull-manager-workloads`",
		changesADeployment(`[{"op":"add","path":"/spec/template/spec/serviceAccountName","value":"x"}]`), "changes the claims of its volumes alone",
	},
	{
		"a folder of its node in the place of a Deployment's claim", withToken, "`lull-manager-workloads`",
		changesADeployment(`[{"op":"replace","path":"/spec/template/spec/volumes/0","value":{"name":"data","hostPath":{"path":"/"}}}]`), "changes the claims of its volumes alone",
	},
	{
		"another image in a pod", withToken, "`lull-manager-workloads`",
		func(fc *fakeCluster, as client.Client) string {
			pod := &corev1.Pod{}
			if admin.Get(fc.ctx, client.ObjectKey{Namespace: fc.namespace, Name: "mysql"}, pod) != nil {
				pod = fc.anApplication("data")
			}
			return answer(as.Patch(fc.ctx, pod, client.RawPatch(types.JSONPatchType, []byte(`[{"op":"replace","path":"/spec/containers/0/image","value":"x"}]`))))
		}, "of that of a pod nothing",
	},
}

func execsInKubeSystem(fc *fakeCluster, _ client.Client) string {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: fc.namespace}, Spec: template().Spec}
	p.Spec.NodeName = "node"
	if err := admin.Create(fc.ctx, p); err != nil && !apierrors.IsAlreadyExists(err) {
		return answer(err)
	}
	kube, err := kubernetes.NewForConfig(asManager)
	fc.must(err)
	exec := kube.CoreV1().RESTClient().Post().Namespace(p.Namespace).Resource("pods").Name(p.Name).SubResource("exec").Param("command", "id").Param("stdout", "true")
	return answer(exec.Do(fc.ctx).Error())
}

// aMountCheck is a pod as the operator makes it.
func aMountCheck(fc *fakeCluster) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: fc.namespace, GenerateName: "check-"}}
	p.Spec = aMover(fc).Spec.Template.Spec
	p.Spec.Containers[0].Command, p.Spec.Containers[0].Args = nil, []string{restore.MountCheckCommand}
	p.Spec.Volumes = slices.DeleteFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.Secret != nil })
	p.Spec.Containers[0].VolumeMounts = nil
	return p
}

// aMover is a Job as the operator makes it.
func aMover(fc *fakeCluster) *batchv1.Job {
	job := resticexport.Job(resticexport.JobInput{
		Namespace: fc.namespace, Name: "mover", Image: ownImage, Repository: "offsite", Source: "data",
		Spec: &v1alpha1.ResticRepositorySpec{
			PasswordSecretRef: v1alpha1.SecretKeyReference{Name: "p", Key: "password"},
			Backend:           v1alpha1.RepositoryBackend{Volume: &v1alpha1.VolumeBackend{ClaimName: "disk"}},
		},
	})
	job.Name, job.GenerateName = "", "mover-"
	return job
}

func aPodThat(change func(*corev1.PodSpec)) func(*fakeCluster, client.Client) string {
	return func(fc *fakeCluster, as client.Client) string {
		p := aMountCheck(fc)
		change(&p.Spec)
		return answer(as.Create(fc.ctx, p, client.DryRunAll))
	}
}

func aMoverThat(change func(*corev1.PodSpec)) func(*fakeCluster, client.Client) string {
	return func(fc *fakeCluster, as client.Client) string {
		job := aMover(fc)
		change(&job.Spec.Template.Spec)
		return answer(as.Create(fc.ctx, job, client.DryRunAll))
	}
}

// aVolume is a volume of the fake cluster's driver, for a claim or for nobody.
func (fc *fakeCluster) aVolume(name string, of *corev1.ObjectReference) *corev1.PersistentVolume {
	fc.Helper()
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{GenerateName: fc.namespace + "-" + name + "-", Finalizers: []string{"lull.test/held"}}}
	v.Spec = corev1.PersistentVolumeSpec{
		Capacity: fc.newClaim(name).Spec.Resources.Requests, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, ClaimRef: of,
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: fc.driver, VolumeHandle: name}},
	}
	fc.create(v)
	return v
}

func changesAVolume(patch string) func(*fakeCluster, client.Client) string {
	return func(fc *fakeCluster, as client.Client) string {
		v := fc.aVolume("data", &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: fc.namespace, Name: "data", UID: "1"})
		return answer(as.Patch(fc.ctx, v, client.RawPatch(types.MergePatchType, []byte(patch))))
	}
}

func changesADeployment(patch string) func(*fakeCluster, client.Client) string {
	return func(fc *fakeCluster, as client.Client) string {
		return answer(as.Patch(fc.ctx, fc.theDeployment(), client.RawPatch(types.JSONPatchType, []byte(patch))))
	}
}

// theDeployment is the only one of the namespace.
func (fc *fakeCluster) theDeployment() *appsv1.Deployment {
	fc.Helper()
	d := &appsv1.Deployment{}
	if err := admin.Get(fc.ctx, client.ObjectKey{Namespace: fc.namespace, Name: "db"}, d); apierrors.IsNotFound(err) {
		return fc.aDeployment("db", template("data"))
	} else if err != nil {
		fc.Fatal(err)
	}
	return d
}

// The bounds leave the operator what it does.
func TestTheOperatorMayDoWhatItDoes(t *testing.T) {
	fc := aFakeCluster(t)
	check, job, d := aMountCheck(fc), aMover(fc), fc.theDeployment()
	v := fc.aVolume("data", &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: fc.namespace, Name: "data", UID: "1"})
	v.Annotations = map[string]string{"pv.kubernetes.io/bound-by-controller": "yes", "team": "shop"}
	fc.must(admin.Update(fc.ctx, v))
	pod := fc.anApplication("more")
	privileged := aMover(fc)
	privileged.Spec.Template.Spec.Containers[0].SecurityContext.Capabilities.Add = []corev1.Capability{"DAC_READ_SEARCH"}
	for what, try := range map[string]func() error{
		"a mount check": func() error { return operator.Create(fc.ctx, check) },
		"one of another version": func() error {
			check := aMountCheck(fc)
			check.Spec.Containers[0].Image = "lull.dev/lull@sha256:0123456789012345678901234567890123456789012345678901234567890123"
			return operator.Create(fc.ctx, check)
		},
		"a mover":            func() error { return operator.Create(fc.ctx, job) },
		"a privileged mover": func() error { return operator.Create(fc.ctx, privileged) },
		"a volume reserved": func() error {
			reserved := v.DeepCopy()
			reserved.Spec.ClaimRef = &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: fc.namespace, Name: "other"}
			reserved.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
			reserved.Annotations = map[string]string{"team": "shop"}
			reserved.Labels = map[string]string{v1alpha1.LabelRestoreUID: "1", v1alpha1.LabelPrevious: "true"}
			return operator.Patch(fc.ctx, reserved, client.MergeFrom(v))
		},
		"an application stopped, and led to other claims": func() error {
			led := d.DeepCopy()
			led.Spec.Replicas, led.Spec.Paused = ptr.To[int32](0), true
			led.Annotations = map[string]string{"restored.lull.dev/monday": "1"}
			led.Spec.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName = "other"
			return operator.Patch(fc.ctx, led, client.MergeFrom(d))
		},
		"a pod annotated": func() error {
			annotated := pod.DeepCopy()
			annotated.Annotations = maps.Clone(pod.Annotations)
			metav1.SetMetaDataAnnotation(&annotated.ObjectMeta, v1alpha1.AnnotationResync, "1")
			return operator.Patch(fc.ctx, annotated, client.MergeFrom(pod))
		},
	} {
		if err := try(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
