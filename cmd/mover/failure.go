package main

import (
	"errors"
	"fmt"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// failure is why a task wasn't done.
type failure struct {
	cause    resticexport.Cause
	message  string
	exitCode int
}

func (f *failure) Error() string { return f.message }

func failed(cause resticexport.Cause, format string, args ...any) error {
	return &failure{cause: cause, message: fmt.Sprintf(format, args...)}
}

// tell writes into the result why the task wasn't done.
func tell(result *resticexport.Result, err error) {
	f := &failure{cause: resticexport.CauseFailed, message: err.Error()}
	errors.As(err, &f)
	result.Done, result.Cause, result.Message, result.ExitCode = false, f.cause, f.message, f.exitCode
}
