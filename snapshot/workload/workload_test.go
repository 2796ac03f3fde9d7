package workload

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, UID: "uid-" + "x"} }

func mounting(claims ...string) corev1.PodSpec {
	spec := corev1.PodSpec{NodeName: "node"}
	for _, c := range claims {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "v-" + c, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c},
		}})
	}
	return spec
}

func aSet(replicas int32) *appsv1.StatefulSet {
	s := &appsv1.StatefulSet{ObjectMeta: named("db")}
	s.Spec.Replicas, s.Spec.Ordinals = &replicas, &appsv1.StatefulSetOrdinals{Start: 3}
	s.Spec.Template.Spec = mounting("shared")
	s.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
	return s
}

// Every kind that makes pods is read from its own kind of object.
func TestEveryKindIsRead(t *testing.T) {
	for _, kind := range []v1alpha1.ApplicationKind{
		v1alpha1.KindDeployment, v1alpha1.KindStatefulSet, v1alpha1.KindDaemonSet, v1alpha1.KindReplicaSet, v1alpha1.KindReplicationController,
	} {
		obj := Empty(kind)
		obj.SetName("x")
		w := Of(obj, nil)
		if w == nil || w.Ref != (v1alpha1.ApplicationReference{Kind: kind, Name: "x"}) || w.Object != obj {
			t.Errorf("%s is read as %+v", kind, w)
		}
	}
	for _, kind := range []v1alpha1.ApplicationKind{v1alpha1.KindPod, v1alpha1.KindPersistentVolumeClaim} {
		if Empty(kind) != nil || IsScalable(kind) {
			t.Errorf("a %s makes no pods", kind)
		}
	}
	if Of(nil, nil) != nil {
		t.Error("nothing is read from nothing")
	}
}

func TestClaimsOfAStatefulSet(t *testing.T) {
	w := Of(aSet(2), nil)
	if got, err := w.Claims(); err != nil || !slices.Equal(got, []string{"shared", "data-db-3", "data-db-4"}) || w.IsAtZero() {
		t.Errorf("mounts %v, %v", got, err)
	}
	there := []string{"data-db-0", "data-db-x", "data-db-", "data-other-0", "xdata-db-0", "data-db-17"}
	if got := Of(aSet(0), nil).ClaimsHad(there); !slices.Equal(got, []string{"data-db-0", "data-db-17"}) {
		t.Errorf("its replicas had %v", got)
	}
	if !Of(aSet(0), nil).IsAtZero() {
		t.Error("without replicas its claims are those that they had")
	}
	if template, ordinal := w.ClaimTemplate("data-db-17"); template == nil || ordinal != "17" || !w.MayMount("data-db-17") || w.MayMount("data-other-0") {
		t.Errorf("template %v of ordinal %q", template, ordinal)
	}
	if got, ok := w.SameReplica("data-old-2", "old"); got != "data-db-2" || !ok {
		t.Errorf("the same replica's claim is %q, %t", got, ok)
	}
}

// Which claims it mounts is told by their names alone, as by a list of them.
func TestMountedClaims(t *testing.T) {
	m := Of(aSet(2), nil).MountedClaims()
	for claim, want := range map[string]bool{
		"shared": true, "data-db-3": true, "data-db-4": true,
		"data-db-2": false, "data-db-5": false, "data-db-03": false, "data-db-99999999999999999999": false, "data-db-x": false, "data-other-3": false, "log-db-3": false,
	} {
		if m.Mounts(claim) != want {
			t.Errorf("%s is mounted: %t", claim, !want)
		}
	}
	if m.Count() != 3 || !m.May("data-db-17") || m.May("data-db-x") {
		t.Errorf("there are %d", m.Count())
	}
	twice := aSet(0)
	twice.Spec.Template.Spec = mounting("shared", "shared")
	if got := Of(twice, nil).MountedClaims().Count(); got != 1 {
		t.Errorf("one that is named twice counts %d times", got)
	}
}

// A few words in a spec stand for millions of claims: nobody makes us hold their names.
func TestMillionsOfClaimsAreNotHeldInMemory(t *testing.T) {
	set := aSet(200_000)
	set.Spec.VolumeClaimTemplates = nil
	for i := range 20 {
		set.Spec.VolumeClaimTemplates = append(set.Spec.VolumeClaimTemplates, corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("data%d", i)}})
	}
	w := Of(set, nil)
	var problem *v1alpha1.Problem
	var err error
	made := testing.AllocsPerRun(1, func() { _, err = w.Claims() })
	if !errors.As(err, &problem) || problem.Reason != v1alpha1.ReasonLimitExceeded || !strings.Contains(problem.Message, "mounts 4000001 claims") {
		t.Errorf("it is refused by %v", err)
	}
	isMounted := false
	made += testing.AllocsPerRun(1, func() { isMounted = w.MayMount("data7-db-150000") })
	if !isMounted || made > 200 {
		t.Errorf("it mounts it: %t; %v objects were made for the answers", isMounted, made)
	}
}

// The claim of a generic ephemeral volume is the pod's as any other, and the spec
// doesn't name it: a template's is made for each pod by its name.
func TestClaimsOfAPod(t *testing.T) {
	p := mountedBy(scratch)
	if got := ClaimsOf(p); !slices.Equal(got, []string{"data", "log", "web-scratch"}) {
		t.Errorf("its claims are %v", got)
	}
	if got := NamedClaims(&p.Spec); !slices.Equal(got, []string{"data", "log"}) {
		t.Errorf("it names %v", got)
	}
	if got := DepartureOf(p, time.Time{}).Claims; !slices.Contains(got, "web-scratch") {
		t.Errorf("it left with %v", got)
	}
}

// mountedBy is a pod that has the claims data and log, at v-data and v-log.
func mountedBy(change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{Spec: mounting("data", "log")}
	for _, c := range change {
		c(p)
	}
	return p
}

func container(name string, mounts ...corev1.VolumeMount) corev1.Container {
	return corev1.Container{Name: name, VolumeMounts: mounts}
}

func at(volume string) corev1.VolumeMount { return corev1.VolumeMount{Name: volume, MountPath: "/x"} }

func onlyToRead(m corev1.VolumeMount) corev1.VolumeMount {
	m.ReadOnly = true
	return m
}

func regular(all ...corev1.Container) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers = all }
}

func initial(policy *corev1.ContainerRestartPolicy, all ...corev1.Container) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, c := range all {
			c.RestartPolicy = policy
			p.Spec.InitContainers = append(p.Spec.InitContainers, c)
		}
	}
}

func ephemeral(mounts ...corev1.VolumeMount) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", VolumeMounts: mounts}}}
	}
}

func ended(name string, code int32) []corev1.ContainerStatus {
	return []corev1.ContainerStatus{{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}}}
}

func initEnded(code int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.InitContainerStatuses = ended("init", code) }
}

// scratch makes it the pod web, with a generic ephemeral volume.
func scratch(p *corev1.Pod) {
	p.Name = "web"
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}})
}

func rejected(p *corev1.Pod) {
	p.Status.Phase, p.Status.Message = corev1.PodFailed, "Pod was rejected: no room"
}

func debugEnded(p *corev1.Pod) { p.Status.EphemeralContainerStatuses = ended("debug", 1) }

func volumeToRead(p *corev1.Pod) { p.Spec.Volumes[0].PersistentVolumeClaim.ReadOnly = true }

var sidecar = ptr.To(corev1.ContainerRestartPolicyAlways)

func TestWhoMountsWhat(t *testing.T) {
	writer := regular(container("db", at("v-data"), at("v-log")))
	reader := regular(container("db", onlyToRead(at("v-data"))))
	deep := onlyToRead(at("v-data"))
	deep.RecursiveReadOnly = ptr.To(corev1.RecursiveReadOnlyEnabled)
	folder := onlyToRead(at("v-data"))
	folder.SubPath = "a"
	device := corev1.Container{Name: "db", VolumeDevices: []corev1.VolumeDevice{{Name: "v-data", DevicePath: "/dev/x"}}}
	for name, c := range map[string]struct {
		pod            *corev1.Pod
		claims         []string
		mounts, writes bool
	}{
		"of a volume made for the pod":        {mountedBy(scratch, regular(container("db", at("scratch")))), []string{"web-scratch"}, true, true},
		"of one that it only reads":           {mountedBy(scratch, regular(container("db", onlyToRead(at("scratch"))))), []string{"web-scratch"}, true, false},
		"of one made for another pod":         {mountedBy(scratch, regular(container("db", at("scratch")))), []string{"db-scratch"}, false, false},
		"one of them":                         {mountedBy(writer), []string{"data"}, true, true},
		"another":                             {mountedBy(writer), []string{"other"}, false, false},
		"nothing asked":                       {mountedBy(writer), nil, false, false},
		"its node didn't take it":             {mountedBy(writer, rejected), []string{"data"}, true, false},
		"without a node":                      {mountedBy(writer, func(p *corev1.Pod) { p.Spec.NodeName = "" }), []string{"data"}, false, false},
		"finished":                            {mountedBy(writer, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), []string{"data"}, true, true},
		"to read, by the volume":              {mountedBy(writer, volumeToRead), []string{"data"}, true, false},
		"to read one":                         {mountedBy(writer, volumeToRead), []string{"data", "log"}, true, true},
		"to read, by the mount":               {mountedBy(reader), []string{"data"}, true, false},
		"to read, with all below":             {mountedBy(regular(container("db", deep))), []string{"data"}, true, false},
		"to read a folder":                    {mountedBy(regular(container("db", folder))), []string{"data"}, true, false},
		"to read here and write there":        {mountedBy(regular(container("db", onlyToRead(at("v-data")), at("v-data")))), []string{"data"}, true, true},
		"to read, and another writes":         {mountedBy(regular(container("a", onlyToRead(at("v-data"))), container("b", at("v-data")))), []string{"data"}, true, true},
		"a volume that nobody mounts":         {mountedBy(regular(container("db", at("v-log")))), []string{"data"}, true, false},
		"a device":                            {mountedBy(regular(device)), []string{"data"}, true, true},
		"a device to read, by the volume":     {mountedBy(regular(device), volumeToRead), []string{"data"}, true, false},
		"a sidecar":                           {mountedBy(reader, initial(sidecar, container("init", at("v-data")))), []string{"data"}, true, true},
		"a sidecar to read":                   {mountedBy(initial(sidecar, container("init", onlyToRead(at("v-data"))))), []string{"data"}, true, false},
		"before it runs":                      {mountedBy(reader, initial(nil, container("init", at("v-data")))), []string{"data"}, true, true},
		"before it runs, done":                {mountedBy(reader, initial(nil, container("init", at("v-data"))), initEnded(0)), []string{"data"}, true, false},
		"before it runs, failed":              {mountedBy(reader, initial(nil, container("init", at("v-data"))), initEnded(1)), []string{"data"}, true, true},
		"somebody who looks into it":          {mountedBy(reader, ephemeral(at("v-data"))), []string{"data"}, true, true},
		"somebody who looked into it":         {mountedBy(reader, ephemeral(at("v-data")), debugEnded), []string{"data"}, true, false},
		"somebody who looks without touching": {mountedBy(reader, ephemeral(onlyToRead(at("v-data")))), []string{"data"}, true, false},
	} {
		if Mounts(c.pod, c.claims...) != c.mounts || Writes(c.pod, c.claims...) != c.writes {
			t.Errorf("%s: mounts %t, writes %t", name, Mounts(c.pod, c.claims...), Writes(c.pod, c.claims...))
		}
	}
}

// Who only reads is no writer, and who wrote and ended between two looks was one.
func TestWhoHasBegunToWrite(t *testing.T) {
	onlyReads := regular(container("db", onlyToRead(at("v-data"))))
	initialized := func(p *corev1.Pod) {
		initial(nil, container("init", at("v-data")))(p)
		initEnded(0)(p)
	}
	startsAnew := func(p *corev1.Pod) { initEnded(1)(p) }
	for name, c := range map[string]struct {
		before, after []func(*corev1.Pod)
		isNew, want   bool
	}{
		"as before":                         {before: []func(*corev1.Pod){onlyReads}, after: []func(*corev1.Pod){onlyReads}},
		"a pod that reads":                  {after: []func(*corev1.Pod){onlyReads}, isNew: true},
		"a pod that writes":                 {after: []func(*corev1.Pod){regular(container("db", at("v-data")))}, isNew: true, want: true},
		"a pod that wrote before it reads":  {after: []func(*corev1.Pod){onlyReads, initialized}, isNew: true, want: true},
		"that had written before":           {before: []func(*corev1.Pod){onlyReads, initialized}, after: []func(*corev1.Pod){onlyReads, initialized}},
		"that writes once more":             {before: []func(*corev1.Pod){onlyReads, initialized}, after: []func(*corev1.Pod){onlyReads, initialized, startsAnew}, want: true},
		"that was still to write":           {before: []func(*corev1.Pod){onlyReads, initialized, startsAnew}, after: []func(*corev1.Pod){onlyReads, initialized}},
		"somebody who looks into it":        {before: []func(*corev1.Pod){onlyReads}, after: []func(*corev1.Pod){onlyReads, ephemeral(at("v-data"))}, want: true},
		"somebody who has looked into it":   {before: []func(*corev1.Pod){onlyReads}, after: []func(*corev1.Pod){onlyReads, ephemeral(at("v-data")), debugEnded}, want: true},
		"somebody who looks and only reads": {before: []func(*corev1.Pod){onlyReads}, after: []func(*corev1.Pod){onlyReads, ephemeral(onlyToRead(at("v-data")))}},
		"a pod that its node didn't take":   {after: []func(*corev1.Pod){regular(container("db", at("v-data"))), rejected}, isNew: true},
	} {
		before, after := []corev1.Pod{}, []corev1.Pod{*mountedBy(c.after...)}
		if !c.isNew {
			before = append(before, *mountedBy(c.before...))
		}
		if got := HasNewWriter(Writers(before, []string{"data"}), Writers(after, []string{"data"})); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestMounting(t *testing.T) {
	for name, c := range map[string]struct {
		pod    *corev1.Pod
		claims []string
		want   []string
	}{
		"a volume made for the pod":   {mountedBy(scratch, regular(container("proxy"), container("a", at("scratch")))), []string{"web-scratch"}, []string{"a"}},
		"in order":                    {mountedBy(regular(container("proxy"), container("a", at("v-data")), container("b", at("v-log")))), []string{"data", "log"}, []string{"a", "b"}},
		"a writer before a reader":    {mountedBy(regular(container("a", onlyToRead(at("v-data"))), container("b", at("v-data")))), []string{"data"}, []string{"b", "a"}},
		"a sidecar after the regular": {mountedBy(regular(container("a", at("v-data"))), initial(sidecar, container("db", at("v-data")))), []string{"data"}, []string{"a", "db"}},
		"a sidecar that writes":       {mountedBy(regular(container("a", onlyToRead(at("v-data")))), initial(sidecar, container("db", at("v-data")))), []string{"data"}, []string{"db", "a"}},
		"not what ran before":         {mountedBy(regular(container("a")), initial(nil, container("init", at("v-data")))), []string{"data"}, nil},
		"not for a look":              {mountedBy(regular(container("a")), ephemeral(at("v-data"))), []string{"data"}, nil},
	} {
		if got := Mounting(c.pod, c.claims...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestFolderOf(t *testing.T) {
	under := func(path string, m corev1.VolumeMount) corev1.VolumeMount { m.MountPath = path; return m }
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"where it is mounted":            {mountedBy(regular(container("a", under("/other", at("v-log")), under("/data/", at("v-data"))))), "/data"},
		"by a sidecar":                   {mountedBy(regular(container("b")), initial(sidecar, container("a", under("/data", at("v-data"))))), "/data"},
		"to write, where it can do both": {mountedBy(regular(container("a", under("/ro", onlyToRead(at("v-data"))), under("/rw", at("v-data"))))), "/rw"},
		"not to read":                    {mountedBy(regular(container("a", under("/ro", onlyToRead(at("v-data")))))), ""},
		"not another's":                  {mountedBy(regular(container("a"), container("b", under("/data", at("v-data"))))), ""},
	} {
		if got := FolderOf(c.pod, "a", "data"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestOwnerRef(t *testing.T) {
	for name, c := range map[string]struct {
		owner *metav1.OwnerReference
		want  v1alpha1.ApplicationReference
		ok    bool
	}{
		"nobody":              {},
		"a StatefulSet":       {&metav1.OwnerReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db"}, v1alpha1.ApplicationReference{Kind: "StatefulSet", Name: "db"}, true},
		"of the core group":   {&metav1.OwnerReference{APIVersion: "v1", Kind: "ReplicationController", Name: "db"}, v1alpha1.ApplicationReference{Kind: "ReplicationController", Name: "db"}, true},
		"of somebody's group": {&metav1.OwnerReference{APIVersion: "apps.kruise.io/v1", Kind: "StatefulSet", Name: "db"}, v1alpha1.ApplicationReference{Kind: "StatefulSet", Name: "db"}, false},
		"of a kind not known": {&metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: "db"}, v1alpha1.ApplicationReference{Kind: "Job", Name: "db"}, false},
	} {
		pod := &corev1.Pod{}
		if c.owner != nil {
			c.owner.Controller = ptr.To(true)
			pod.OwnerReferences = []metav1.OwnerReference{*c.owner}
		}
		if got, ok := OwnerRef(pod); got != c.want || ok != c.ok {
			t.Errorf("%s: %+v, %t", name, got, ok)
		}
	}
}

func TestRepointLeavesOtherVolumesAlone(t *testing.T) {
	template := &corev1.PodTemplateSpec{Spec: mounting("data", "log")}
	template.Spec.Volumes = append(template.Spec.Volumes, corev1.Volume{Name: "v-empty"})
	Repoint(template, map[string]string{"v-data": "restored", "v-empty": "never"})
	w := &Workload{Template: *template}
	if w.ClaimAt("v-data") != "restored" || w.ClaimAt("v-log") != "log" || w.ClaimAt("v-empty") != "" || !slices.Equal(w.TemplateVolumes("log"), []string{"v-log"}) {
		t.Errorf("%+v", template.Spec.Volumes)
	}
}

// An owner reference is what whoever made the pod wrote.
func TestAPodIsAWorkloadsWhereThatSelectsIt(t *testing.T) {
	labelled := metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labelled.MatchLabels}}
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "db-1", UID: "set"}, Spec: appsv1.ReplicaSetSpec{Selector: &labelled}}
	for _, obj := range []Object{
		&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Selector: &labelled}},
		&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{UID: "set"}, Spec: appsv1.StatefulSetSpec{Selector: &labelled}},
		&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{UID: "set"}, Spec: appsv1.DaemonSetSpec{Selector: &labelled}},
		set,
		&corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{UID: "set"}, Spec: corev1.ReplicationControllerSpec{Selector: labelled.MatchLabels}},
		&corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{UID: "set"}, Spec: corev1.ReplicationControllerSpec{Template: &template}},
	} {
		w := Of(obj, []appsv1.ReplicaSet{*set})
		for name, c := range map[string]struct {
			owner  types.UID
			labels map[string]string
			is     bool
		}{
			"its own":             {"set", map[string]string{"app": "db", "more": "x"}, true},
			"forged":              {"set", nil, false},
			"labelled like those": {"other", map[string]string{"app": "db"}, false},
		} {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: c.labels, OwnerReferences: []metav1.OwnerReference{{UID: c.owner, Controller: ptr.To(true)}}}}
			if w.Owns(p) != c.is {
				t.Errorf("%T: a pod that is %s: %v", obj, name, !c.is)
			}
		}
	}
}
