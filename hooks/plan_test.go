package hooks

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func reasonOf(err error) string {
	var problem *v1alpha1.Problem
	if errors.As(err, &problem) {
		return problem.Reason
	}
	return ""
}

func TestResolve(t *testing.T) {
	type ann = map[string]string
	hold := &v1alpha1.QuiesceSpec{Hold: &v1alpha1.HookCommand{Command: []string{"mine"}, Container: "c"}}
	held := func(timeout time.Duration) *v1alpha1.QuiesceSpec {
		spec := hold.DeepCopy()
		spec.Timeout = &metav1.Duration{Duration: timeout}
		return spec
	}
	for name, c := range map[string]struct {
		spec        *v1alpha1.QuiesceSpec
		annotations ann
		method      v1alpha1.QuiesceMethod
		pre, post   string
		hold        string
		container   string
		timeout     time.Duration
		onFailure   v1alpha1.OnFailure
		warning     string
		warns       string
		reason      string
		says        string
	}{
		"nothing":                         {method: v1alpha1.MethodNone},
		"a recipe by annotation":          {annotations: ann{"lull.dev/quiesce": "mariadb"}, method: v1alpha1.MethodHold, hold: "timeout 35 /bin/sh"},
		"a recipe by spec":                {spec: &v1alpha1.QuiesceSpec{Recipe: "mysql", Timeout: &metav1.Duration{Duration: time.Minute}}, method: v1alpha1.MethodHold, hold: "timeout 65 /bin/sh", timeout: time.Minute},
		"spec over annotation":            {spec: hold, annotations: ann{"lull.dev/quiesce": "mariadb"}, method: v1alpha1.MethodHold, hold: "mine", container: "c"},
		"each field by itself":            {spec: &v1alpha1.QuiesceSpec{OnFailure: "Continue"}, annotations: ann{"lull.dev/hold-hook": "h", "lull.dev/hook-timeout": "5s", "lull.dev/hook-container": "x", "lull.dev/hook-on-failure": "Fail"}, method: v1alpha1.MethodHold, hold: "/bin/sh -c h", container: "x", timeout: 5 * time.Second, onFailure: v1alpha1.OnFailureContinue},
		"a string for the shell":          {annotations: ann{"lull.dev/pre-hook": "a b", "lull.dev/post-hook": `["c","d e"]`}, method: v1alpha1.MethodHooks, pre: "/bin/sh -c a b", post: "c d e"},
		"a shell's own brackets":          {annotations: ann{"lull.dev/pre-hook": "[ -f x ]", "lull.dev/post-hook": "true"}, method: v1alpha1.MethodHooks, pre: "/bin/sh -c [ -f x ]", post: "/bin/sh -c true"},
		"the seed's":                      {annotations: ann{"backups.example.com.pre-hook": "a", "backups.example.com.post-hook": "b"}, method: v1alpha1.MethodHooks, pre: "/bin/sh -c a", post: "/bin/sh -c b"},
		"Velero's":                        {annotations: ann{"pre.hook.backup.velero.io/command": `["/bin/x","-y"]`, "pre.hook.backup.velero.io/container": "v", "pre.hook.backup.velero.io/on-error": "Continue", "pre.hook.backup.velero.io/timeout": "1m", "post.hook.backup.velero.io/command": "/bin/z"}, method: v1alpha1.MethodHooks, pre: "/bin/x -y", post: "/bin/z", container: "v", timeout: time.Minute, onFailure: v1alpha1.OnFailureContinue},
		"Velero's pre alone":              {annotations: ann{"pre.hook.backup.velero.io/command": "/bin/sync"}, method: v1alpha1.MethodHooks, pre: "/bin/sync", warning: v1alpha1.ReasonUnpairedHook, warns: "without post.hook.backup.velero.io/command"},
		"Velero's post alone":             {annotations: ann{"post.hook.backup.velero.io/command": "/bin/sync"}, method: v1alpha1.MethodHooks, post: "/bin/sync", warning: v1alpha1.ReasonUnpairedHook, warns: "without pre.hook.backup.velero.io/command"},
		"Velero's pre alone under spec's": {spec: hold, annotations: ann{"pre.hook.backup.velero.io/command": "/bin/sync"}, method: v1alpha1.MethodHold, hold: "mine", container: "c"},
		"the seed's pre alone":            {annotations: ann{"backups.example.com.pre-hook": "a"}, reason: v1alpha1.ReasonInvalidHook, says: "backups.example.com.post-hook"},
		"the seed's post alone":           {annotations: ann{"backups.example.com.post-hook": "b"}, method: v1alpha1.MethodHooks, post: "/bin/sh -c b", warning: v1alpha1.ReasonUnpairedHook, warns: "without backups.example.com.pre-hook"},
		"the seed's pre alone, and spec":  {spec: hold, annotations: ann{"backups.example.com.pre-hook": "a"}, method: v1alpha1.MethodHold, hold: "mine", container: "c", warning: v1alpha1.ReasonInvalidHook},
		"ours over theirs":                {annotations: ann{"lull.dev/quiesce": "mariadb", "backups.example.com.pre-hook": "a"}, method: v1alpha1.MethodHold, hold: "timeout 35", warning: v1alpha1.ReasonConflictingHooks},
		"our timeout over theirs":         {annotations: ann{"lull.dev/hook-timeout": "9s", "pre.hook.backup.velero.io/command": "x", "post.hook.backup.velero.io/command": "y", "pre.hook.backup.velero.io/timeout": "1m"}, method: v1alpha1.MethodHooks, pre: "x", post: "y", timeout: 9 * time.Second},
		"a useless hook":                  {annotations: ann{"lull.dev/pre-hook": "mysql -e 'FLUSH  tables with\nread lock;'", "lull.dev/post-hook": "x"}, method: v1alpha1.MethodHooks, pre: "/bin/sh", post: "/bin/sh", warning: v1alpha1.ReasonUselessHook},
		"no such recipe":                  {annotations: ann{"lull.dev/quiesce": "oracle"}, reason: v1alpha1.ReasonUnknownRecipe},
		"Elasticsearch":                   {annotations: ann{"lull.dev/quiesce": "elasticsearch"}, reason: v1alpha1.ReasonUnknownRecipe},
		"OpenSearch":                      {annotations: ann{"lull.dev/quiesce": "opensearch"}, reason: v1alpha1.ReasonUnknownRecipe, says: "use its snapshot API"},
		"etcd":                            {annotations: ann{"lull.dev/quiesce": "etcd"}, reason: v1alpha1.ReasonUnknownRecipe, says: "etcdctl snapshot save"},
		"an empty recipe":                 {annotations: ann{"lull.dev/quiesce": " "}, reason: v1alpha1.ReasonInvalidHook, says: "mariadb, mongodb, mysql"},
		"broken JSON":                     {annotations: ann{"lull.dev/hold-hook": `["a",`}, reason: v1alpha1.ReasonInvalidHook},
		"an empty command":                {annotations: ann{"lull.dev/hold-hook": " "}, reason: v1alpha1.ReasonInvalidHook},
		"an empty array":                  {annotations: ann{"lull.dev/hold-hook": "[]"}, reason: v1alpha1.ReasonInvalidHook},
		"a timeout without a unit":        {annotations: ann{"lull.dev/hold-hook": "a", "lull.dev/hook-timeout": "30"}, reason: v1alpha1.ReasonInvalidHook},
		"a timeout of nothing":            {annotations: ann{"lull.dev/hold-hook": "a", "lull.dev/hook-timeout": "0s"}, reason: v1alpha1.ReasonInvalidHook},
		"another way on":                  {annotations: ann{"lull.dev/hold-hook": "a", "lull.dev/hook-on-failure": "Ignore"}, reason: v1alpha1.ReasonInvalidHook},
		"two ways at once":                {annotations: ann{"lull.dev/hold-hook": "a", "lull.dev/quiesce": "mysql"}, reason: v1alpha1.ReasonConflictingHooks},
		"a pre-hook and no post":          {annotations: ann{"lull.dev/pre-hook": "a"}, reason: v1alpha1.ReasonInvalidHook},
		"a bad timeout that stands":       {spec: hold, annotations: ann{"lull.dev/hook-timeout": "soon"}, reason: v1alpha1.ReasonInvalidHook},
		"a bad timeout, no hooks":         {annotations: ann{"lull.dev/hook-timeout": "soon"}, reason: v1alpha1.ReasonInvalidHook},
		"our bad timeout over theirs":     {annotations: ann{"lull.dev/hook-timeout": "soon", "pre.hook.backup.velero.io/command": "x", "pre.hook.backup.velero.io/timeout": "1m"}, reason: v1alpha1.ReasonInvalidHook},
		"a bad timeout under spec's":      {spec: held(5 * time.Second), annotations: ann{"lull.dev/hook-timeout": "soon"}, method: v1alpha1.MethodHold, hold: "mine", container: "c", timeout: 5 * time.Second, warning: v1alpha1.ReasonInvalidHook},
		"a bad way on under spec's":       {spec: &v1alpha1.QuiesceSpec{OnFailure: "Continue"}, annotations: ann{"lull.dev/hold-hook": "h", "lull.dev/hook-on-failure": "Ignore"}, method: v1alpha1.MethodHold, hold: "/bin/sh -c h", onFailure: v1alpha1.OnFailureContinue, warning: v1alpha1.ReasonInvalidHook},
		"a bad command under spec's":      {spec: hold, annotations: ann{"lull.dev/hold-hook": "["}, method: v1alpha1.MethodHold, hold: "mine", container: "c", warning: v1alpha1.ReasonInvalidHook},
		"two ways under spec's":           {spec: hold, annotations: ann{"lull.dev/hold-hook": "a", "lull.dev/quiesce": "mysql"}, method: v1alpha1.MethodHold, hold: "mine", container: "c", warning: v1alpha1.ReasonConflictingHooks},
		"Velero's stray timeout":          {annotations: ann{"lull.dev/hold-hook": "h", "pre.hook.backup.velero.io/timeout": "30"}, method: v1alpha1.MethodHold, hold: "/bin/sh -c h", warning: v1alpha1.ReasonInvalidHook},
		"Velero's bad hook under ours":    {annotations: ann{"lull.dev/hold-hook": "h", "pre.hook.backup.velero.io/command": "[", "pre.hook.backup.velero.io/on-error": "Ignore"}, method: v1alpha1.MethodHold, hold: "/bin/sh -c h", warning: v1alpha1.ReasonInvalidHook},
		"Velero's bad timeout under ours": {annotations: ann{"lull.dev/hook-timeout": "9s", "pre.hook.backup.velero.io/command": "x", "post.hook.backup.velero.io/command": "y", "pre.hook.backup.velero.io/timeout": "30"}, method: v1alpha1.MethodHooks, pre: "x", post: "y", timeout: 9 * time.Second, warning: v1alpha1.ReasonInvalidHook},
		"Velero's bad timeout":            {annotations: ann{"pre.hook.backup.velero.io/command": "x", "pre.hook.backup.velero.io/timeout": "30"}, reason: v1alpha1.ReasonInvalidHook},
		"Velero's bad hook":               {annotations: ann{"pre.hook.backup.velero.io/command": "["}, reason: v1alpha1.ReasonInvalidHook},
		"our container over theirs":       {annotations: ann{"lull.dev/hook-container": "x", "pre.hook.backup.velero.io/command": "a", "pre.hook.backup.velero.io/container": "v", "post.hook.backup.velero.io/command": "b"}, method: v1alpha1.MethodHooks, pre: "a", post: "b", container: "x"},
		"another system's bad timeout":    {annotations: ann{"backups.example.com.pre-hook": "a", "backups.example.com.post-hook": "b", "pre.hook.backup.velero.io/timeout": "30"}, method: v1alpha1.MethodHooks, pre: "/bin/sh -c a", post: "/bin/sh -c b", warning: v1alpha1.ReasonInvalidHook},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := Resolve(c.spec, c.annotations, Limits{})
			if reasonOf(err) != c.reason || c.says != "" && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want reason %q and %q", err, c.reason, c.says)
			}
			if c.reason != "" {
				return
			}
			if q.Method != c.method || q.Timeout != cmp.Or(c.timeout, DefaultTimeout) || q.OnFailure != cmp.Or(c.onFailure, v1alpha1.OnFailureFail) {
				t.Errorf("got %+v", q)
			}
			for _, cmd := range []struct {
				got  Command
				want string
			}{{q.Hold, c.hold}, {q.Pre, c.pre}, {q.Post, c.post}} {
				if got := strings.Join(cmd.got.Args, " "); !strings.HasPrefix(got, cmd.want) || (cmd.want == "") != (got == "") {
					t.Errorf("got command %q, want %q", got, cmd.want)
				}
			}
			if got := cmp.Or(q.Hold.Container, q.Pre.Container); got != c.container {
				t.Errorf("container %q, want %q", got, c.container)
			}
			if has := slices.ContainsFunc(q.Warnings, func(w Warning) bool { return w.Reason == c.warning && strings.Contains(w.Message, c.warns) }); has != (c.warning != "") {
				t.Errorf("warnings %v, want %q", q.Warnings, c.warning)
			}
		})
	}
}

func aPod(change func(*corev1.Pod)) *corev1.Pod {
	running := func(name string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "u"},
		Spec: corev1.PodSpec{
			Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}},
			Containers: []corev1.Container{
				{Name: "proxy"},
				{Name: "db", VolumeMounts: []corev1.VolumeMount{{Name: "v"}}},
			},
		},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{running("proxy"), running("db")}},
	}
	if change != nil {
		change(pod)
	}
	return pod
}

func TestAim(t *testing.T) {
	hold := QuiescePlan{Method: v1alpha1.MethodHold, Hold: Command{Args: []string{"h"}}}
	crashed := func(p *corev1.Pod) {
		p.Status.ContainerStatuses[1].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	}
	beside := func(p *corev1.Pod) {
		db := p.Spec.Containers[1]
		db.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		p.Spec.Containers, p.Spec.InitContainers = p.Spec.Containers[:1], []corev1.Container{db}
		p.Status.InitContainerStatuses, p.Status.ContainerStatuses = p.Status.ContainerStatuses[1:], p.Status.ContainerStatuses[:1]
	}
	before := func(p *corev1.Pod) {
		beside(p)
		p.Spec.InitContainers[0].RestartPolicy = nil
	}
	for name, c := range map[string]struct {
		quiet     QuiescePlan
		pod       *corev1.Pod
		container string
		reason    string
		says      string
	}{
		"the container that mounts the claim": {quiet: hold, pod: aPod(nil), container: "db"},
		"the container that is named":         {quiet: QuiescePlan{Hold: Command{Args: []string{"h"}, Container: "proxy"}}, pod: aPod(nil), container: "proxy"},
		"no such container":                   {quiet: QuiescePlan{Hold: Command{Args: []string{"h"}, Container: "nope"}}, pod: aPod(nil), reason: v1alpha1.ReasonContainerNotFound, says: "[proxy db]"},
		"a sidecar that mounts the claim":     {quiet: hold, pod: aPod(beside), container: "db"},
		"only what ran before mounts it":      {quiet: hold, pod: aPod(before), reason: v1alpha1.ReasonContainerNotFound, says: "no container of pod p mounts a volume that is backed up (data), so none is chosen to run a hook in: name one of proxy, by the annotation lull.dev/hook-container"},
		"none mounts it":                      {quiet: hold, pod: aPod(func(p *corev1.Pod) { p.Spec.Containers[1].VolumeMounts = nil }), reason: v1alpha1.ReasonContainerNotFound, says: "one of proxy, db"},
		"none mounts it, and one is named":    {quiet: QuiescePlan{Hold: Command{Args: []string{"h"}, Container: "proxy"}}, pod: aPod(func(p *corev1.Pod) { p.Spec.Containers[1].VolumeMounts = nil }), container: "proxy"},
		"none mounts it, as Velero has it":    {quiet: QuiescePlan{Hold: Command{Args: []string{"h"}, InFirst: true}}, pod: aPod(before), container: "proxy"},
		"a container that doesn't run":        {quiet: hold, pod: aPod(crashed), reason: v1alpha1.ReasonPodNotRunning, says: "CrashLoopBackOff"},
	} {
		t.Run(name, func(t *testing.T) {
			target, err := c.quiet.ForPod(c.pod, []string{"data"})
			if reasonOf(err) != c.reason || (err != nil && !strings.Contains(err.Error(), c.says)) {
				t.Fatalf("got %v", err)
			}
			if target.Container() != c.container {
				t.Errorf("got %q", target.Container())
			}
		})
	}
}

// A hook may reach the application over the network: it is run, and told.
func TestAHookInAContainerWithoutTheVolumeIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		container string
		says      string
	}{
		"one that mounts the claim": {container: "db"},
		"another":                   {container: "proxy", says: "container proxy, which mounts none of the volumes that are backed up. Those that do are db"},
	} {
		pod := aPod(nil)
		target, err := QuiescePlan{Method: v1alpha1.MethodHold, Hold: Command{Args: []string{"h"}, Container: c.container}}.ForPod(pod, []string{"data"})
		if err != nil {
			t.Fatal(err)
		}
		warned := target.Elsewhere(pod, []string{"data"})
		if len(warned) > 1 || (len(warned) == 1) != (c.says != "") || c.says != "" && (warned[0].Reason != v1alpha1.ReasonContainerMountsNone || !strings.Contains(warned[0].Message, c.says)) {
			t.Errorf("%s: %v", name, warned)
		}
	}
}

// What an application is annotated with for Velero means the same here.
func TestVelerosHooksRunWhereVeleroRunsThem(t *testing.T) {
	type ann = map[string]string
	for name, c := range map[string]struct {
		annotations ann
		pre, post   string
	}{
		"in the pod's first container":       {annotations: ann{}, pre: "proxy", post: "proxy"},
		"in the containers that they name":   {annotations: ann{"pre.hook.backup.velero.io/container": "db"}, pre: "db", post: "proxy"},
		"in the one that ours name for both": {annotations: ann{"lull.dev/hook-container": "db"}, pre: "db", post: "db"},
	} {
		t.Run(name, func(t *testing.T) {
			c.annotations["pre.hook.backup.velero.io/command"] = "freeze"
			c.annotations["post.hook.backup.velero.io/command"] = "thaw"
			quiet, err := Resolve(nil, c.annotations, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			target, err := quiet.ForPod(aPod(nil), []string{"data"})
			if err != nil {
				t.Fatal(err)
			}
			if target.Pre.Container != c.pre || target.Post.Container != c.post {
				t.Errorf("in %q and %q, want %q and %q", target.Pre.Container, target.Post.Container, c.pre, c.post)
			}
		})
	}
}

// A post-hook's limit is for it alone, and goes where it goes.
func TestVelerosPostHookHasItsOwnLimit(t *testing.T) {
	type ann = map[string]string
	own := &v1alpha1.QuiesceSpec{Pre: &v1alpha1.HookCommand{Command: []string{"a"}}, Post: &v1alpha1.HookCommand{Command: []string{"b"}}}
	for name, c := range map[string]struct {
		spec        *v1alpha1.QuiesceSpec
		annotations ann
		timeout     time.Duration
		warns       string
		reason      string
	}{
		"none is given":                  {},
		"its own":                        {annotations: ann{"post.hook.backup.velero.io/timeout": "45s"}, timeout: 45 * time.Second},
		"the pre-hook's":                 {annotations: ann{"pre.hook.backup.velero.io/timeout": "45s"}},
		"one that can't be read":         {annotations: ann{"post.hook.backup.velero.io/timeout": "45"}, reason: v1alpha1.ReasonInvalidHook},
		"under ours":                     {annotations: ann{"post.hook.backup.velero.io/timeout": "45s", "lull.dev/pre-hook": "a", "lull.dev/post-hook": "b"}, warns: "hooks of several systems"},
		"under the spec's":               {spec: own, annotations: ann{"post.hook.backup.velero.io/timeout": "45s"}},
		"one that can't be read, unused": {spec: own, annotations: ann{"post.hook.backup.velero.io/timeout": "45"}, warns: "post.hook.backup.velero.io/timeout"},
		"it may fail, it says":           {annotations: ann{"post.hook.backup.velero.io/on-error": "Continue"}, warns: "post.hook.backup.velero.io/on-error"},
		"it may not fail":                {annotations: ann{"post.hook.backup.velero.io/on-error": "Fail"}},
		"it may fail, unused":            {spec: own, annotations: ann{"post.hook.backup.velero.io/on-error": "Continue"}},
	} {
		t.Run(name, func(t *testing.T) {
			annotations := ann{"pre.hook.backup.velero.io/command": "freeze", "post.hook.backup.velero.io/command": "thaw"}
			maps.Copy(annotations, c.annotations)
			q, err := Resolve(c.spec, annotations, Limits{})
			if reasonOf(err) != c.reason {
				t.Fatalf("got %v, want %q", err, c.reason)
			}
			if q.Post.Timeout != c.timeout {
				t.Errorf("%s, want %s", q.Post.Timeout, c.timeout)
			}
			if len(q.Warnings) > 1 || (len(q.Warnings) == 1) != (c.warns != "") || c.warns != "" && !strings.Contains(q.Warnings[0].Message, c.warns) {
				t.Errorf("warnings %v, want one that says %q", q.Warnings, c.warns)
			}
		})
	}
}
