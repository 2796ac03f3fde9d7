package controllers

import (
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
)

// retries is how soon a reconcile that failed is tried again: never much later
// than what stood in its way is gone, since an application may wait for it.
func retries() workqueue.TypedRateLimiter[ctrl.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](5*time.Millisecond, 5*time.Second)
}

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
