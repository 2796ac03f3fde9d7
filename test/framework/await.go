package framework

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// oneCheck is how long a single check may take: it may ask a component that is
// broken on purpose.
const oneCheck = 20 * time.Second

// Await checks again and again until there is no error, for limit at most. Its
// own error says what was waited for, and the last error of the check.
func Await(ctx context.Context, limit time.Duration, what string, check func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, limit, true, func(ctx context.Context) (bool, error) {
		one, cancel := context.WithTimeout(ctx, oneCheck)
		defer cancel()
		err := check(one)
		if last != nil && (ctx.Err() != nil || isTooLate(err)) {
			return false, context.DeadlineExceeded // the check was cut short, and says nothing
		}
		last = err
		return err == nil, nil
	})
	if err != nil && last != nil {
		err = fmt.Errorf("%w (%w)", last, err)
	}
	if err != nil {
		err = fmt.Errorf("waited %s until %s: %w", limit, what, err)
	}
	return err
}

// isTooLate is true for the error of a client that would have to wait for its turn
// until after the deadline (Wait of golang.org/x/time/rate, which gives it no type).
// What was seen may say so, too, of another's client.
func isTooLate(err error) bool {
	switch of := err.(type) { //nolint:errorlint // it looks at each of those that are wrapped
	case interface{ Unwrap() error }:
		return isTooLate(of.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(of.Unwrap(), isTooLate)
	}
	return err != nil && strings.HasPrefix(err.Error(), "rate: Wait(")
}
