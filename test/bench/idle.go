package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lull-dev/lull/test/framework"
)

const (
	// idleTime is how long the idle manager is looked at.
	idleTime = 20 * time.Second
	// maxIdleMemory is the target, in MiB.
	maxIdleMemory = 64
)

// idle is what a manager does that has nothing to do.
type idle struct {
	// memory is what it has resident, in MiB.
	memory float64
	// perMinute are its requests to the API server, by method. PUT are the
	// renewals of its lease.
	perMinute map[string]float64
}

// idle reads the manager's own metrics twice.
func (b *bench) idle(ctx context.Context) (_ idle, err error) {
	manager, err := b.Manager(ctx)
	if err != nil {
		return idle{}, err
	}
	scraper, err := b.Scrape(ctx, manager, b.namespace)
	if err != nil {
		return idle{}, err
	}
	defer func() { err = errors.Join(err, scraper.Close()) }()
	// The first answer lets the manager ask who we are, and remember it.
	if _, err := scraper.Read(ctx); err != nil {
		return idle{}, err
	}
	before, err := scraper.Read(ctx)
	if err != nil {
		return idle{}, err
	}
	began := time.Now()
	select {
	case <-time.After(idleTime):
	case <-ctx.Done():
		return idle{}, ctx.Err()
	}
	after, err := scraper.Read(ctx)
	if err != nil {
		return idle{}, err
	}
	return compare(before, after, time.Since(began)), nil
}

func compare(before, after framework.Metrics, took time.Duration) idle {
	i := idle{memory: after.Sum("process_resident_memory_bytes", "") / (1 << 20), perMinute: map[string]float64{}}
	for _, method := range methods {
		n := after.Sum(requests, "method", method) - before.Sum(requests, "method", method)
		i.perMinute[method] = n / took.Minutes()
	}
	return i
}

const requests = "rest_client_requests_total"

var methods = []string{"GET", "PUT", "POST", "PATCH", "DELETE"}

func printIdle(w io.Writer, i idle) {
	fmt.Fprintf(w, "\nThe idle manager: %.0f MiB resident (target: at most %d)\n", i.memory, maxIdleMemory)
	fmt.Fprint(w, "Requests a minute:")
	for _, method := range methods {
		fmt.Fprintf(w, " %s %.0f", method, i.perMinute[method])
	}
	fmt.Fprintln(w, " (PUT renews its lease; GET holds its watches open)")
}

func (i idle) lines() []line {
	return []line{{Name: "idle-memory", Unit: "MiB", Value: i.memory}}
}
