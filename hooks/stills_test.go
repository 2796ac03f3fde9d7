package hooks

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestWhatAHoldKeepsStill(t *testing.T) {
	const note, files, commits = "lull.dev/hold-stills", v1alpha1.StillsFiles, v1alpha1.StillsCommits
	own := &v1alpha1.HookCommand{Command: []string{"h"}}
	for name, c := range map[string]struct {
		spec        *v1alpha1.QuiesceSpec
		annotations map[string]string
		want        v1alpha1.Stills
		warns       string
		refused     string
	}{
		"one's own":                            {spec: &v1alpha1.QuiesceSpec{Hold: own}, want: files},
		"one's own, by annotation":             {annotations: map[string]string{"lull.dev/hold-hook": "h"}, want: files},
		"as its owner says":                    {spec: &v1alpha1.QuiesceSpec{Hold: own, Stills: commits}, want: commits},
		"as its annotation says":               {annotations: map[string]string{"lull.dev/hold-hook": "h", note: " Commits "}, want: commits},
		"the spec stands over it":              {spec: &v1alpha1.QuiesceSpec{Stills: files}, annotations: map[string]string{"lull.dev/hold-hook": "h", note: "Commits"}, want: files},
		"the spec's hold, as annotated":        {spec: &v1alpha1.QuiesceSpec{Hold: own}, annotations: map[string]string{note: "Commits"}, want: commits},
		"a word that there isn't":              {annotations: map[string]string{"lull.dev/hold-hook": "h", note: "commits"}, refused: "write Files or Commits"},
		"such a word under the spec's":         {spec: &v1alpha1.QuiesceSpec{Stills: commits}, annotations: map[string]string{"lull.dev/hold-hook": "h", note: "all"}, want: commits, warns: "write Files or Commits"},
		"a recipe":                             {spec: &v1alpha1.QuiesceSpec{Recipe: "mysql"}, want: commits},
		"a recipe, and the same":               {spec: &v1alpha1.QuiesceSpec{Recipe: "mariadb", Stills: commits}, want: commits},
		"PostgreSQL's recipe":                  {annotations: map[string]string{"lull.dev/quiesce": "postgresql"}, want: commits},
		"a recipe can't be made more of":       {annotations: map[string]string{"lull.dev/quiesce": "mariadb", note: "Files"}, want: commits, warns: "The server of the recipe mariadb goes on writing its files"},
		"nor by the spec":                      {spec: &v1alpha1.QuiesceSpec{Stills: files}, annotations: map[string]string{"lull.dev/quiesce": "mariadb"}, want: commits, warns: "write a hold that stops all writing"},
		"a recipe, and such a word":            {annotations: map[string]string{"lull.dev/quiesce": "mariadb", note: "all"}, want: commits, warns: "write Files or Commits"},
		"fsfreeze's recipe":                    {annotations: map[string]string{"lull.dev/quiesce": "fsfreeze", note: "Files"}, want: files},
		"it can't be made less of":             {annotations: map[string]string{"lull.dev/quiesce": "fsfreeze", note: "Commits"}, want: files, warns: "nothing at all is written"},
		"hooks":                                {annotations: map[string]string{"lull.dev/pre-hook": "a", "lull.dev/post-hook": "b"}},
		"hooks are declared, whatever is said": {annotations: map[string]string{"lull.dev/pre-hook": "a", "lull.dev/post-hook": "b", note: "Files"}, warns: "Declared in any case"},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := Resolve(c.spec, c.annotations, Limits{})
			if (err == nil) != (c.refused == "") || err != nil && (reasonOf(err) != v1alpha1.ReasonInvalidHook || !strings.Contains(err.Error(), c.refused)) {
				t.Fatalf("got %v, want it refused: %q", err, c.refused)
			}
			if err == nil && q.Stills != c.want {
				t.Errorf("got %q, want %q", q.Stills, c.want)
			}
			warned := slices.ContainsFunc(q.Warnings, func(w Warning) bool { return strings.Contains(w.Message, c.warns) })
			if err == nil && (c.warns != "") != (len(q.Warnings) > 0) || c.warns != "" && !warned {
				t.Errorf("warnings: %v, want %q", q.Warnings, c.warns)
			}
		})
	}
}

func TestEveryRecipeSaysWhatItKeepsStill(t *testing.T) {
	for name, known := range recipes {
		if known.stills == "" {
			t.Errorf("recipe %s doesn't", name)
		}
	}
}

// also mounts one more claim, or the same once more.
func also(claim string, change ...func(*corev1.PersistentVolumeClaimVolumeSource)) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		source := &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}
		for _, c := range change {
			c(source)
		}
		v := corev1.Volume{Name: "also-" + claim, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: source}}
		p.Spec.Volumes = append(p.Spec.Volumes, v)
		p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: "/" + v.Name})
	}
}

// alsoScratch mounts a generic ephemeral volume too.
func alsoScratch(p *corev1.Pod) {
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}})
	p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "scratch", MountPath: "/scratch"})
}

// asDevice gives the pod's last volume to its container as a block device.
func asDevice(p *corev1.Pod) {
	c := &p.Spec.Containers[0]
	last := len(c.VolumeMounts) - 1
	c.VolumeDevices = append(c.VolumeDevices, corev1.VolumeDevice{Name: c.VolumeMounts[last].Name, DevicePath: "/dev/x"})
	c.VolumeMounts = c.VolumeMounts[:last]
}

func TestWhatIsStillWrittenWhileCommitsAreHeld(t *testing.T) {
	type notes = map[string]string
	recipe, hold, commits := notes{"lull.dev/quiesce": "mariadb"}, notes{"lull.dev/hold-hook": "h"}, notes{"lull.dev/hold-hook": "h", "lull.dev/hold-stills": "Commits"}
	reads := func(s *corev1.PersistentVolumeClaimVolumeSource) { s.ReadOnly = true }
	itsScratch := func(a *Application) { a.IsOne = false; a.Claims = []string{"a-scratch"} }
	aClaim := func(a *Application) { a.IsOne = false; a.Claims = []string{"data"} }
	for name, c := range map[string]struct {
		pods   []corev1.Pod
		notes  notes
		change func(*Application)
		want   map[string][]string
	}{
		"nothing under a hold of one's own":     {pods: []corev1.Pod{podOn("a", "data", also("log"))}, notes: hold},
		"all under a recipe":                    {pods: []corev1.Pod{podOn("a", "log", also("data"))}, notes: recipe, want: map[string][]string{"a": {"data", "log"}}},
		"under a hold of commits":               {pods: []corev1.Pod{podOn("a", "data", also("log"))}, notes: commits, want: map[string][]string{"a": {"data", "log"}}},
		"each pod by itself":                    {pods: []corev1.Pod{podOn("a", "data"), podOn("b", "log")}, notes: recipe, want: map[string][]string{"a": {"data"}, "b": {"log"}}},
		"a claim twice is one":                  {pods: []corev1.Pod{podOn("a", "data", also("data"))}, notes: recipe, want: map[string][]string{"a": {"data"}}},
		"a block device":                        {pods: []corev1.Pod{podOn("a", "data", also("log"), asDevice)}, notes: recipe, want: map[string][]string{"a": {"data", "log"}}},
		"what is only read isn't written":       {pods: []corev1.Pod{podOn("a", "data", also("log", reads))}, notes: recipe, want: map[string][]string{"a": {"data"}}},
		"what was left out doesn't count":       {pods: []corev1.Pod{podOn("a", "data", also("cache"))}, notes: recipe, want: map[string][]string{"a": {"data"}}},
		"a claim is half of what its pod has":   {pods: []corev1.Pod{podOn("a", "data", also("log"))}, notes: recipe, change: aClaim, want: map[string][]string{"a": {"data", "log"}}},
		"but for what goes with its pod":        {pods: []corev1.Pod{podOn("a", "data", alsoScratch)}, notes: recipe, change: aClaim, want: map[string][]string{"a": {"data"}}},
		"unless that is backed up":              {pods: []corev1.Pod{podOn("a", "data", alsoScratch)}, notes: recipe, change: itsScratch, want: map[string][]string{"a": {"a-scratch", "data"}}},
		"but for what its pod's owner left out": {pods: []corev1.Pod{podOn("a", "data", also("cache"))}, notes: notes{"lull.dev/quiesce": "mariadb", "lull.dev/exclude-volumes": "cache"}, change: aClaim, want: map[string][]string{"a": {"data"}}},
		"those that one pod stands for":         {pods: []corev1.Pod{podOn("a", "data"), podOn("b", "data", also("log"))}, notes: commits, change: onlyOnePod, want: map[string][]string{"a": {"data"}, "b": {"data", "log"}}},
		"nothing of pods with hooks":            {pods: []corev1.Pod{podOn("a", "data", also("log"))}, notes: notes{"lull.dev/pre-hook": "x", "lull.dev/post-hook": "y"}},
	} {
		t.Run(name, func(t *testing.T) {
			app := Application{Pods: c.pods, Annotations: map[types.UID]map[string]string{}, Claims: []string{"data", "log"}, IsOne: true}
			for _, p := range c.pods {
				app.Annotations[p.UID] = c.notes
			}
			if c.change != nil {
				c.change(&app)
			}
			p, err := PlanApplication(app)
			if err != nil || !maps.EqualFunc(p.Writing, c.want, slices.Equal[[]string]) {
				t.Errorf("got %v, %v; want %v", p.Writing, err, c.want)
			}
		})
	}
}

// A recipe's lock is of the server in its own pod: where another pod writes to
// the same volume there is another server.
func TestARecipeStandsForNoOtherPod(t *testing.T) {
	app := Application{Pods: []corev1.Pod{podOn("a", "data"), podOn("b", "data")}, Claims: []string{"data"}, IsOne: true}
	app.Spec = &v1alpha1.QuiesceSpec{Recipe: "mariadb", Pods: v1alpha1.PodsOne}
	p, err := PlanApplication(app)
	if err != nil || !strings.Contains(p.Uncovered, "pod b writes to the volumes") {
		t.Errorf("uncovered: %q, %v", p.Uncovered, err)
	}
}
