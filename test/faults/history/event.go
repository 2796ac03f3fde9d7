package history

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Event is a request that the API server answered: what is needed here of an
// Event of audit.k8s.io/v1. A command in a pod has two, as it begins and as it
// ends.
type Event struct {
	AuditID        string          `json:"auditID"`
	Stage          string          `json:"stage"`
	RequestURI     string          `json:"requestURI"`
	Verb           string          `json:"verb"`
	User           user            `json:"user"`
	Object         reference       `json:"objectRef"`
	Response       response        `json:"responseStatus"`
	RequestObject  json.RawMessage `json:"requestObject"`
	ResponseObject json.RawMessage `json:"responseObject"`
	// Received is when the request came, At when it was answered.
	Received time.Time `json:"requestReceivedTimestamp"`
	At       time.Time `json:"stageTimestamp"`
}

type user struct {
	Username string `json:"username"`
}

type reference struct {
	Resource    string `json:"resource"`
	Subresource string `json:"subresource"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
}

type response struct {
	Code int `json:"code"`
}

// Note says what befell the operator, and that it can't be held to a deadline from
// then until a while after.
type Note struct {
	Kind string `json:"kind"`
	What string `json:"what"`
	// Namespace that it is about, empty for all.
	Namespace string    `json:"namespace,omitempty"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	// Outage: the API server or its database was killed or away. Sessions ended
	// then, and what was being written may be done and not in the log.
	Outage bool `json:"outage,omitempty"`
}

// kindNote tells a note from an event in a kept history.
const kindNote = "Note"

// stageComplete is that of the last event of a request.
const stageComplete = "ResponseComplete"

// operator is in the user name of every manager.
const operator = ":lull-manager"

func (e *Event) byOperator() bool { return strings.HasSuffix(e.User.Username, operator) }

// done is true for a request that was carried out.
func (e *Event) done() bool {
	return e.Response.Code >= 200 && e.Response.Code < 300 && e.Stage == stageComplete && !e.isRehearsed()
}

// isWrite is true for one that makes or changes an object or its status.
func (e *Event) isWrite() bool {
	return e.Verb == "create" || e.Verb == "update" || e.Verb == "patch"
}

// isRehearsed is true for a request that was only asked what would come of it: a
// deletion says so in its body.
func (e *Event) isRehearsed() bool {
	var options struct {
		DryRun []string `json:"dryRun"`
	}
	inBody := e.Verb == "delete" && json.Unmarshal(e.RequestObject, &options) == nil && len(options.DryRun) > 0
	return inBody || strings.Contains(e.RequestURI, "dryRun=All")
}

func (e *Event) isExec() bool { return e.Object.Resource == "pods" && e.Object.Subresource == "exec" }

// String is one line for people.
func (e *Event) String() string {
	o := e.Object
	what := o.Resource
	if o.Subresource != "" {
		what += "/" + o.Subresource
	}
	name := o.Name
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	return fmt.Sprintf("%s %s %s %s: %d (%s, audit ID %s)", e.Received.UTC().Format("15:04:05.000000"), e.Verb, what, name, e.Response.Code, e.User.Username, e.AuditID)
}

// matters is true for an event that a rule asks for.
func (e *Event) matters() bool {
	if e.isExec() {
		return true
	}
	switch o := e.Object; o.Resource {
	case "volumebackups", "volumerestores", "persistentvolumes", "volumesnapshotcontents", "volumegroupsnapshotcontents":
		return e.isWrite() || e.Verb == "delete"
	case "persistentvolumeclaims", "volumesnapshots", "volumegroupsnapshots":
		return o.Subresource == "" && (e.Verb == "create" || e.Verb == "delete")
	case "pods":
		return o.Subresource == "" && strings.HasPrefix(e.Verb, "delete")
	}
	return false
}
