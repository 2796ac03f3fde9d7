package mover

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// aWarning is what somebody says of an object.
func aWarning(of, says string) *corev1.Event {
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: of + "-told"}, InvolvedObject: corev1.ObjectReference{Name: of},
		Type: corev1.EventTypeWarning, Message: says,
	}
}

func TestWhyAMoverDoesNotStart(t *testing.T) {
	clone := aClone("clone", ours)
	clone.Status.Phase = corev1.ClaimPending
	bound := aClone("clone", ours)
	bound.Status.Phase = corev1.ClaimBound
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "mover"}}
	job := resticexport.Job(resticexport.JobInput{Namespace: "shop", Name: "job", Source: "clone", Spec: &v1alpha1.ResticRepositorySpec{}})
	waits, noClass := aWarning("mover", "pod has unbound claims"), aWarning("clone", "no such class")
	for name, c := range map[string]struct {
		there []client.Object
		want  string
	}{
		"nobody says anything":           {[]client.Object{clone}, "its pod starts"},
		"the pod waits":                  {[]client.Object{clone, waits}, "pod mover doesn't start: pod has unbound claims"},
		"its claim gets no volume":       {[]client.Object{clone, waits, noClass}, "claim clone gets no volume: no such class"},
		"its claim has got one by now":   {[]client.Object{bound, waits, noClass}, "pod mover doesn't start: pod has unbound claims"},
		"its claim isn't there any more": {[]client.Object{waits}, "pod mover doesn't start: pod has unbound claims"},
	} {
		live := fake.NewClientBuilder().WithObjects(c.there...).
			WithIndex(&corev1.Event{}, "involvedObject.name", func(o client.Object) []string { return []string{o.(*corev1.Event).InvolvedObject.Name} }).
			WithIndex(&corev1.Event{}, "type", func(o client.Object) []string { return []string{o.(*corev1.Event).Type} }).Build()
		got, err := (&Movers{Live: live}).whyPending(context.Background(), job, pod)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
