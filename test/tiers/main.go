// tiers runs tiers of tests one after the other, each as `make test-<tier>`,
// and ends with what failed, how long each took and one line of counts. These
// come from the JUnit reports that the tiers write: a tier that reports nothing
// has failed.
package main

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const results = "bin/results"

// outcome is what became of one tier.
type outcome struct {
	tier                    string
	took                    time.Duration
	passed, failed, skipped int
	failures                []string
	err                     error
}

func main() {
	if err := os.RemoveAll(results); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var outcomes []outcome
	for _, tier := range os.Args[1:] {
		outcomes = append(outcomes, run(tier))
	}
	if !summarize(outcomes) {
		os.Exit(1)
	}
}

func run(tier string) outcome {
	fmt.Printf("=== %s: make test-%s\n", tier, tier)
	start := time.Now()
	cmd := exec.Command("make", "test-"+tier)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	o := outcome{tier: tier, err: cmd.Run()}
	o.took = time.Since(start).Round(time.Second)
	reports, err := filepath.Glob(filepath.Join(results, tier+"*.xml"))
	if err == nil && len(reports) == 0 {
		err = errors.New("no test reported anything")
	}
	o.err = errors.Join(o.err, err)
	for _, report := range reports {
		o.err = errors.Join(o.err, o.count(report))
	}
	return o
}

// junit is what we need of a JUnit report, in the dialects of gotestsum and
// ginkgo.
type junit struct {
	Suites []struct {
		Cases []struct {
			Name    string    `xml:"name,attr"`
			Failure *reason   `xml:"failure"`
			Error   *reason   `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
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

func (o *outcome) count(report string) error {
	text, err := os.ReadFile(report)
	if err != nil {
		return err
	}
	var parsed junit
	if err := xml.Unmarshal(text, &parsed); err != nil {
		return fmt.Errorf("%s: %w", report, err)
	}
	for _, suite := range parsed.Suites {
		for _, c := range suite.Cases {
			switch failure := cmp.Or(c.Failure, c.Error); {
			case failure != nil:
				o.failed++
				o.failures = append(o.failures, fmt.Sprintf("%s: %s\n%s", o.tier, c.Name, failure))
			case strings.HasPrefix(c.Name, "[") && !strings.HasPrefix(c.Name, "[It]"):
				// Ginkgo reports its set-up and tear-down as cases too; those
				// count only where they failed.
			case c.Skipped != nil:
				o.skipped++
			default:
				o.passed++
			}
		}
	}
	return nil
}

func summarize(outcomes []outcome) (good bool) {
	good = true
	var all outcome
	for _, o := range outcomes {
		for _, failure := range o.failures {
			fmt.Printf("\nFAILED %s\n", failure)
		}
	}
	fmt.Println()
	for _, o := range outcomes {
		all.passed, all.failed, all.skipped = all.passed+o.passed, all.failed+o.failed, all.skipped+o.skipped
		verdict := "passed"
		if o.err != nil || o.failed > 0 {
			good, verdict = false, fmt.Sprintf("FAILED (%v)", o.err)
			all.failed = max(all.failed, 1)
		}
		fmt.Printf("%-12s %6s  %4d passed, %d failed  %s\n", o.tier, o.took, o.passed, o.failed, verdict)
	}
	fmt.Printf("%d passed, %d failed", all.passed, all.failed)
	if all.skipped > 0 {
		fmt.Printf(", %d skipped", all.skipped)
	}
	fmt.Println()
	return good
}
