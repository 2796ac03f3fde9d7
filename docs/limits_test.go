package docs

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/lull-dev/lull/snapshot/limits"
)

// The limits that docs/operating.md tells are those of the code, all of them.
func TestTheLimitsAreTold(t *testing.T) {
	page, err := os.ReadFile("operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Limits\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := 0
	for row := range strings.SplitSeq(section, "\n") {
		if strings.HasPrefix(row, "| ") && !strings.HasPrefix(row, "| what ") && !strings.HasPrefix(row, "| ---") {
			rows++
		}
	}
	told := []struct {
		begins string
		most   int
	}{
		{"claims that an application mounts", limits.MountedClaims},
		{"claims of one backup", limits.Claims},
		{"claims that `lull.dev/exclude-volumes` names", limits.ExcludedClaims},
		{"pods that are quieted at once", limits.Pods},
		{"bytes of one command of a hook", limits.CommandBytes},
		{"KiB of the commands of all pods", limits.KiB(limits.CommandsBytes)},
		{"KiB that one command prints", limits.KiB(limits.OutputBytes)},
		{"bytes of that which are kept in memory", limits.KeptOutputBytes},
		{"warnings in `status.warnings`", limits.Warnings},
		{"KiB of a backup or a restore with its status", limits.KiB(limits.ObjectBytes)},
		{"applications in the status of a policy", limits.Rows},
		{"names in each other list of it", limits.Names},
		{"bytes of an annotation of Lull", limits.AnnotationBytes},
	}
	if rows != len(told) {
		t.Errorf("the table has %d rows, and %d are known here", rows, len(told))
	}
	for _, limit := range told {
		_, row, is := strings.Cut(section, "\n| "+limit.begins)
		row, _, _ = strings.Cut(row, "\n")
		if !is || !strings.Contains(row, fmt.Sprintf(" | %d | ", limit.most)) {
			t.Errorf("the row of %s should have %d: %s", limit.begins, limit.most, row)
		}
	}
}
