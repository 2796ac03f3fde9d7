// Command pause does nothing. It is the first process of every pod's sandbox,
// and keeps the sandbox there by waiting until it is asked to end.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	// Where containers share the sandbox's process numbers, their orphans become
	// ours: ignoring SIGCHLD has the kernel clear them away.
	signal.Ignore(syscall.SIGCHLD)
	<-stop
}
