package fault

import (
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/lull-dev/lull/test/csidriver/disk"
)

// TestASnapshotThatIsAskedForAgainMeetsWhatItMet is about a snapshot whose first
// call died before the cut.
func TestASnapshotThatIsAskedForAgainMeetsWhatItMet(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "faults.json")
	class := Params{CutDelay: "1m", Times: "1"}
	for _, step := range []struct {
		name string
		met  Params
	}{
		{"first", Params{CutDelay: "1m"}},
		{"second", Params{}},
		{"first", Params{CutDelay: "1m"}},
	} {
		book, err := Open(file, disk.WriteJSON) // as after a restart
		g.Expect(err).NotTo(HaveOccurred())
		met, err := book.Meet(Subject{VolumeID: "vol", Name: step.name}, class, CutDelay, Error)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(met).To(Equal(step.met), step.name)
	}
}

func TestClassesWithCountersOfTheirOwnCountApart(t *testing.T) {
	g := NewWithT(t)
	book, err := Open(filepath.Join(t.TempDir(), "faults.json"), disk.WriteJSON)
	g.Expect(err).NotTo(HaveOccurred())
	for _, step := range []struct {
		name, counter string
		met           Params
	}{
		{"first", "a", Params{CutDelay: "1m"}},
		{"second", "a", Params{}},
		{"third", "b", Params{CutDelay: "1m"}},
	} {
		class := Params{CutDelay: "1m", Times: "1", Counter: step.counter}
		met, err := book.Meet(Subject{VolumeID: "vol", Name: step.name}, class, CutDelay)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(met).To(Equal(step.met), step.name)
	}
}

func TestCheckNamesTheKey(t *testing.T) {
	for _, c := range []struct {
		params Params
		says   string
	}{
		{Params{"cutdelay": "1s"}, `unknown parameter "cutdelay"`},
		{Params{CutDelay: "-1s"}, `"cutDelay": -1s is less than nothing`},
		{Params{ReadyAfter: "soon"}, `"readyAfter"`},
		{Params{Mode: "slow"}, `"slow" is not one of atomic, copying`},
		{Params{Error: "OK"}, `"OK" is not a gRPC code`},
		{Params{Times: "0"}, `"0" is not a number from 1`},
	} {
		NewWithT(t).Expect(c.params.Check()).To(MatchError(ContainSubstring(c.says)))
	}
	NewWithT(t).Expect(Params{Mode: "copying", CopyDelay: "1ms", ReadyAfter: "never", Error: "Unavailable", Times: "3", Volume: "data"}.Check()).To(Succeed())
}
