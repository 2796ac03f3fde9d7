package hooks

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// mountedAt mounts the pod's last volume there.
func mountedAt(path string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		mounts := p.Spec.Containers[0].VolumeMounts
		mounts[len(mounts)-1].MountPath = path
	}
}

func TestWhatFsfreezeFreezes(t *testing.T) {
	reads := func(s *corev1.PersistentVolumeClaimVolumeSource) { s.ReadOnly = true }
	aSide := func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "side", VolumeMounts: p.Spec.Containers[0].VolumeMounts[1:]})
		p.Spec.Containers[0].VolumeMounts = p.Spec.Containers[0].VolumeMounts[:1]
	}
	for name, c := range map[string]struct {
		change  []func(*corev1.Pod)
		want    []string
		refused string
	}{
		"a volume":                          {change: []func(*corev1.Pod){mountedAt("/data/")}, want: []string{"/data"}},
		"all volumes of a pod":              {change: []func(*corev1.Pod){mountedAt("/data"), also("log")}, want: []string{"/data", "/also-log"}},
		"none that isn't backed up":         {change: []func(*corev1.Pod){mountedAt("/data"), also("cache")}, want: []string{"/data"}},
		"none that is only read":            {change: []func(*corev1.Pod){mountedAt("/data"), also("log", reads)}, want: []string{"/data"}},
		"one that another container writes": {change: []func(*corev1.Pod){mountedAt("/data"), also("log"), aSide}, refused: "container db of pod a has no file system of log"},
		"a block device":                    {change: []func(*corev1.Pod){mountedAt("/data"), also("log"), asDevice}, refused: "no file system of log"},
		"nothing that is written":           {change: []func(*corev1.Pod){mountedAt("/data"), readOnly}, refused: "nothing to freeze"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := podOn("a", "data", c.change...)
			q, err := Resolve(&v1alpha1.QuiesceSpec{Recipe: "fsfreeze"}, nil, Limits{})
			if err != nil || q.Stills != v1alpha1.StillsFiles {
				t.Fatalf("%+v, %v", q, err)
			}
			target, err := q.ForPod(&pod, []string{"data", "log"})
			if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Fatalf("got %v, want it refused: %q", err, c.refused)
			}
			if c.refused != "" {
				return
			}
			given := append([]string{"/dev/shm/lull-a"}, c.want...)
			for _, command := range []Command{target.Hold, target.Post} {
				if command.Container != "db" || !slices.Equal(command.Args[len(command.Args)-len(given):], given) {
					t.Errorf("%q, want it to end with %q", command.Args, given)
				}
			}
		})
	}
}

// What ends with its session needs nobody who comes after it.
func TestMostRecipesNeedNoRecovery(t *testing.T) {
	for name, known := range recipes {
		pod := podOn("a", "data", mountedAt("/data"))
		q, err := Resolve(&v1alpha1.QuiesceSpec{Recipe: name}, nil, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		target, err := q.ForPod(&pod, []string{"data"})
		if err != nil || target.Post.isSet() != (known.thaw != "") || target.isWatched() != (known.thaw != "") {
			t.Errorf("%s: %q, %v", name, target.Post.Args, err)
		}
	}
}
