package main

import (
	"fmt"
	"slices"
	"time"
)

// timeline is one outage taken apart by the clock of the API server: what waits
// for whom, from the order to stop until the application is ready.
type timeline struct {
	title     string
	stretches []stretch
	requests  []request
}

// stretch is a part of an outage, from one request to another.
type stretch struct {
	what     string
	from, to time.Time
}

func (s stretch) length() time.Duration { return s.to.Sub(s.from) }

func (t *timeline) start() time.Time { return t.stretches[0].from }

func (t *timeline) length() time.Duration {
	return t.stretches[len(t.stretches)-1].to.Sub(t.start())
}

// newTimeline divides an outage of a Deployment of one replica:
//
//	scale to zero ─ the pod is gone ─ scale up ─ a pod has a node ─
//	the kubelet knows its volumes ─ the pod is ready
func newTimeline(title string, requests []request) (*timeline, error) {
	var stop, gone, up, bound, known, ready time.Time
	for _, r := range requests {
		switch asked := r.verb + " " + r.what; {
		case asked == "patch deployments" && (r.who == "Lull" || r.who == "a person"):
			if stop.IsZero() {
				stop = r.from
			} else if bound.IsZero() {
				up = r.from
			}
		case asked == "delete pods" && r.who == "kubelet" && bound.IsZero():
			gone = r.to
		case asked == "create pods/binding" && !up.IsZero() && bound.IsZero():
			bound = r.to
		case asked == "get persistentvolumes" && r.who == "kubelet" && !bound.IsZero() && known.IsZero():
			known = r.to
		case r.isReady && !bound.IsZero() && ready.IsZero():
			ready = r.to
		}
	}
	if up.Before(gone) {
		gone = up // who watches sees what a request did before that is answered
	}
	t := &timeline{title: title, stretches: []stretch{
		{"the application ends", stop, gone},
		{"the claims are swapped", gone, up},
		{"a pod gets a node", up, bound},
		{"the kubelet reads its volumes", bound, known},
		{"they are mounted, the application starts", known, ready},
	}}
	for _, s := range t.stretches {
		if s.from.IsZero() || s.to.Before(s.from) {
			return nil, fmt.Errorf("%s: the audit log doesn't show that %s (%s to %s)", title, s.what, s.from, s.to)
		}
	}
	t.requests = slices.DeleteFunc(slices.Clone(requests), func(r request) bool { return r.to.Before(stop) || r.from.After(ready) })
	return t, nil
}
