package cut

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestNext(t *testing.T) {
	now := metav1.NowMicro()
	attempt := func(n int32, m v1alpha1.QuiesceMethod, thawed bool) *v1alpha1.QuiesceStatus {
		q := &v1alpha1.QuiesceStatus{Attempt: n, Method: m, StartedAt: now}
		if thawed {
			q.ThawedAt, q.Failure = &now, "why"
		}
		return q
	}
	givenUp := attempt(1, "Hooks", false)
	givenUp.ThawGivenUpAt, givenUp.Failure = &now, "why"
	condition := func(kind string) []metav1.Condition {
		var c []metav1.Condition
		meta.SetStatusCondition(&c, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: "x"})
		return c
	}
	for name, c := range map[string]struct {
		status    v1alpha1.VolumeBackupStatus
		onFailure v1alpha1.OnFailure
		want      Step
	}{
		"new":                                  {want: StepAttempt},
		"begun and not ended: thaw first":      {status: v1alpha1.VolumeBackupStatus{Quiesce: attempt(1, "Hold", false)}, want: StepRecover},
		"begun, hooks":                         {status: v1alpha1.VolumeBackupStatus{Quiesce: attempt(3, "Hooks", false)}, want: StepRecover},
		"begun, nothing to freeze":             {status: v1alpha1.VolumeBackupStatus{Quiesce: attempt(1, "Idle", false)}, want: StepRecover},
		"failed once":                          {status: v1alpha1.VolumeBackupStatus{Quiesce: attempt(1, "Hold", true)}, want: StepAttempt},
		"failed every time":                    {status: v1alpha1.VolumeBackupStatus{Quiesce: attempt(2, "Hold", true)}, want: StepGiveUp},
		"failed every time, asked to go on":    {status: v1alpha1.VolumeBackupStatus{Quiesce: attempt(2, "Hold", true)}, onFailure: "Continue", want: StepAttemptUnquieted},
		"failed before all that":               {status: v1alpha1.VolumeBackupStatus{Quiesce: attempt(1, "Hold", true)}, onFailure: "Continue", want: StepAttempt},
		"never thawed, asked to go on":         {status: v1alpha1.VolumeBackupStatus{Quiesce: givenUp, Unthawed: attempt(1, "Hooks", false)}, onFailure: "Continue", want: StepAttemptUnquieted},
		"never thawed, and unquieted failed":   {status: v1alpha1.VolumeBackupStatus{Quiesce: attempt(2, "None", true), Unthawed: attempt(1, "Hooks", false)}, onFailure: "Continue", want: StepAttemptUnquieted},
		"never thawed, and that for ever":      {status: v1alpha1.VolumeBackupStatus{Quiesce: attempt(5, "None", true), Unthawed: attempt(1, "Hooks", false)}, onFailure: "Continue", want: StepGiveUp},
		"unquieted fails for ever":             {status: v1alpha1.VolumeBackupStatus{Quiesce: attempt(5, "None", true)}, onFailure: "Continue", want: StepGiveUp},
		"cut":                                  {status: v1alpha1.VolumeBackupStatus{Quiesce: attempt(1, "Hold", true), Consistency: "Proven"}, want: StepAwaitReady},
		"complete":                             {status: v1alpha1.VolumeBackupStatus{Conditions: condition("Complete"), Consistency: "Proven"}, want: StepEnd},
		"failed, whatever else the status has": {status: v1alpha1.VolumeBackupStatus{Conditions: condition("Failed"), Quiesce: attempt(1, "Hold", false)}, want: StepEnd},
	} {
		t.Run(name, func(t *testing.T) {
			b := &v1alpha1.VolumeBackup{Spec: v1alpha1.VolumeBackupSpec{BackupSettings: v1alpha1.BackupSettings{Attempts: 2}}, Status: c.status}
			if got := Next(b, c.onFailure); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestNextAttemptAt(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	thawed := metav1.NewMicroTime(start.Add(time.Minute))
	q := &v1alpha1.QuiesceStatus{Attempt: 2, StartedAt: metav1.NewMicroTime(start)}
	if got := NextAttemptAt(q); !got.Equal(start.Add(2 * time.Second)) {
		t.Errorf("nothing was thawed: got %s", got)
	}
	q.ThawedAt = &thawed
	if got := NextAttemptAt(q); !got.Equal(start.Add(time.Minute + 2*time.Second)) {
		t.Errorf("counted from the thaw: got %s", got)
	}
}
