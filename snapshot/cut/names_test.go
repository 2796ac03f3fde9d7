package cut

import (
	"strings"
	"testing"
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
