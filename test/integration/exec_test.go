package integration

import (
	"fmt"
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/hooks"
)

// Who may not exec is refused by WebSocket and by SPDY, and is told what to write. Who
// may gets past that, and no farther here, where no kubelet is.
func TestAnExecWithoutTheRightSaysWhatToWrite(t *testing.T) {
	fc := aFakeCluster(t)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "db-0"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "db", Image: "db"}}},
	}
	fc.create(pod)
	fc.aUser("may-exec", fc.mayExec())
	exec := func(user string) error {
		executor, err := hooks.NewExecutor(configOf(fc.namespace + "-" + user))
		fc.must(err)
		return executor.Exec(fc.ctx, hooks.Container{Namespace: pod.Namespace, Pod: pod.Name, Name: "db"}, []string{"true"},
			hooks.Streams{Out: io.Discard, Err: io.Discard})
	}
	role := fmt.Sprintf(`User "%s-may-not" cannot create resource "pods/exec" in API group "" in the namespace %[1]q: `+
		`give that user a role with {apiGroups: [""], resources: [pods/exec], verbs: [create, get]}`, fc.namespace)
	if err := exec("may-not"); err == nil || !strings.Contains(err.Error(), role) {
		t.Errorf("should say what to write: %v", err)
	}
	fc.eventually("the right is in force", func() bool {
		err := exec("may-exec")
		return err != nil && strings.Contains(err.Error(), "does not have a host assigned")
	})
}
