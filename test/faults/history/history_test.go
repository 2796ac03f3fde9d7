package history

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// rejected are the histories in the folder beside this package, and the rule that
// each breaks: what the operator did wrong once, or was built not to. Nothing is
// wrong with one of no rule.
var rejected = map[string]Rule{
	"valid-hold-hooks-and-replace":            "",
	"valid-manager-killed-in-hold":            "",
	"valid-api-server-killed":                 "",
	"valid-pair-with-a-watchman":              "",
	"valid-watchman-is-relieved":              "",
	"valid-watchmen-of-a-pod-are-ended-later": "",
	"valid-watchman-has-an-heir":              "",

	"claim-deleted-before-its-volume-is-retained": Retain,
	"claim-deleted-after-its-volume-was-released": Retain,
	"volume-retained-by-a-dry-run-alone":          Retain,
	"previous-claim-deleted-though-it-is-undone":  Retain,
	"command-before-the-intent":                   Intent,
	"command-though-the-intent-met-a-conflict":    Intent,
	"command-in-a-pod-that-no-intent-names":       Intent,
	"post-hook-never-run":                         Thaw,
	"post-hook-late-after-back-off":               Thaw,
	"watchman-waits-past-the-deadline":            Thaw,
	"called-thawed-while-the-watchman-waits":      Thaw,
	"called-thawed-as-the-watchman-was-ended":     Thaw,
	"called-thawed-while-the-heir-waits":          Thaw,
	"watchman-ended-and-nobody-thaws":             Thaw,
	"watchman-ended-and-thawed-late":              Thaw,
	"hold-outlives-its-deadline":                  Thaw,
	"called-thawed-while-the-session-holds":       Thaw,
	"late-cut-adopted":                            LateCut,
	"cut-after-the-watchman-has-acted":            LateCut,
	"late-cut-of-a-group":                         LateCut,
	"cut-before-the-freeze":                       LateCut,
	"proven-without-a-freeze":                     LateCut,
	"restored-from-a-failed-attempt":              LateCut,
	"two-backups-freeze-one-pod":                  Exclusive,
	"next-attempt-before-the-thaw":                Exclusive,
}

const folder = "../histories"

func TestEachPastFaultIsRejectedByItsRule(t *testing.T) {
	for name, rule := range rejected {
		t.Run(name, func(t *testing.T) {
			h, err := FromFile(filepath.Join(folder, name+".jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			if len(h.Events) == 0 {
				t.Fatal("there is nothing in it")
			}
			var rules []Rule
			for _, v := range Judge(h) {
				t.Log(v)
				if !slices.Contains(rules, v.Rule) {
					rules = append(rules, v.Rule)
				}
			}
			if want := []Rule{rule}; rule == "" && len(rules) > 0 || rule != "" && !slices.Equal(rules, want) {
				t.Errorf("it breaks %q, want %q", rules, rule)
			}
		})
	}
}

func TestEachHistoryIsJudged(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, known := rejected[strings.TrimSuffix(filepath.Base(file), ".jsonl")]; !known {
			t.Errorf("%s isn't in the table", file)
		}
	}
}

func TestWhatIsLeftInTheDriverHasACause(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	of := func(name, verb string, after time.Duration, object string) *Event {
		return &Event{
			Stage: stageComplete, Verb: verb, Object: reference{Resource: "volumesnapshotcontents", Name: name}, Response: response{200},
			ResponseObject: []byte(object), Received: start.Add(after), At: start.Add(after),
		}
	}
	const isCut = `{"status":{"snapshotHandle":"h"}}`
	h := &History{Events: []*Event{
		of("late", "delete", 0, "{}"), of("late", "patch", time.Second, isCut),
		of("never", "patch", 0, `{"status":{"error":{}}}`), of("never", "delete", time.Second, "{}"),
		of("in-time", "patch", 0, isCut), of("in-time", "delete", time.Second, "{}"),
		of("there", "patch", 0, isCut),
	}}
	for name, want := range map[string]bool{"late": true, "never": true, "in-time": false, "there": false} {
		if h.DeletedUncut(name) != want {
			t.Errorf("%s was deleted while it was cut: %t (%s)", name, !want, h.EndOf(name))
		}
	}
}

func TestALogIsReadWithThoseThatItWasBefore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	line := func(id string, at time.Time) string {
		return `{"auditID":"` + id + `","stage":"ResponseComplete","verb":"delete","objectRef":{"resource":"pods","namespace":"n","name":"p"},` +
			`"requestReceivedTimestamp":"` + at.Format(time.RFC3339Nano) + `","stageTimestamp":"` + at.Format(time.RFC3339Nano) + `"}` + "\n"
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	first := &History{lines: [][]byte{[]byte(line("before", start)), []byte(line("first", start.Add(2*time.Second)))}}
	if err := first.Keep(filepath.Join(dir, "audit-2026-01-02T03-04-05.000.log.gz")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"audit-2026-01-02T03-05-05.000.log":    line("second", start.Add(time.Minute)),
		"audit-2026-01-02T03-05-05.000.log.gz": "half of it",
		"audit.log":                            line("third", start.Add(2*time.Minute)) + `{"auditID":"half`,
		"audit-of-something-else":              "nothing of ours",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h, err := FromLog(path, start.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(h); !slices.Equal(got, []string{"first", "second", "third"}) {
		t.Errorf("got %q", got)
	}
	if _, err := FromLog(path, start.Add(-time.Second)); err == nil {
		t.Error("a log that doesn't reach back is taken for one that does")
	}
}

func TestAHistoryIsKeptWithItsNotes(t *testing.T) {
	h, err := FromFile(filepath.Join(folder, "valid-api-server-killed.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	h.lines = [][]byte{[]byte(`{"kind":"Event","auditID":"kept"}` + "\n")}
	path := filepath.Join(t.TempDir(), "kept", "history.jsonl.gz")
	if err := h.Keep(path); err != nil {
		t.Fatal(err)
	}
	again, err := FromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Notes) == 0 || !slices.Equal(again.Notes, h.Notes) || !slices.Equal(ids(again), []string{"kept"}) {
		t.Errorf("kept %v and %q, got %v and %q", h.Notes, "kept", again.Notes, ids(again))
	}
}

func ids(h *History) (all []string) {
	for _, e := range h.Events {
		all = append(all, e.AuditID)
	}
	return all
}
