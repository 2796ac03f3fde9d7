package main

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// aLease has what was written into it, until it is put back.
type aLease struct {
	resourcelock.Interface
	has resourcelock.LeaderElectionRecord
}

func (l *aLease) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	return &l.has, nil, nil
}

func (l *aLease) Update(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	l.has = record
	return nil
}

func TestALeaseThatIsPutBackIsSeen(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	record := func(holder string, transitions int, seconds time.Duration) resourcelock.LeaderElectionRecord {
		return resourcelock.LeaderElectionRecord{HolderIdentity: holder, LeaderTransitions: transitions, RenewTime: metav1.NewTime(noon.Add(seconds * time.Second))}
	}
	for name, c := range map[string]struct {
		had, has resourcelock.LeaderElectionRecord
		isSeen   bool
	}{
		"renewed":   {record("a", 1, 0), record("a", 1, 2), false},
		"as it was": {record("a", 1, 0), record("a", 1, 0), false},
		"read, without what the API leaves out": {record("a", 1, 0), func() resourcelock.LeaderElectionRecord {
			r := record("a", 1, 0)
			r.RenewTime.Time = r.RenewTime.Add(-999)
			return r
		}(), false},
		"taken over by one whose clock is behind":   {record("a", 1, 60), record("b", 2, 0), false},
		"released by one whose clock is behind":     {record("a", 1, 60), record("", 1, 0), false},
		"put back, within the time of a holder":     {record("a", 1, 60), record("a", 1, 58), true},
		"put back, to the time of a former holder":  {record("b", 2, 60), record("a", 1, 30), true},
		"put back, to an earlier time of this one":  {record("a", 3, 60), record("a", 1, 90), true},
		"held for the first time, nothing was seen": {resourcelock.LeaderElectionRecord{}, record("a", 0, 0), false},
	} {
		t.Run(name, func(t *testing.T) {
			lease := &aLease{}
			seen := error(nil)
			lock := &rememberingLock{Interface: lease, putBack: func(err error) { seen = err }}
			if c.had.HolderIdentity != "" {
				if err := lock.Update(t.Context(), c.had); err != nil || seen != nil {
					t.Fatal(err, seen)
				}
			}
			lease.has = c.has
			if _, _, err := lock.Get(t.Context()); err != nil || (seen != nil) != c.isSeen {
				t.Errorf("%v, %v", err, seen)
			}
		})
	}
}
