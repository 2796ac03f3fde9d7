package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// A name that the operator no longer has would never be met.
func TestTheFailpointsThatAreNamedExist(t *testing.T) {
	text, err := os.ReadFile("failpoints.txt")
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(string(text), "\n")
	var named []string
	for name := range unreached {
		named = append(named, name)
	}
	for _, s := range scenarios() {
		if s.prelude != nil {
			named = append(named, s.prelude.at.Point.String())
		}
	}
	for _, name := range named {
		// A failpoint may be named by fewer callers than the list has.
		if !slices.ContainsFunc(list, func(line string) bool { return line == name || strings.HasPrefix(line, name+"<") }) {
			t.Errorf("%s is not in failpoints.txt", name)
		}
	}
}
