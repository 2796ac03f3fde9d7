package fault

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
)

// The keys, the same in a class's parameters and on the control socket.
const (
	Mode        = "mode"        // atomic or copying
	CopyDelay   = "copyDelay"   // duration before each file and each 4 MiB
	CutDelay    = "cutDelay"    // duration before the cut
	ReturnDelay = "returnDelay" // duration from the cut to the answer
	ReadyAfter  = "readyAfter"  // duration from the cut to ready_to_use, or never
	Stamp       = "stamp"       // cut or before: what creation_time is
	Error       = "error"       // gRPC code of CreateSnapshot and CreateVolumeGroupSnapshot
	CreateDelay = "createDelay" // duration before the volume is made
	CreateError = "createError" // gRPC code of CreateVolume
	StageError  = "stageError"  // gRPC code of NodeStageVolume

	// Times limits the faults beside it to the first so many: see Book.
	Times = "times"
	// Counter keeps what Times counts for one class apart from what it counts
	// for another, on the same volume.
	Counter = "counter"
	// Volume limits the faults beside it to the volume of that id or name.
	Volume = "volume"
)

// never is the value of ReadyAfter that has no end.
const never = "never"

// Params are faults as they were asked for.
type Params map[string]string

// checks holds each key's rule.
var checks = map[string]func(string) error{
	Mode:        oneOf("atomic", "copying"),
	CopyDelay:   duration,
	CutDelay:    duration,
	ReturnDelay: duration,
	ReadyAfter:  durationOrNever,
	Stamp:       oneOf("cut", "before"),
	Error:       code,
	CreateDelay: duration,
	CreateError: code,
	StageError:  code,
	Times:       count,
	Counter:     anything,
	Volume:      anything,
}

// Check returns an error that names the first key that is unknown, or whose
// value is no good.
func (p Params) Check() error {
	for _, key := range slices.Sorted(maps.Keys(p)) {
		check, known := checks[key]
		if !known {
			return fmt.Errorf("unknown parameter %q: known are %s", key, strings.Join(slices.Sorted(maps.Keys(checks)), ", "))
		}
		if err := check(p[key]); err != nil {
			return fmt.Errorf("parameter %q: %w", key, err)
		}
	}
	return nil
}

// Known returns the faults among the given values, such as a volume's context.
func Known(values map[string]string) Params {
	known := Params{}
	for key, value := range values {
		if _, ok := checks[key]; ok {
			known[key] = value
		}
	}
	return known
}

// Duration returns the key's duration, 0 where it isn't set.
func (p Params) Duration(key string) time.Duration {
	d, _ := time.ParseDuration(p[key]) // Check was there before
	return d
}

// Code returns the key's gRPC code, OK where it isn't set.
func (p Params) Code(key string) codes.Code {
	c, _ := parseCode(p[key])
	return c
}

// Never tells whether a snapshot never gets ready.
func (p Params) Never() bool { return p[ReadyAfter] == never }

func duration(value string) error {
	d, err := time.ParseDuration(value)
	if err == nil && d < 0 {
		return fmt.Errorf("%s is less than nothing", value)
	}
	return err
}

func durationOrNever(value string) error {
	if value == never {
		return nil
	}
	return duration(value)
}

func count(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 1 {
		return fmt.Errorf("%q is not a number from 1", value)
	}
	return nil
}

func anything(string) error { return nil }

func oneOf(values ...string) func(string) error {
	return func(value string) error {
		if !slices.Contains(values, value) {
			return fmt.Errorf("%q is not one of %s", value, strings.Join(values, ", "))
		}
		return nil
	}
}

func code(value string) error {
	_, err := parseCode(value)
	return err
}

// parseCode takes a code's name as gRPC writes it in Go, such as Unavailable.
func parseCode(name string) (codes.Code, error) {
	for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
		if c.String() == name {
			return c, nil
		}
	}
	return codes.OK, fmt.Errorf("%q is not a gRPC code such as Unavailable", name)
}
