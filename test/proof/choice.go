package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// shortForm are the databases and layouts that are worth most: for both ways to keep a
// log one that is Proven and one that can't be, each of another kind. Those that can't
// be have shortRounds at most to show a torn copy.
var shortForm = []string{
	"MariaDB 10.11, one volume",
	"MariaDB 10.11, log apart, one by one",
	"PostgreSQL 15, log apart, as a group",
	"PostgreSQL 15, one volume, copied file by file",
}

const shortRounds = 3

// testbeds are those that are asked for.
func (o options) testbeds() (beds []*testbed, err error) {
	switch {
	case o.rounds < 0 || o.sideBySide < 1:
		return nil, errors.New("-rounds is a number from 0, and -side-by-side one from 1")
	case o.only != "" && o.table != "":
		return nil, errors.New("-table writes the whole table, and -only runs a part of it: leave out one of the two")
	case o.rounds == 0 && o.table != "":
		return nil, errors.New("-table writes the whole table, and the short form runs a part of it: say how many -rounds")
	}
	for _, e := range engines() {
		for _, l := range e.layouts {
			if w := o.row(e, l); w != nil {
				beds = append(beds, &testbed{engine: e, layout: l, row: w})
			}
		}
	}
	if len(beds) == 0 {
		return nil, fmt.Errorf("-only=%q names no database and layout", o.only)
	}
	return beds, nil
}

// row is that of a database and layout, nil where it isn't asked for.
func (o options) row(e engine, l layout) *row {
	w := &row{database: e.name, layout: l, asked: o.rounds}
	if o.rounds == 0 {
		w.asked, w.untilTorn = 1, true
		if l.verdict != v1alpha1.Proven && l.whole == "" {
			w.asked = shortRounds
		}
	}
	isAsked := strings.Contains(w.String(), o.only)
	if o.rounds == 0 && o.only == "" {
		isAsked = slices.Contains(shortForm, w.String())
	}
	if !isAsked {
		return nil
	}
	return w
}

// begin has the report begin with the rounds of its journal.
func (t *report) begin(beds []*testbed) error {
	before, err := t.journal.read()
	if err != nil {
		return err
	}
	for _, bed := range beds {
		t.rows = append(t.rows, bed.row)
		for _, r := range before {
			if r.Database == bed.row.database && r.Layout == bed.layout.name {
				bed.row.count(r)
			}
		}
	}
	return nil
}
