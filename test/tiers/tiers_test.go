package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The dialects of gotestsum and ginkgo, as they write them.
const (
	ofGotestsum = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4" failures="1" errors="0" time="9.2">
	<testsuite tests="4" failures="1" time="9.2" name="example.com/shop">
		<testcase classname="example.com/shop" name="TestShop" time="7.5"></testcase>
		<testcase classname="example.com/shop" name="TestShop/sells_a/b" time="7.5"></testcase>
		<testcase classname="example.com/shop" name="TestTill" time="0.25">
			<failure message="Failed" type="">till_test.go:7: a cent is missing</failure>
		</testcase>
		<testcase classname="example.com/shop" name="TestDoor" time="0"><skipped message="closed"></skipped></testcase>
	</testsuite>
</testsuites>`
	ofGinkgo = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="3" time="61">
	<testsuite name="Lull" package="/src" tests="3" time="61">
		<testcase name="[BeforeSuite]" classname="Lull" status="passed" time="30"></testcase>
		<testcase name="[It] an application is backed up [driver]" classname="Lull" status="passed" time="61.04"></testcase>
		<testcase name="[AfterSuite]" classname="Lull" status="failed" time="0">
			<failure message="the namespace stays" type="failed"></failure>
		</testcase>
	</testsuite>
</testsuites>`
)

func read(t *testing.T, tier string, reports ...string) outcome {
	t.Helper()
	o := outcome{tier: tier, took: 90 * time.Second}
	for i, report := range reports {
		file := filepath.Join(t.TempDir(), fmt.Sprint(i, ".xml"))
		if err := os.WriteFile(file, []byte(report), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := o.readReport(file); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestReportsAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		report                  string
		passed, failed, skipped int
	}{
		"gotestsum": {ofGotestsum, 2, 1, 1},
		"ginkgo, whose set-up counts where it failed": {ofGinkgo, 1, 1, 0},
		"no tests": {`<testsuites></testsuites>`, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := read(t, "unit", c.report)
			if o.passed != c.passed || o.failed != c.failed || o.skipped != c.skipped {
				t.Errorf("%d passed, %d failed, %d skipped", o.passed, o.failed, o.skipped)
			}
		})
	}
}

// With many tests side by side one race fails all of them, and its report is in the
// text of one.
func TestARaceIsToldBeforeWhatItFailed(t *testing.T) {
	o := read(t, "integration", `<testsuites><testsuite>
		<testcase classname="shop" name="TestDoor"><failure message="Failed">race detected during execution of test</failure></testcase>
		<testcase classname="shop" name="TestTill"><failure message="Failed">==================&#xA;WARNING: DATA RACE&#xA;Write at 0x00c0 by goroutine 7:&#xA;  shop.(*till).add()&#xA;==================&#xA;race detected</failure></testcase>
	</testsuite></testsuites>`)
	if len(o.failures) != 3 || o.failed != 2 {
		t.Fatalf("%d failed: %q", o.failed, o.failures)
	}
	if race := o.failures[0]; !strings.Contains(race, "goroutine 7:\n  shop.(*till).add()\n") || strings.Contains(race, "race detected") {
		t.Errorf("%q", race)
	}
}

func TestAReportThatCantBeReadIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "unit.xml")
	if err := os.WriteFile(file, []byte("<testsuites"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&outcome{}).readReport(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("should name the file: %v", err)
	}
}

func TestTheSummarySaysWhatFailedAndWhereTheTimeWent(t *testing.T) {
	var said strings.Builder
	outcomes := []outcome{read(t, "unit", ofGotestsum), read(t, "e2e", ofGinkgo)}
	if summarize(&said, outcomes, 2*time.Minute) {
		t.Error("it didn't go well")
	}
	want := `
FAILED unit: TestTill
  till_test.go:7: a cent is missing

FAILED e2e: [AfterSuite]
  the namespace stays

The slowest tests:
e2e            1m1s  an application is backed up [driver]
unit           7.5s  TestShop/sells_a/b
unit          300ms  TestTill
e2e              0s  [AfterSuite]

The tiers, some of them side by side:
unit          1m30s     2 passed, 1 failed  FAILED
e2e           1m30s     1 passed, 1 failed  FAILED
all            2m0s
3 passed, 2 failed, 1 skipped
`
	if said.String() != want {
		t.Errorf("said:\n%s", said.String())
	}
}

func TestTheLastLineIsTheCountsAlone(t *testing.T) {
	for name, c := range map[string]struct {
		outcomes []outcome
		last     string
		good     bool
	}{
		"all passed":                          {[]outcome{{tier: "unit", passed: 3}, {tier: "e2e", passed: 2}}, "5 passed, 0 failed", true},
		"a tier that failed beside its tests": {[]outcome{{tier: "unit", passed: 3, err: errors.New("exit status 2")}}, "3 passed, 1 failed", false},
	} {
		t.Run(name, func(t *testing.T) {
			var said strings.Builder
			if good := summarize(&said, c.outcomes, time.Minute); good != c.good {
				t.Errorf("good: %t", good)
			}
			if !strings.HasSuffix(said.String(), "\n"+c.last+"\n") {
				t.Errorf("the last line should be %q:\n%s", c.last, said.String())
			}
		})
	}
}

func TestOnlyTheTenSlowestAreTold(t *testing.T) {
	var tests []test
	for i := range 12 {
		tests = append(tests, test{name: fmt.Sprint(i), took: time.Duration(i) * time.Second})
	}
	told := slowest(tests)
	if len(told) != 10 || told[0].name != "11" || told[9].name != "2" {
		t.Errorf("told: %v", told)
	}
}

func TestEachLineBeginsWithItsTier(t *testing.T) {
	var said strings.Builder
	out := &output{to: &said}
	unit, e2e := &lines{of: "unit", out: out}, &lines{of: "e2e", out: out}
	for _, step := range []struct {
		of   *lines
		text string
	}{{unit, "o"}, {e2e, "one\ntw"}, {unit, "k\n"}, {e2e, "o\nthree"}} {
		if _, err := step.of.Write([]byte(step.text)); err != nil {
			t.Fatal(err)
		}
	}
	unit.end()
	e2e.end()
	want := "e2e         | one\nunit        | ok\ne2e         | two\ne2e         | three\n"
	if said.String() != want {
		t.Errorf("said:\n%s", said.String())
	}
}
