package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// errPutBack ends a manager whose caches are of a time that the API has forgotten. A
// watch goes on from where it was: until the API comes to that point again it tells of
// nothing, and what is frozen or down stays so.
var errPutBack = errors.New("the API server knows less than it did: etcd was put back to what it was before. The manager starts anew, with what is there now")

// rememberingLock is a lease that tells when what it has is older than what it had.
// Every manager reads it every few seconds anyway, also one that waits for it.
type rememberingLock struct {
	resourcelock.Interface
	// putBack is told of it.
	putBack func(error)

	mu   sync.Mutex
	last resourcelock.LeaderElectionRecord
}

// Get implements resourcelock.Interface.
func (l *rememberingLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil {
		l.see(*record)
	}
	return record, raw, err
}

// Create implements resourcelock.Interface.
func (l *rememberingLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.written(record, l.Interface.Create(ctx, record))
}

// Update implements resourcelock.Interface.
func (l *rememberingLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.written(record, l.Interface.Update(ctx, record))
}

func (l *rememberingLock) written(record resourcelock.LeaderElectionRecord, err error) error {
	if err == nil {
		l.see(record)
	}
	return err
}

func (l *rememberingLock) see(record resourcelock.LeaderElectionRecord) {
	l.mu.Lock()
	last := l.last
	l.last = record
	l.mu.Unlock()
	if isOlder(record, last) {
		l.putBack(errPutBack)
	}
}

// rounding is more than a time loses that is written and read: the API keeps
// microseconds. Leases are renewed less often.
const rounding = time.Second

// isOlder is true for a record from before another. The clocks of two holders aren't
// compared.
func isOlder(record, other resourcelock.LeaderElectionRecord) bool {
	if record.LeaderTransitions != other.LeaderTransitions {
		return record.LeaderTransitions < other.LeaderTransitions
	}
	return record.HolderIdentity == other.HolderIdentity && other.RenewTime.Sub(record.RenewTime.Time) > rounding
}
