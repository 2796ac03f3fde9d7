package main

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"html"
	"os"
	"strings"
	"time"
)

// outcome is what became of one tier.
type outcome struct {
	tier                    string
	took                    time.Duration
	passed, failed, skipped int
	failures                []string
	// tests are those that were run, with the time that each took.
	tests []test
	err   error
}

type test struct {
	tier, name string
	took       time.Duration
}

// junit is what we need of a JUnit report, in the dialects of gotestsum and
// ginkgo.
type junit struct {
	Suites []suite `xml:"testsuite"`
}

type suite struct {
	Cases []testCase `xml:"testcase"`
}

type testCase struct {
	Class   string    `xml:"classname,attr"`
	Name    string    `xml:"name,attr"`
	Seconds float64   `xml:"time,attr"`
	Failure *reason   `xml:"failure"`
	Error   *reason   `xml:"error"`
	Skipped *struct{} `xml:"skipped"`
}

type reason struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// String is the text, or where there is none the message, which go test's
// reports fill with a word that is always the same. It is cut to what can be
// read at a glance: the whole is in the output above, and in the report.
func (r *reason) String() string {
	const longest = 800
	said := strings.TrimSpace(r.Text)
	if said == "" {
		said = r.Message
	}
	if len(said) > longest {
		said = strings.ToValidUTF8(said[:longest], "") + " ..."
	}
	return "  " + strings.ReplaceAll(said, "\n", "\n  ")
}

func (o *outcome) readReport(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	o.failures = append(o.failures, o.races(string(text))...)
	var report junit
	if err := xml.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, s := range report.Suites {
		o.count(s)
	}
	return nil
}

// The race detector prints a report of its own, which lands in whatever test spoke
// last, and fails all that run at that time: what those say isn't what is wrong.
const (
	raceBegins = "WARNING: DATA RACE"
	raceEnds   = "=================="
)

// races are the reports of the race detector.
func (o *outcome) races(report string) (found []string) {
	for {
		_, rest, isThere := strings.Cut(report, raceBegins)
		if !isThere {
			return found
		}
		var race string
		race, report, _ = strings.Cut(rest, raceEnds)
		found = append(found, fmt.Sprintf("%s: a data race, which fails all tests that ran beside it%s", o.tier, html.UnescapeString(race)))
	}
}

func (o *outcome) count(s suite) {
	parents := s.parents()
	for _, c := range s.Cases {
		switch failure := cmp.Or(c.Failure, c.Error); {
		case failure != nil:
			o.failed++
			o.failures = append(o.failures, fmt.Sprintf("%s: %s\n%s", o.tier, c.Name, failure))
		case c.isSetUp():
			continue
		case c.Skipped != nil:
			o.skipped++
			continue
		default:
			o.passed++
		}
		if !parents[c.id()] {
			took := time.Duration(c.Seconds * float64(time.Second))
			o.tests = append(o.tests, test{tier: o.tier, name: strings.TrimPrefix(c.Name, "[It] "), took: took})
		}
	}
}

// isSetUp is true for ginkgo's set-up and tear-down, which it reports as cases
// too. They count only where they failed.
func (c testCase) isSetUp() bool {
	return strings.HasPrefix(c.Name, "[") && !strings.HasPrefix(c.Name, "[It]")
}

func (c testCase) id() string { return c.Class + "." + c.Name }

// parents are the Go tests that have others in them: their time is that of
// those.
func (s suite) parents() map[string]bool {
	parents := map[string]bool{}
	for _, c := range s.Cases {
		if !strings.HasPrefix(c.Name, "Test") {
			continue
		}
		for id := c.id(); ; {
			i := strings.LastIndex(id, "/")
			if i < len(c.Class) {
				break
			}
			id = id[:i]
			parents[id] = true
		}
	}
	return parents
}
