package resticexport

import (
	"encoding/json"
	"fmt"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// MaxTask is how many bytes a task may have: a kernel takes no argument of 128 KiB or
// more.
const MaxTask = 96 << 10

// Key tells a history from any other, and says which comes first.
func (h *History) Key() string { return h.Policy + "/" + h.Host }

// RetainFirst is the task for the first of some histories, as many as there is room
// for, and one at least: see WhyTooLong.
func RetainFirst(histories []History) *Retain {
	left, n := MaxTask-len(Task{Retain: &Retain{}}.String()), 0
	for n < min(len(histories), MaxIDs) {
		text, err := json.Marshal(&histories[n])
		if err != nil {
			break // it is plain data: it always can be written
		}
		if left -= len(text) + len(","); left < 0 && n > 0 {
			break
		}
		n++
	}
	return &Retain{Histories: histories[:n]}
}

// WhyTooLong says why no mover can be given a task, and what to do, empty where one
// can.
func (r *Retain) WhyTooLong() string {
	if len(r.Histories) == 0 || len(Task{Retain: r}.String()) <= MaxTask {
		return ""
	}
	h := &r.Histories[0]
	return fmt.Sprintf("%d backups of %s by policy %s stay whatever the rules say, which are more than a mover can be told, so that none of its exports is forgotten: take %s off backups that needn't stay, or have retention.snapshots keep fewer of those that are in the repository alone",
		len(h.Held), h.Host, h.Policy, v1alpha1.AnnotationKeep)
}
