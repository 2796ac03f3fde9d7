package policy

import (
	"time"

	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/retention"
	"github.com/lull-dev/lull/snapshot/schedule"
)

// Policy is a SnapshotPolicy or, without a namespace, a ClusterSnapshotPolicy.
type Policy struct {
	Namespace, Name string
	Spec            *v1alpha1.SnapshotPolicySpec

	// Schedule and Rules are read from the spec.
	Schedule schedule.Schedule
	Rules    retention.Rules
	Zone     *time.Location
}

// defaults where the API server has set none.
const (
	defaultDeadline = time.Hour
	defaultFailed   = 3
)

// Read reads what a policy says. A Problem says what to write instead.
func Read(namespace, name string, created time.Time, spec *v1alpha1.SnapshotPolicySpec) (*Policy, error) {
	p := &Policy{Namespace: namespace, Name: name, Spec: spec}
	if _, err := schedule.Parse("@daily", spec.TimeZone, created); err != nil {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonInvalidSchedule, "spec.timeZone: %v", err)
	}
	var err error
	if p.Schedule, err = schedule.Parse(spec.Schedule, spec.TimeZone, created); err != nil {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonInvalidSchedule, "spec.schedule: %v", err)
	}
	p.Zone = p.Schedule.Zone()
	if jitter := p.jitter(); jitter >= time.Minute { // nothing is due more often
		if gap := p.Schedule.ShortestGap(); jitter >= gap {
			return nil, v1alpha1.Problemf(v1alpha1.ReasonInvalidSchedule,
				"spec.jitter of %s is as long as the schedule's shortest gap, %s, so that a run would begin after the next is due: write a shorter one", jitter, gap)
		}
	}
	if p.Rules, err = rulesOf(spec.Retention.Snapshots); err != nil {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonInvalidRetention, "spec.retention.snapshots: %v", err)
	}
	if p.Rules.KeepsNothing() {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonInvalidRetention,
			"spec.retention.snapshots would keep nothing: write a rule that keeps something, as keepLast: 3, or leave it out to keep all")
	}
	return p, nil
}

// IsOfCluster is true for a ClusterSnapshotPolicy.
func (p *Policy) IsOfCluster() bool { return p.Namespace == "" }

func (p *Policy) jitter() time.Duration {
	if p.Spec.Jitter == nil {
		return 0
	}
	return p.Spec.Jitter.Duration
}

// Deadline is how late a run may start.
func (p *Policy) Deadline() time.Duration {
	if p.Spec.StartingDeadline == nil {
		return defaultDeadline
	}
	return p.Spec.StartingDeadline.Duration
}

// Offset is where in the window of the jitter an application has its moment.
func (p *Policy) Offset(app Application) time.Duration {
	return schedule.Offset(p.jitter(), p.Namespace, p.Name, app.Namespace, string(app.Ref.Kind), app.Ref.Name)
}

func (p *Policy) failedKept() int {
	return int(ptr.Deref(p.Spec.History.Failed, defaultFailed))
}

func rulesOf(r *v1alpha1.RetentionRules) (retention.Rules, error) {
	if r == nil {
		return retention.Rules{}, nil
	}
	rules := retention.Rules{
		Last: int(r.KeepLast), Hourly: int(r.KeepHourly), Daily: int(r.KeepDaily),
		Weekly: int(r.KeepWeekly), Monthly: int(r.KeepMonthly), Yearly: int(r.KeepYearly),
	}
	for _, within := range []struct {
		text v1alpha1.Span
		span *retention.Span
	}{
		{r.KeepWithin, &rules.Within}, {r.KeepWithinHourly, &rules.WithinHourly}, {r.KeepWithinDaily, &rules.WithinDaily},
		{r.KeepWithinWeekly, &rules.WithinWeekly}, {r.KeepWithinMonthly, &rules.WithinMonthly}, {r.KeepWithinYearly, &rules.WithinYearly},
	} {
		var err error
		if *within.span, err = retention.ParseSpan(string(within.text)); err != nil {
			return retention.Rules{}, err
		}
	}
	return rules, nil
}
