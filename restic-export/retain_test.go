package resticexport

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// someHistories are as many, in the order of their keys, of which each holds so many
// backups.
func someHistories(n, held int) (all []History) {
	for i := range n {
		h := History{Host: fmt.Sprintf("shop/web-%05d", i), Policy: "nightly", Rules: v1alpha1.RetentionRules{KeepDaily: 14, KeepMonthly: 12}, TimeZone: "Europe/Zurich"}
		for j := range held {
			h.Held = append(h.Held, types.UID(fmt.Sprintf("%08d-0000-4000-8000-%012d", i, j)))
		}
		all = append(all, h)
	}
	return all
}

func TestRetentionOfThousandsTakesSeveralTasks(t *testing.T) {
	for _, held := range []int{0, 1, 20} {
		all := someHistories(3000, held)
		var dealtWith []string
		for tasks, left := 0, all; len(left) > 0; tasks++ {
			task := Task{Retain: RetainFirst(left)}
			if text := task.String(); len(text) > MaxTask || task.Retain.WhyTooLong() != "" {
				t.Fatalf("task %d has %d bytes: %q", tasks, len(text), task.Retain.WhyTooLong())
			} else if _, err := ParseTask(text); err != nil {
				t.Fatal(err)
			}
			for _, h := range task.Retain.Histories {
				dealtWith = append(dealtWith, h.Key())
			}
			left = left[len(task.Retain.Histories):]
			if len(left) > 0 && len(task.Retain.Histories) < MaxIDs && len(Task{Retain: &Retain{Histories: append(slices.Clone(task.Retain.Histories), left[0])}}.String()) <= MaxTask {
				t.Errorf("task %d has room for another", tasks)
			}
		}
		if len(dealtWith) != len(all) || !slices.IsSorted(dealtWith) || len(slices.Compact(dealtWith)) != len(all) {
			t.Errorf("with %d held each, %d of %d are dealt with", held, len(dealtWith), len(all))
		}
	}
}

func TestAHistoryThatNoMoverCanBeToldOf(t *testing.T) {
	all := append(someHistories(1, 3000), someHistories(2, 1)...)
	first := RetainFirst(all)
	if why := first.WhyTooLong(); len(first.Histories) != 1 || !strings.HasPrefix(why, "3000 backups of shop/web-00000 by policy nightly stay") {
		t.Errorf("%d: %q", len(first.Histories), why)
	}
	if second := RetainFirst(all[1:]); len(second.Histories) != 2 || second.WhyTooLong() != "" {
		t.Errorf("%+v", second)
	}
}
