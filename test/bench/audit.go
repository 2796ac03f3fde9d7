package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/lull-dev/lull/test/faults/history"
	"github.com/lull-dev/lull/test/framework"
)

// request is one that the API server has answered, by its own clock.
type request struct {
	from, to time.Time
	// who asked, as one of the actors.
	who  string
	verb string
	// what kind of object, with the subresource, and which.
	what, name string
	code       int32
	// isReady, of a pod's status: the pod was called ready.
	isReady bool
}

// actors, by what their user names contain. What nobody of them asked for isn't
// part of the story.
var actors = []struct{ user, name string }{
	{"lull-manager", "Lull"},
	{"deployment-controller", "Deployment"},
	{"replicaset-controller", "ReplicaSet"},
	{"persistent-volume-binder", "volumes"},
	{"pvc-protection-controller", "volumes"},
	{"pv-protection-controller", "volumes"},
	{"kube-scheduler", "scheduler"},
	{"system:node:", "kubelet"},
	{"lull-cluster:admin", "a person"},
}

// readAudit reads the requests of a while from an API server's audit log: those
// on the objects of a namespace, and on volumes.
func readAudit(path, namespace string, from, to time.Time) (all []request, err error) {
	err = history.EachLine(path, func(line []byte) error {
		var event auditv1.Event
		if err := json.Unmarshal(line, &event); err != nil {
			return err
		}
		if r, ok := requestOf(&event, namespace); ok && r.to.After(from) && r.from.Before(to) {
			all = append(all, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b request) int { return a.from.Compare(b.from) })
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has nothing on namespace %s", path, namespace)
	}
	return all, nil
}

// requestOf is the request of an event, false for one that isn't part of the story:
// commands in pods have no part in an outage.
func requestOf(e *auditv1.Event, namespace string) (request, bool) {
	o := e.ObjectRef
	if o == nil || o.Subresource == "exec" || o.Namespace != namespace && o.Resource != "persistentvolumes" {
		return request{}, false
	}
	r := request{from: e.RequestReceivedTimestamp.Time, to: e.StageTimestamp.Time, verb: e.Verb, what: o.Resource, name: o.Name}
	if o.Subresource != "" {
		r.what += "/" + o.Subresource
	}
	if e.ResponseStatus != nil {
		r.code = e.ResponseStatus.Code
	}
	if r.what == "pods/status" && e.RequestObject != nil {
		var pod corev1.Pod
		r.isReady = json.Unmarshal(e.RequestObject.Raw, &pod) == nil && framework.Serves(&pod)
	}
	for _, a := range actors {
		if strings.Contains(e.User.Username, a.user) {
			r.who = a.name
			return r, true
		}
	}
	return r, false
}
