package driver

import (
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// locks lets one call at a time work on an id. It holds nothing that a restart
// would miss: calls end with the process.
type locks struct {
	held sync.Map
}

// take returns the function that frees the id, or ABORTED if it is taken.
func (l *locks) take(id string) (free func(), err error) {
	if _, taken := l.held.LoadOrStore(id, true); taken {
		return nil, status.Errorf(codes.Aborted, "another call works on %s", id)
	}
	return func() { l.held.Delete(id) }, nil
}
