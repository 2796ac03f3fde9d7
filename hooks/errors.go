package hooks

import (
	"fmt"
	"slices"
	"strings"
)

// Join is errors.Join on one line: what a person reads in a status is one line.
func Join(errs ...error) error {
	errs = slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return joined(errs)
}

type joined []error

func (j joined) Error() string {
	messages := make([]string, 0, len(j))
	for _, err := range j {
		messages = append(messages, err.Error())
	}
	return strings.Join(messages, "; ")
}

func (j joined) Unwrap() []error { return j }

// failure joins what went wrong with the command's last words.
func failure(what string, err error, output ...*tail) error {
	for _, o := range output {
		if words := o.last(); words != "" {
			return fmt.Errorf("%s: %w: %s", what, err, words)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

func inPod(t Target, err error) error {
	if err == nil {
		return nil
	}
	return &PodError{Pod: t.Pod, Err: err}
}

// PodError is an error in a pod.
type PodError struct {
	Pod string
	Err error
}

func (e *PodError) Error() string { return "pod " + e.Pod + ": " + e.Err.Error() }
func (e *PodError) Unwrap() error { return e.Err }
