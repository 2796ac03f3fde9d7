package reconcile

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// SetCondition sets a condition of an object.
func SetCondition(obj Object, now time.Time, kind string, status bool, reason, format string, args ...any) {
	value := metav1.ConditionFalse
	if status {
		value = metav1.ConditionTrue
	}
	meta.SetStatusCondition(obj.StatusConditions(), metav1.Condition{
		Type: kind, Status: value, Reason: reason, Message: Shorten(fmt.Sprintf(format, args...)),
		ObservedGeneration: obj.GetGeneration(), LastTransitionTime: metav1.NewTime(now),
	})
}

// Set sets a condition, by the clock of the loop.
func (s *Scope[T]) Set(kind string, status bool, reason, format string, args ...any) {
	SetCondition(s.Object, s.Now(), kind, status, reason, format, args...)
}

// Remove removes a condition.
func (s *Scope[T]) Remove(kind string) {
	meta.RemoveStatusCondition(s.Object.StatusConditions(), kind)
}

// Is is true for a condition that holds.
func (s *Scope[T]) Is(kind string) bool {
	return meta.IsStatusConditionTrue(*s.Object.StatusConditions(), kind)
}

// Find is a condition, nil where it isn't set.
func (s *Scope[T]) Find(kind string) *metav1.Condition {
	return meta.FindStatusCondition(*s.Object.StatusConditions(), kind)
}

// Working says what is being done or waited for.
func (s *Scope[T]) Working(reason, format string, args ...any) {
	s.Set(v1alpha1.ConditionReconciling, true, reason, format, args...)
}

// AtRest says that nothing is being done; why is one word.
func (s *Scope[T]) AtRest(why string) {
	s.Set(v1alpha1.ConditionReconciling, false, why, "")
}

// MarkComplete ends an object of a one-shot kind well.
func (s *Scope[T]) MarkComplete(message string) {
	s.Set(v1alpha1.ConditionComplete, true, v1alpha1.ReasonCompleted, "%s", message)
	s.Remove(v1alpha1.ConditionStalled)
	s.logEnd(v1alpha1.ConditionComplete, v1alpha1.ReasonCompleted, message)
}

// MarkFailed ends an object of a one-shot kind. Whoever reads the message needs
// no log.
func (s *Scope[T]) MarkFailed(reason, message string) {
	s.Set(v1alpha1.ConditionFailed, true, reason, "%s", message)
	s.Set(v1alpha1.ConditionComplete, false, reason, "%s", message)
	s.Set(v1alpha1.ConditionStalled, true, reason, "%s", message)
	s.logEnd(v1alpha1.ConditionFailed, reason, message)
}

// MarkEnded sets a condition that tells of an end that only one kind knows.
func (s *Scope[T]) MarkEnded(condition, reason, message string) {
	s.Set(condition, true, reason, "%s", message)
	s.logEnd(condition, reason, message)
}

func (s *Scope[T]) logEnd(condition, reason, message string) {
	s.OnceSaved(func() {
		s.log.Info("ended", "condition", condition, "reason", reason, "message", message)
	})
}

// FirstMessage is the message of the first of the conditions, in that order,
// that holds.
func FirstMessage(conditions []metav1.Condition, order ...string) string {
	for _, kind := range order {
		if c := meta.FindStatusCondition(conditions, kind); c != nil && c.Status == metav1.ConditionTrue {
			return c.Message
		}
	}
	return ""
}
