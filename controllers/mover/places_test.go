package mover

import (
	"context"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

func TestWhoWaitsInARepository(t *testing.T) {
	of := func(kind PlaceKind, n int32) map[PlaceKind]int32 { return map[PlaceKind]int32{kind: n} }
	for name, c := range map[string]struct {
		working map[PlaceKind]int32
		place   Place
		waits   string // empty where it begins
	}{
		"nobody works":                     {of("", 0), Place{Kind: Alone}, ""},
		"an export beside exports":         {of(Shared, 3), Place{Kind: Shared, Most: 4}, ""},
		"an export too many":               {of(Shared, 4), Place{Kind: Shared, Most: 4}, "4 work in repository r"},
		"an export beside a copy":          {of(Copying, 1), Place{Kind: Shared, Most: 1}, ""},
		"an export while it is pruned":     {of(Alone, 1), Place{Kind: Shared, Most: 4}, "is looked after"},
		"pruning while others work":        {of(Shared, 2), Place{Kind: Alone}, "until the 2 that work"},
		"pruning while it is copied":       {of(Copying, 1), Place{Kind: Alone}, "until the 1 that work"},
		"a copy beside exports":            {of(Shared, 4), Place{Kind: Copying}, ""},
		"a copy while it is pruned":        {of(Alone, 1), Place{Kind: Copying}, "is looked after"},
		"a copy beside a copy":             {of(Copying, 1), Place{Kind: Copying}, "another copy"},
		"a copy while it is looked at":     {of(Beside, 1), Place{Kind: Copying}, ""},
		"pruning while files are copied":   {of(Apart, 1), Place{Kind: Alone}, ""},
		"two that look after a repository": {of(Alone, 1), Place{Kind: Alone}, "is looked after"},
	} {
		if waits := waitsIn("r", c.working, c.place); (waits == "") != (c.waits == "") || !strings.Contains(waits, c.waits) {
			t.Errorf("%s: %q", name, waits)
		}
	}
}

// Two Jobs that make a repository at one place at once would leave one that opens
// for nobody.
func TestOneMakesARepositoryAtAPlace(t *testing.T) {
	at := func(namespace, name, claim string) *batchv1.Job {
		spec := &v1alpha1.ResticRepositorySpec{}
		spec.Backend.Volume = &v1alpha1.VolumeBackend{ClaimName: claim}
		if claim == "" {
			spec.Backend = v1alpha1.RepositoryBackend{REST: &v1alpha1.RESTBackend{URL: "https://nas/shop"}}
		}
		return resticexport.Job(resticexport.JobInput{Namespace: namespace, Name: name, Repository: name, Spec: spec, Task: resticexport.Task{Init: &resticexport.Init{}}})
	}
	ended := at("shop", "first", "disk")
	ended.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
	look := at("shop", "look", "disk")
	delete(look.Labels, resticexport.LabelInit)
	for name, c := range map[string]struct {
		there, job *batchv1.Job
		waits      bool
	}{
		"another in the same claim":                  {at("shop", "first", "disk"), at("shop", "second", "disk"), true},
		"itself":                                     {at("shop", "first", "disk"), at("shop", "first", "disk"), false},
		"another in another claim":                   {at("shop", "first", "disk"), at("shop", "second", "other"), false},
		"another in a claim of another namespace":    {at("shop", "first", "disk"), at("bank", "second", "disk"), false},
		"another on a server, of another namespace":  {at("shop", "first", ""), at("bank", "second", ""), true},
		"another that has ended":                     {ended, at("shop", "second", "disk"), false},
		"what makes nothing, whoever makes it there": {at("shop", "first", "disk"), look, false},
	} {
		waits, err := moversOn(t, c.there).waitsForInit(context.Background(), c.job)
		if err != nil || (waits != "") != c.waits {
			t.Errorf("%s: %q, %v", name, waits, err)
		}
	}
}

func TestWhatATaskReadsIsMadeOnceThereIsAPlace(t *testing.T) {
	m, owner := moversOn(t), metav1.OwnerReference{UID: ours, Controller: ptr.To(true)}
	run := func(name string, waits string) (made bool, _ Run) {
		in := resticexport.JobInput{Namespace: "shop", Name: name, Repository: "r", Spec: &v1alpha1.ResticRepositorySpec{}, Task: resticexport.Task{Backup: &resticexport.Backup{}}}
		ran, err := m.Run(context.Background(), in, owner, Place{Kind: Shared, Most: 1, First: func(context.Context) (string, error) { made = true; return waits, nil }})
		if err != nil {
			t.Fatal(err)
		}
		return made, ran
	}
	if made, ran := run("refused", "a quota"); !made || ran.Waits != "a quota" {
		t.Errorf("refused: made %t, %+v", made, ran)
	}
	if made, ran := run("first", ""); !made || ran.Waits != "its pod starts" {
		t.Errorf("there is a place, since who is refused takes none: made %t, %+v", made, ran)
	}
	if made, ran := run("second", ""); made || !strings.Contains(ran.Waits, "1 work in repository r") {
		t.Errorf("there is no place: made %t, %+v", made, ran)
	}
	if made, ran := run("first", "waits until it is gone"); !made || ran.Waits != "waits until it is gone" {
		t.Errorf("what somebody has deleted is made again: made %t, %+v", made, ran)
	}
}

// What a task lacks is read for one that begins, and for nobody who waits.
func TestATaskIsCompletedOnceThereIsAPlace(t *testing.T) {
	m, owner, completed := moversWith(t), metav1.OwnerReference{UID: ours, Controller: ptr.To(true)}, 0
	run := func(name string) Run {
		in := resticexport.JobInput{Namespace: "shop", Name: name, Repository: "r", Spec: &v1alpha1.ResticRepositorySpec{}, Task: resticexport.Task{Backup: &resticexport.Backup{}}}
		ran, err := m.Run(context.Background(), in, owner, Place{Kind: Shared, Most: 1, Complete: func(_ context.Context, task *resticexport.Task) error {
			completed, task.Backup.Parent = completed+1, "the last"
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		return ran
	}
	for range 2 {
		run("first")
	}
	if ran := run("second"); completed != 1 || !strings.Contains(ran.Waits, "for its turn") {
		t.Errorf("%d were completed, %+v", completed, ran)
	}
	var job batchv1.Job
	if err := m.Live.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "first"}, &job); err != nil {
		t.Fatal(err)
	}
	if args := job.Spec.Template.Spec.Containers[0].Args; !strings.Contains(args[len(args)-1], `"parent":"the last"`) {
		t.Errorf("%q", args)
	}
}
