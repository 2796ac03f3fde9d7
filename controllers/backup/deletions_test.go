package backup

import (
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func TestDeletionsOfADriver(t *testing.T) {
	var d deletions
	now := time.Now()
	named := func(name string) types.NamespacedName { return types.NamespacedName{Namespace: "shop", Name: name} }
	for _, name := range []string{"a", "b", "c", "d"} {
		if before := d.begin(named(name), []string{"disk", "disk"}, now); before != nil {
			t.Errorf("%s waits for %v", name, before)
		}
	}
	want := []string{"shop/a", "shop/b", "shop/c", "shop/d"}
	if before := d.begin(named("e"), []string{"other", "disk"}, now); !slices.Equal(before, want) {
		t.Errorf("the fifth waits for %v, want %v", before, want)
	}
	if before := d.begin(named("a"), []string{"disk"}, now.Add(time.Second)); before != nil {
		t.Errorf("one that has begun waits for %v", before)
	}
	if before := d.begin(named("f"), []string{"other"}, now); before != nil {
		t.Errorf("one of another driver waits for %v", before)
	}
	d.end(named("b"))
	if before := d.begin(named("e"), []string{"disk"}, now); before != nil {
		t.Errorf("after one is gone the next waits for %v", before)
	}
	if before := d.begin(named("g"), []string{"disk"}, now.Add(stuckAfter)); before != nil {
		t.Errorf("those that hang keep %v waiting", before)
	}
}
