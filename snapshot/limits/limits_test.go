package limits

import (
	"strings"
	"testing"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// What is too much is refused with how much there is, how much is the most, and what
// to do instead; what isn't is let be.
func TestEachLimitSaysItsNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		most, over *v1alpha1.Problem
		says       []string
	}{
		"claims of an application": {Mounted("StatefulSet db", MountedClaims), Mounted("StatefulSet db", 4_000_000), []string{"StatefulSet db mounts 4000000 claims", "5000 is the most", "scale it down"}},
		"claims of a backup":       {BackedUp(Claims), BackedUp(300), []string{"300 claims", "256 is the most", "spec.volumes.include"}},
		"claims that are left out": {Excluded("x", ExcludedClaims), Excluded("lull.dev/exclude-volumes", 1001), []string{"lull.dev/exclude-volumes names 1001 claims", "1000 is the most", "spec.volumes.include"}},
		"pods":                     {Quieted(Pods), Quieted(101), []string{"more than 100 pods", "that is the most", "pods: One"}},
		"a command":                {Command("the post-hook", []string{strings.Repeat("x", CommandBytes)}), Command("the post-hook", []string{"/bin/sh", strings.Repeat("x", 200<<10)}), []string{"the post-hook has 204807 bytes", "65536 is the most", "ConfigMap"}},
		"commands":                 {Commands([]string{strings.Repeat("x", CommandsBytes)}), Commands([]string{strings.Repeat("x", 400<<10), strings.Repeat("y", 200<<10)}), []string{"have 600 KiB", "512 KiB is the most", "ConfigMap"}},
		"an object":                {Object(ObjectBytes, "", ""), Object(ObjectBytes+1, "10 pods take 600 KiB of it", "Do this"), []string{"would take 1025 KiB", "1024 KiB is the most", "10 pods take 600 KiB of it. Do this"}},
	} {
		if c.most != nil || c.over == nil || c.over.Reason != v1alpha1.ReasonLimitExceeded || c.over.Passing {
			t.Errorf("%s: the most is %v, too much %v", name, c.most, c.over)
			continue
		}
		for _, words := range c.says {
			if !strings.Contains(c.over.Message, words) {
				t.Errorf("%s: should say %q: %s", name, words, c.over.Message)
			}
		}
	}
}

func TestBytes(t *testing.T) {
	if got := Bytes(map[string]string{"a": "b"}); got != len(`{"a":"b"}`) {
		t.Errorf("it has %d bytes", got)
	}
	if Object(Bytes(func() {}), "", "") == nil {
		t.Error("what can't be written has no room")
	}
}
