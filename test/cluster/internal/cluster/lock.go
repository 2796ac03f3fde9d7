package cluster

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/lull-dev/lull/test/cluster/internal/process"
	"github.com/lull-dev/lull/test/cluster/internal/report"
)

// Lock keeps others from changing the cluster until unlock, or until we end in
// whatever way. It waits for those who hold the lock. The lock is the name of a
// socket in the kernel, which leaves no file behind.
func Lock(ctx context.Context, say *report.Reporter) (unlock func(), err error) {
	var lock net.Listener
	waited := false
	err = process.Poll(ctx, 100*time.Millisecond, func() (bool, error) {
		lock, err = net.Listen("unix", "@lull-cluster")
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return false, err
		}
		if !waited {
			say.Say("waiting for another command that changes the cluster")
			waited = true
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	return func() { lock.Close() }, nil
}
