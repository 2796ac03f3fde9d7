package framework

import (
	"fmt"
	"strings"
	"testing"
)

func TestReadingALedger(t *testing.T) {
	row := func(n int) string { return fmt.Sprintf("%d\tabc\t%s\n", n, sumOf(n, "abc")) }
	for _, c := range []struct {
		name, rows string
		want       Ledger
	}{
		{"none", "", Ledger{}},
		{"three, in any order", row(3) + row(1) + row(2), Ledger{Rows: 3, Last: 3}},
		{"one is missing", row(1) + row(3), Ledger{Rows: 2, Last: 3}},
		{"one is there twice", row(1) + row(3) + row(3), Ledger{Rows: 2, Last: 3}},
		{"one is another's", row(1) + strings.Replace(row(2), "2", "3", 1), Ledger{Rows: 2, Last: 3, Damaged: 1}},
	} {
		if got, err := parseLedger(c.rows); got != c.want || err != nil {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	for _, rows := range []string{"1 abc\n", "one abc def\n"} {
		if _, err := parseLedger(rows); err == nil {
			t.Errorf("%q is read", rows)
		}
	}
}
