package main

import (
	"fmt"
	"os"
	"strings"
)

// What stands around the table in a page.
const (
	tableBegins = "<!-- the table that make test-proof writes -->\n"
	tableEnds   = "<!-- its end -->\n"
)

// writeInto replaces the table of a page.
func (t *report) writeInto(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(page), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the table: write the lines %q and %q", path, strings.TrimSpace(tableBegins), strings.TrimSpace(tableEnds))
	}
	return os.WriteFile(path, []byte(before+tableBegins+t.markdown()+tableEnds+after), 0o644)
}

func (t *report) markdown() string {
	var b strings.Builder
	b.WriteString("| database | version | layout | verdict | rounds | clean | torn |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, w := range t.rows {
		fmt.Fprintf(&b, "| %s | %s | %s | `%s` | %d | %d | %d |\n", w.database, w.version, w.layout.name, w.layout.verdict, w.rounds, w.clean, w.torn)
	}
	for _, w := range t.rows {
		if w.layout.whole != "" {
			fmt.Fprintf(&b, "\n%s, %s: no copy can be torn, as %s.\n", w.database, w.layout.name, w.layout.whole)
		}
	}
	return b.String()
}
