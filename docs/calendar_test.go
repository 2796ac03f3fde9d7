package docs

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lull-dev/lull/snapshot/retention"
)

var update = flag.Bool("update", false, "draw the pictures anew")

// calendarRules are those of the picture, and what of it each one keeps.
var calendarRules = []struct {
	name, color string
	rules       retention.Rules
}{
	{"keepLast: 3", "#1b5e20", retention.Rules{Last: 3}},
	{"keepDaily: 7", "#388e3c", retention.Rules{Daily: 7}},
	{"keepWeekly: 5", "#1976d2", retention.Rules{Weekly: 5}},
	{"keepMonthly: 12", "#7b1fa2", retention.Rules{Monthly: 12}},
}

// The picture of docs/policies.md is what retention keeps of a year of nights:
// go test ./docs -run Calendar -update draws it anew.
func TestTheCalendarIsWhatRetentionKeeps(t *testing.T) {
	const file = "retention-calendar.svg"
	drawn := calendar(time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC))
	if *update {
		if err := os.WriteFile(file, []byte(drawn), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	there, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(there) != drawn {
		t.Errorf("%s isn't what the code draws: go test ./docs -run Calendar -update", file)
	}
}

// calendar draws a year of nightly backups, removed night by night.
func calendar(newest time.Time) string {
	all := retention.Rules{Last: 3, Daily: 7, Weekly: 5, Monthly: 12}
	first := newest.AddDate(-1, 0, 1)
	var kept []retention.Backup
	for night := first; !night.After(newest); night = night.AddDate(0, 0, 1) {
		kept, _ = all.Split(append(kept, retention.Backup{Name: night.Format(time.DateOnly), At: night}), time.UTC, night.Add(time.Minute))
	}
	colors := map[string]string{}
	for _, rule := range calendarRules {
		by, _ := rule.rules.Split(kept, time.UTC, newest.Add(time.Minute))
		for _, b := range by {
			if colors[b.Name] == "" {
				colors[b.Name] = rule.color
			}
		}
	}
	return draw(first, newest, colors, len(kept))
}

// draw has a column a week and a square a night.
func draw(first, newest time.Time, colors map[string]string, kept int) string {
	const size, left, top = 13, 40, 46
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`, left+54*size+10, top+7*size+44)
	line(`<rect width="100%%" height="100%%" fill="white"/>`)
	line(`<text x="%d" y="16" font-size="13">A backup each night, after a year: %d of %d are kept</text>`, left, kept, int(newest.Sub(first).Hours()/24)+1)
	for i, name := range []string{"Mon", "", "Wed", "", "Fri", "", "Sun"} {
		line(`<text x="%d" y="%d" fill="#555">%s</text>`, 8, top+i*size+10, name)
	}
	monday := first.AddDate(0, 0, -(int(first.Weekday())+6)%7)
	for night := first; !night.After(newest); night = night.AddDate(0, 0, 1) {
		days := int(night.Sub(monday).Hours() / 24)
		x, y := left+days/7*size, top+days%7*size
		if night.Day() == 1 {
			line(`<text x="%d" y="%d" fill="#555">%s</text>`, x, top-6, night.Format("Jan"))
		}
		color, stroke := "white", "#ddd"
		if c := colors[night.Format(time.DateOnly)]; c != "" {
			color, stroke = c, c
		}
		line(`<rect x="%d" y="%d" width="10" height="10" fill="%s" stroke="%s"><title>%s</title></rect>`, x, y, color, stroke, night.Format(time.DateOnly))
	}
	x := left
	for _, rule := range calendarRules {
		line(`<rect x="%d" y="%d" width="10" height="10" fill="%s"/><text x="%d" y="%d">%s</text>`, x, top+7*size+16, rule.color, x+16, top+7*size+25, rule.name)
		x += 40 + 7*len(rule.name)
	}
	line(`</svg>`)
	return b.String()
}
