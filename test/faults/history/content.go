package history

import "fmt"

// endOf are the first write that says that a content is cut, and the first
// deletion of it, nil where there was none.
func (h *History) endOf(name string) (cut, deleted *Event) {
	for _, e := range h.Events {
		if e.Object.Resource != "volumesnapshotcontents" || e.Object.Name != name || !e.done() {
			continue
		}
		if e.Verb == "delete" {
			if deleted == nil || e.Received.Before(deleted.Received) {
				deleted = e
			}
			continue
		}
		if c, ok := answer[content](e); ok && c.isCut() && (cut == nil || e.Received.Before(cut.Received)) {
			cut = e
		}
	}
	return cut, deleted
}

// DeletedUncut is true for a content that was deleted before the driver had
// answered that it is cut.
func (h *History) DeletedUncut(name string) bool {
	cut, deleted := h.endOf(name)
	return deleted != nil && (cut == nil || deleted.Received.Before(cut.Received))
}

// EndOf says how a content came to its end.
func (h *History) EndOf(name string) string {
	cut, deleted := h.endOf(name)
	switch {
	case deleted == nil:
		return "nobody has deleted its content"
	case cut == nil:
		return fmt.Sprintf("its content was deleted at %s, while it was cut, and nobody saw the cut", clock(deleted.Received))
	case deleted.Received.Before(cut.Received):
		return fmt.Sprintf("its content was deleted at %s, while it was cut, which was done by %s", clock(deleted.Received), clock(cut.Received))
	}
	return fmt.Sprintf("its content was cut by %s and deleted at %s", clock(cut.Received), clock(deleted.Received))
}
