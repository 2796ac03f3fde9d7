package main

import (
	"fmt"
	"strconv"
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

// perSecond is a flag's rate that has to be one that somebody can have meant.
type perSecond struct{ into *float64 }

const lowestRate, highestRate = 0.01, 1000

// String implements flag.Value.
func (p perSecond) String() string {
	if p.into == nil { // the flag package asks one of its own making
		return ""
	}
	return strconv.FormatFloat(*p.into, 'g', -1, 64)
}

// Set implements flag.Value.
func (p perSecond) Set(text string) error {
	rate, err := strconv.ParseFloat(text, 64)
	if isRate := rate >= lowestRate && rate <= highestRate; err != nil || !isRate && rate != 0 {
		return fmt.Errorf("write a number from %g to %d, such as 0.3 or 6, or 0 for no limit", lowestRate, highestRate)
	}
	*p.into = rate
	return nil
}
