package framework

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Ledger is what a database holds of a writer's rows.
type Ledger struct {
	// Rows counts them, Last is the highest number: a ledger without holes
	// has as many rows as its last says.
	Rows, Last int
	// Damaged counts the rows whose sum isn't that of their content.
	Damaged int
	// Checked is what the server says of the table, "OK" where it is whole. It is
	// empty where the server has no such check.
	Checked string
}

// ReadLedger reads and checks the rows in the database.
func (d Database) ReadLedger(ctx context.Context) (Ledger, error) {
	answer, err := d.Query(ctx, d.rows)
	if err != nil {
		return Ledger{}, err
	}
	ledger, err := parseLedger(answer)
	if err != nil || d.check == "" {
		return ledger, err
	}
	checked, err := d.Query(ctx, d.check)
	ledger.Checked = checked[strings.LastIndex(checked, "\t")+1:]
	return ledger, err
}

// parseLedger counts each number once.
func parseLedger(rows string) (l Ledger, err error) {
	numbers := map[int]bool{}
	for line := range strings.Lines(rows) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return l, fmt.Errorf("a row of the ledger is %q", line)
		}
		n, err := strconv.Atoi(fields[0])
		if err != nil {
			return l, fmt.Errorf("a row of the ledger is %q: %w", line, err)
		}
		if fields[2] != sumOf(n, fields[1]) {
			l.Damaged++
		}
		numbers[n] = true
		l.Last = max(l.Last, n)
	}
	l.Rows = len(numbers)
	return l, nil
}

func sumOf(n int, content string) string {
	sum := md5.Sum([]byte(fmt.Sprint(n, content)))
	return hex.EncodeToString(sum[:])
}
