package names

import (
	"strings"
	"testing"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestNamesFit(t *testing.T) {
	long := strings.Repeat("a", 253)
	for _, s := range []string{"a", "a.b.c", "x-", long, strings.Repeat("ab-", 80) + "a"} {
		if errs := validation.IsDNS1123Label(Unique(s, s, "1")); len(errs) > 0 {
			t.Errorf("Unique(%q): %v", s, errs)
		}
		if errs := validation.IsValidLabelValue(LabelValue(s)); len(errs) > 0 {
			t.Errorf("LabelValue(%q): %v", s, errs)
		}
	}
	if LabelValue(long+"1") == LabelValue(long+"2") {
		t.Error("values that are cut must still differ")
	}
	if got := LabelValue("mysql-1"); got != "mysql-1" {
		t.Errorf("a value that fits is left as it is, got %q", got)
	}
}

func TestClip(t *testing.T) {
	long := strings.Repeat("ü", 100)
	for limit := 3; limit <= len(long); limit++ {
		got := Clip(long, limit)
		if len(got) > limit || !utf8.ValidString(got) || (got == long) != (limit == len(long)) {
			t.Errorf("at most %d bytes: %q", limit, got)
		}
	}
}
