package policy

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
)

// deletions of backups b0, b1 and so on of Deployment db, so many seconds after
// now.
func deletions(seconds ...int) (all []Deletion) {
	for i, at := range seconds {
		all = append(all, Deletion{At: now.Add(time.Duration(at) * time.Second), Backup: &v1alpha1.VolumeBackup{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("b%d", i)},
			Spec:       v1alpha1.VolumeBackupSpec{ApplicationRef: v1alpha1.ApplicationReference{Name: "db"}},
		}})
	}
	return all
}

// each is n moments, one each so many seconds.
func each(n, seconds int) (all []int) {
	for i := range n {
		all = append(all, i*seconds)
	}
	return all
}

func TestTwentyWithinAMinuteAreAMassDeletion(t *testing.T) {
	for name, c := range map[string]struct {
		seconds []int
		// first and count of what is one, -1 for none.
		first, count int
	}{
		"none":                              {nil, -1, 0},
		"nineteen at once":                  {each(19, 0), -1, 0},
		"twenty at once":                    {each(20, 0), 0, 20},
		"twenty in just a minute":           {append(each(19, 3), 60), 0, 20},
		"twenty in just more":               {append(each(19, 3), 61), -1, 0},
		"one each four seconds, for long":   {each(100, 4), -1, 0},
		"three hundred, one a second":       {each(300, 1), 0, 300},
		"some long before, and then twenty": {append([]int{-500, -300, -100}, each(20, 1)...), 3, 20},
		"twenty, and some after":            {append(each(20, 1), 70, 120), 0, 22},
	} {
		deleted := deletions(c.seconds...)
		mass := MassDeletion(deleted)
		if len(mass) != c.count || c.count > 0 && mass[0] != deleted[c.first] {
			t.Errorf("%s: %d of them are a mass deletion, want %d from the %dth on", name, len(mass), c.count, c.first)
		}
	}
}

func TestWhichDeletionsStillMatter(t *testing.T) {
	for name, c := range map[string]struct {
		seconds []int
		at      int
		from    int // of them; all before are forgotten
	}{
		"none":                                {nil, 0, 0},
		"a few of the last minute":            {[]int{0, 10, 20}, 30, 0},
		"a few, of which one is older":        {[]int{0, 10, 20}, 61, 1},
		"a few, long ago":                     {[]int{0, 10, 20}, 90, 3},
		"those of a mass deletion, all of it": {each(100, 1), 150, 0},
		"a mass deletion that is over":        {each(100, 1), 159, 100},
		"what was before a mass deletion":     {append([]int{-500}, each(20, 1)...), 30, 1},
	} {
		deleted := deletions(c.seconds...)
		current := Current(deleted, now.Add(time.Duration(c.at)*time.Second))
		if !slices.Equal(current, deleted[c.from:]) {
			t.Errorf("%s: the last %d of %d matter, want %d", name, len(current), len(deleted), len(deleted)-c.from)
		}
	}
}

func TestWhatIsNotedOfAMassDeletion(t *testing.T) {
	known := func(seconds int, count int32) *v1alpha1.MassDeletionStatus {
		return &v1alpha1.MassDeletionStatus{Since: metav1.NewTime(now.Add(time.Duration(seconds) * time.Second)), Count: count}
	}
	release := func(seconds int) string { return now.Add(time.Duration(seconds) * time.Second).Format(time.RFC3339) }
	for name, c := range map[string]struct {
		known    *v1alpha1.MassDeletionStatus
		mass     []int
		at       int
		released string
		isNew    bool
		want     *v1alpha1.MassDeletionStatus
	}{
		"nothing":              {},
		"a new one":            {mass: each(20, 1), at: 19, isNew: true, want: known(0, 20)},
		"a new one, seen late": {mass: each(20, 1), at: 500, isNew: true, want: known(0, 20)},
		"one that goes on":     {known: known(0, 20), mass: each(50, 1), at: 50, want: known(0, 20)},
		"one that is over":     {known: known(0, 20), mass: each(50, 1), at: 109, want: known(0, 50)},
		"one that is forgotten, and not released":     {known: known(-500, 20), want: known(-500, 20)},
		"one more, before the first is released":      {known: known(-500, 30), mass: each(20, 1), at: 19, isNew: true, want: known(0, 20)},
		"one that a person has released":              {known: known(-500, 20), released: release(-500)},
		"one that is released while it goes on":       {known: known(0, 20), mass: each(50, 1), at: 50, released: release(0)},
		"the next one, after one that was released":   {mass: each(20, 1), at: 19, released: release(-500), isNew: true, want: known(0, 20)},
		"one more, as the one before is released":     {known: known(-500, 20), mass: each(20, 1), at: 19, released: release(-500), isNew: true, want: known(0, 20)},
		"one that the brake's release doesn't matter": {known: known(0, 20), released: "1", want: known(0, 20)},
	} {
		s := &State{
			Policy: nightly(t, nil), Now: now.Add(time.Duration(c.at) * time.Second),
			Status: &v1alpha1.SnapshotPolicyStatus{MassDeletion: c.known},
		}
		isNew := s.NoteMassDeletion(deletions(c.mass...), c.released)
		got := s.Status.MassDeletion
		if isNew != c.isNew || (got == nil) != (c.want == nil) || got != nil && (!got.Since.Equal(&c.want.Since) || got.Count != c.want.Count) {
			t.Errorf("%s: %+v, new: %v, want %+v, new: %v", name, got, isNew, c.want, c.isNew)
		}
	}
}

func TestTheNamesOfAMassDeletionFitIntoAStatus(t *testing.T) {
	s := &State{Policy: nightly(t, nil), Now: now, Status: &v1alpha1.SnapshotPolicyStatus{}}
	s.NoteMassDeletion(deletions(each(limits.Names+1, 0)...), "")
	if got := s.Status.MassDeletion; got.Count != limits.Names+1 || len(got.Backups) != limits.Names || got.Backups[1] != "b1" {
		t.Errorf("%d names of %d, and the second is %s", len(got.Backups), got.Count, got.Backups[1])
	}
	if got := s.ApplicationsOf(deletions(0, 0)); !slices.Equal(got, []string{"Deployment db"}) {
		t.Errorf("they are of %v", got)
	}
}
