package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

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
	for _, file := range rotated(path) {
		more, err := readAuditFile(file, namespace, from, to)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		all = append(all, more...)
	}
	slices.SortFunc(all, func(a, b request) int { return a.from.Compare(b.from) })
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has nothing on namespace %s", path, namespace)
	}
	return all, nil
}

// rotated are the log and those that it was before.
func rotated(path string) []string {
	stem, ext, _ := strings.Cut(path, ".")
	older, _ := fs.Glob(os.DirFS("/"), strings.TrimPrefix(stem, "/")+"-*."+ext) // a pattern of ours is never malformed
	all := []string{path}
	for _, file := range older {
		all = append(all, "/"+file)
	}
	return all
}

func readAuditFile(path, namespace string, from, to time.Time) (all []request, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil { // the last line may be half written
			return all, nil
		}
		var event auditv1.Event
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if r, ok := requestOf(&event, namespace); ok && r.to.After(from) && r.from.Before(to) {
			all = append(all, r)
		}
	}
}

func requestOf(e *auditv1.Event, namespace string) (request, bool) {
	o := e.ObjectRef
	if o == nil || o.Namespace != namespace && o.Resource != "persistentvolumes" {
		return request{}, false
	}
	r := request{from: e.RequestReceivedTimestamp.Time, to: e.StageTimestamp.Time, verb: e.Verb, what: o.Resource, name: o.Name}
	if o.Subresource != "" {
		r.what += "/" + o.Subresource
	}
	if e.ResponseStatus != nil {
		r.code = e.ResponseStatus.Code
	}
	if e.RequestObject != nil {
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
