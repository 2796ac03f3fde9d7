package controllers

import (
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

// outcome is what a step of a reconcile comes to.
type outcome struct {
	result ctrl.Result
	err    error
	goOn   bool
}

// goOn: the step changed what is to be done next; look again at once.
func goOn() outcome { return outcome{goOn: true} }

// rest: nothing more until something changes.
func rest() outcome { return outcome{} }

// waitFor: look again after d, or earlier when something changes.
func waitFor(d time.Duration) outcome {
	return outcome{result: ctrl.Result{RequeueAfter: max(d, time.Millisecond)}}
}

// again: err came from the API or the like; try again with back-off.
func again(err error) outcome { return outcome{err: err} }
