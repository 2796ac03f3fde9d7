package reconcile

import (
	"context"
	"reflect"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// Object is an object of one of our kinds.
type Object interface {
	client.Object
	// StatusConditions are those of its status, to read and to set.
	StatusConditions() *[]metav1.Condition
}

// Scope is one object in one reconcile: what is known of it, what of that is
// written, and what is told once it is. It belongs to one goroutine.
type Scope[T Object] struct {
	// Object as it is to be written.
	Object T

	written   T
	writer    client.Client
	events    events.EventRecorder
	clock     clock.PassiveClock
	log       logr.Logger
	summarize func(*Scope[T])
	onceSaved []func()
}

// Now is the time by the clock of the loop.
func (s *Scope[T]) Now() time.Time { return s.clock.Now() }

// Written is the object as it is in the cluster, as far as is known here.
func (s *Scope[T]) Written() T { return s.written }

// Log writes a line into the manager's log, with the object's kind, namespace
// and name.
func (s *Scope[T]) Log(message string, keysAndValues ...any) { s.log.Info(message, keysAndValues...) }

// Record tells an event at once.
func (s *Scope[T]) Record(e Event) {
	s.events.Eventf(s.Object, nil, e.Type, e.Reason, e.Action, "%s", names.Clip(e.Note, maxNote))
}

// RecordOnceSaved tells an event once what it speaks of is written.
func (s *Scope[T]) RecordOnceSaved(e Event) { s.OnceSaved(func() { s.Record(e) }) }

// OnceSaved does something once the status is written, and not at all where it
// can't be.
func (s *Scope[T]) OnceSaved(do func()) { s.onceSaved = append(s.onceSaved, do) }

// Save writes the status where it has changed. The write fails with a conflict
// where anybody has written the object since it was read. An object that is being
// deleted goes also where there is no room for what its status has to say.
func (s *Scope[T]) Save(ctx context.Context) error {
	s.summarize(s)
	if !equality.Semantic.DeepEqual(s.Object, s.written) {
		patch := client.MergeFromWithOptions(s.written, client.MergeFromWithOptimisticLock{})
		err := s.writer.Status().Patch(ctx, s.Object, patch)
		switch {
		case IsTooLarge(err) && !s.Object.GetDeletionTimestamp().IsZero():
			s.log.Info("status not written", "error", err.Error())
		case err != nil:
			return err
		default:
			s.accept()
		}
	}
	told := s.onceSaved
	s.onceSaved = nil
	for _, do := range told {
		do()
	}
	return nil
}

// forget takes back what isn't written.
func (s *Scope[T]) forget() {
	reflect.ValueOf(s.Object).Elem().Set(reflect.ValueOf(s.written.DeepCopyObject()).Elem()) // whoever has the object sees it change
	s.onceSaved = nil
}

// accept takes the object as it is for what is written.
func (s *Scope[T]) accept() { s.written = s.Object.DeepCopyObject().(T) }

// Reread takes what is in the cluster by now, read past the cache, for what is
// written. What is in the scope and wasn't saved is lost.
func (s *Scope[T]) Reread(ctx context.Context, live client.Reader) error {
	object := reflect.ValueOf(s.Object).Elem()
	there := reflect.New(object.Type())
	if err := live.Get(ctx, client.ObjectKeyFromObject(s.Object), there.Interface().(T)); err != nil {
		return err
	}
	object.Set(there.Elem()) // whoever has the object sees it change
	s.accept()
	return nil
}

// Begin marks a new object as ours, by a finalizer, before anything is made for
// it. It comes before any change of the status, which it would lose.
func (s *Scope[T]) Begin(ctx context.Context, finalizer string) error {
	if controllerutil.ContainsFinalizer(s.Object, finalizer) {
		return nil
	}
	return s.patch(ctx, func() { controllerutil.AddFinalizer(s.Object, finalizer) })
}

// Release lets a deleted object go.
func (s *Scope[T]) Release(ctx context.Context, finalizer string) error {
	return client.IgnoreNotFound(s.patch(ctx, func() { controllerutil.RemoveFinalizer(s.Object, finalizer) }))
}

func (s *Scope[T]) patch(ctx context.Context, change func()) error {
	base := s.Object.DeepCopyObject().(T)
	change()
	err := s.writer.Patch(ctx, s.Object, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
	s.accept()
	return err
}

// tellError writes what stands in the way onto the object, as it was last
// written: what the failed step had in mind doesn't count. It is told once:
// each write brings the object here again, and would end the back-off.
func (s *Scope[T]) tellError(ctx context.Context, obstacle error) error {
	s.forget()
	told := s.Find(v1alpha1.ConditionReconciling)
	doing := ""
	if told != nil {
		if told.Status != metav1.ConditionTrue || told.Reason == v1alpha1.ReasonAPIError {
			return nil
		}
		doing = told.Message + "; "
	}
	s.Working(v1alpha1.ReasonAPIError, "%stries again after an error: %.1024v", doing, obstacle)
	if err := s.Save(ctx); !apierrors.IsConflict(err) {
		return client.IgnoreNotFound(err)
	}
	return nil // somebody has written the object: it comes here again
}
