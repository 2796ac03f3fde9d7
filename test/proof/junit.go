package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// junitCase is one database and layout in a report of tests.
type junitCase struct {
	Class   string  `xml:"classname,attr"`
	Name    string  `xml:"name,attr"`
	Seconds float64 `xml:"time,attr"`
	Failure *string `xml:"failure"`
}

// writeJUnit writes the report as one of tests.
func (t *report) writeJUnit(path string) error {
	type suite struct {
		Name  string      `xml:"name,attr"`
		Cases []junitCase `xml:"testcase"`
	}
	all := struct {
		XMLName xml.Name `xml:"testsuites"`
		Suite   suite    `xml:"testsuite"`
	}{Suite: suite{Name: "proof"}}
	for _, w := range t.rows {
		c := junitCase{Class: "proof", Name: w.String(), Seconds: w.took.Round(time.Millisecond).Seconds()}
		if wrong := w.wrong(); len(wrong) > 0 {
			text := strings.Join(wrong, "\n")
			c.Failure = &text
		}
		all.Suite.Cases = append(all.Suite.Cases, c)
	}
	text, err := xml.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
