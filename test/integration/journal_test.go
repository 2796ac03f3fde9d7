package integration

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// journal is what happened, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) entries() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

// positions of the entries that begin so.
func (j *journal) positions(prefix string) []int {
	var at []int
	for i, line := range j.entries() {
		if strings.HasPrefix(line, prefix) {
			at = append(at, i)
		}
	}
	return at
}

func (fc *fakeCluster) noCommandRan() {
	fc.Helper()
	for _, entry := range fc.journal.entries() {
		if strings.HasPrefix(entry, "run ") {
			fc.Errorf("a command was run: %s", entry)
		}
	}
}

func (fc *fakeCluster) noSnapshotWasMade() {
	fc.Helper()
	if made := fc.storage.made(); len(made) > 0 {
		fc.Errorf("snapshots were made: %v", made)
	}
}
