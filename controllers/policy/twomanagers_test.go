package policy

import (
	"context"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// nightOfTwo is a night with two managers that both believe they lead. Right before those
// writes of the first, counted from 1, the second looks and does what it finds to do.
func nightOfTwo(t *testing.T, looksAt func(write int) bool) (c *cluster, writes int) {
	t.Helper()
	c = aNight(t)
	var second *Reconciler
	looks := false
	c.beforeWrite = func() {
		if looks {
			return
		}
		if writes++; looksAt(writes) {
			looks = true
			first := c.manager
			c.manager = second
			_, err := c.look()
			c.wasFaster(err)
			second, c.manager = c.manager, first
			looks = false
		}
	}
	for i := range 8 { // a run waits for the one that was asked for, and who was slower looks again
		c.clock.SetTime(two.Add(time.Duration(i+1) * time.Second))
		_, err := c.look()
		c.wasFaster(err)
		c.complete()
	}
	return c, writes
}

// wasFaster fails for an error that isn't the other manager's doing.
func (c *cluster) wasFaster(err error) {
	c.Helper()
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
		c.Fatal(err)
	}
}

// Leader election keeps two managers from working at once; where it fails them each
// backup is made once all the same, and none is removed that is kept.
func TestTwoManagersAtOnceMakeEachBackupOnce(t *testing.T) {
	alone, writes := nightOfTwo(t, func(int) bool { return false })
	want := alone.backups()
	if len(want) != 2 || writes < 5 {
		t.Fatalf("by one manager there are %v after %d writes", want, writes)
	}
	check := func(looksAt func(int) bool, when string, args ...any) {
		c, _ := nightOfTwo(t, looksAt)
		if got := c.backups(); !slices.Equal(got, want) {
			t.Errorf(when+": %v, want %v", append(args, got, want)...)
		}
		for name, times := range c.created {
			if times > 1 {
				t.Errorf(when+": %s was made %d times", append(args, name, times)...)
			}
		}
	}
	check(func(int) bool { return true }, "both at each write")
	for at := range writes {
		check(func(write int) bool { return write == at+1 }, "the second before write %d", at+1)
	}
}

// Whoever may write a backup can take off it what tells whose it is. Its name tells it
// all the same: nothing is made for the same due time once more.
func TestABackupThatIsStrippedIsNotMadeAgain(t *testing.T) {
	for name, strip := range map[string]func(*v1alpha1.VolumeBackup){
		"labels":      func(b *v1alpha1.VolumeBackup) { b.Labels = nil },
		"annotations": func(b *v1alpha1.VolumeBackup) { b.Annotations = nil },
		"both":        func(b *v1alpha1.VolumeBackup) { b.Labels, b.Annotations = nil, nil },
	} {
		for _, isNew := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				c := aCluster(t, aPolicy(nil)...)
				c.lookOn()
				c.clock.SetTime(two)
				c.lookOn()
				var made v1alpha1.VolumeBackupList
				c.must(c.List(context.Background(), &made, client.InNamespace("shop")))
				if len(made.Items) != 1 {
					t.Fatal("nothing was due")
				}
				strip(&made.Items[0])
				c.must(c.Update(context.Background(), &made.Items[0]))
				if isNew {
					c.manager = nil // what only its predecessor knew is gone
				}
				for i := range 3 {
					c.clock.SetTime(two.Add(time.Duration(i+1) * time.Second))
					c.lookOn()
				}
				if got := c.backups(); len(got) != 1 {
					t.Errorf("there are %v for one due time", got)
				}
			})
		}
	}
}
