package main

import (
	"fmt"
	"time"
)

// bounded is a flag for a duration within bounds.
type bounded struct {
	into     *time.Duration
	from, to time.Duration
}

// String implements flag.Value.
func (b bounded) String() string {
	if b.into == nil { // the flag package asks one of its own making
		return ""
	}
	return b.into.String()
}

// Set implements flag.Value.
func (b bounded) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < b.from || d > b.to {
		return fmt.Errorf("write a duration from %s to %s, such as 30s or 2m", b.from, b.to)
	}
	*b.into = d
	return nil
}
