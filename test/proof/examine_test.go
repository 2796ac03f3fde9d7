package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/util/exec"

	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/test/framework"
)

// codes are what one command after the other ends with.
type codes []int

func (c *codes) Exec(context.Context, hooks.Container, []string, hooks.Streams) error {
	code := (*c)[0]
	*c = (*c)[1:]
	if code == 0 {
		return nil
	}
	return exec.CodeExitError{Err: errors.New("command terminated"), Code: code}
}

func TestACopyIsWaitedForUntilItServesOrIsKnownToBeTorn(t *testing.T) {
	for _, c := range []struct {
		name   string
		codes  codes
		damage string
		serves bool
	}{
		{"it serves", codes{0}, "fake", true},
		{"it starts for long, and serves", codes{stillStarts, stillStarts, 0}, "no such word", true},
		{"it has ended", codes{1}, "no such word", false},
		{"it starts for long, and tells of damage", codes{stillStarts}, "fake", false},
	} {
		e := engine{damage: func(line string) bool { return strings.Contains(line, c.damage) }}
		cluster := &framework.Cluster{Executor: &c.codes, Kube: fake.NewClientset()} // whose logs are "fake logs"
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: make([]corev1.Container, 1)}}
		if err := e.awaitServing(t.Context(), cluster, pod); (err == nil) != c.serves || len(c.codes) > 0 {
			t.Errorf("%s: %v, and %v are left", c.name, err, c.codes)
		}
	}
}
