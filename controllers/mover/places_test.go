package mover

import (
	"strings"
	"testing"
)

func TestWhoWaitsInARepository(t *testing.T) {
	of := func(kind PlaceKind, n int32) map[PlaceKind]int32 { return map[PlaceKind]int32{kind: n} }
	for name, c := range map[string]struct {
		working map[PlaceKind]int32
		place   Place
		waits   string // empty where it begins
	}{
		"nobody works":                     {of("", 0), Place{Kind: Alone}, ""},
		"an export beside exports":         {of(Shared, 3), Place{Shared, 4}, ""},
		"an export too many":               {of(Shared, 4), Place{Shared, 4}, "4 work in repository r"},
		"an export beside a copy":          {of(Copying, 1), Place{Shared, 1}, ""},
		"an export while it is pruned":     {of(Alone, 1), Place{Shared, 4}, "is looked after"},
		"pruning while others work":        {of(Shared, 2), Place{Kind: Alone}, "until the 2 that work"},
		"pruning while it is copied":       {of(Copying, 1), Place{Kind: Alone}, "until the 1 that work"},
		"a copy beside exports":            {of(Shared, 4), Place{Kind: Copying}, ""},
		"a copy while it is pruned":        {of(Alone, 1), Place{Kind: Copying}, "is looked after"},
		"a copy beside a copy":             {of(Copying, 1), Place{Kind: Copying}, "another copy"},
		"a copy while it is looked at":     {of(Beside, 1), Place{Kind: Copying}, ""},
		"pruning while files are copied":   {of(Apart, 1), Place{Kind: Alone}, ""},
		"two that look after a repository": {of(Alone, 1), Place{Kind: Alone}, "is looked after"},
	} {
		if waits := waitsIn("r", c.working, c.place); (waits == "") != (c.waits == "") || !strings.Contains(waits, c.waits) {
			t.Errorf("%s: %q", name, waits)
		}
	}
}
