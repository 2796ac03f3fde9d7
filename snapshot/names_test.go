package snapshot

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestNameIsALock(t *testing.T) {
	base := Name("mysql-1", "uid-1", "data", 1)
	if base != Name("mysql-1", "uid-1", "data", 1) {
		t.Fatal("the same arguments must give the same name")
	}
	for why, other := range map[string]string{
		"another claim":   Name("mysql-1", "uid-1", "logs", 1),
		"another attempt": Name("mysql-1", "uid-1", "data", 2),
		"another object":  Name("mysql-1", "uid-2", "data", 1),
	} {
		if other == base {
			t.Errorf("%s must give another name than %s", why, base)
		}
	}
	if !strings.HasPrefix(base, "mysql-1-data-") {
		t.Errorf("%s doesn't tell what it is of", base)
	}
}

func TestNamesFit(t *testing.T) {
	long := strings.Repeat("a", 253)
	for _, s := range []string{"a", "a.b.c", "x-", long, strings.Repeat("ab-", 80) + "a"} {
		if errs := validation.IsDNS1123Label(Name(s, "u", s, 1)); len(errs) > 0 {
			t.Errorf("Name(%q): %v", s, errs)
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
