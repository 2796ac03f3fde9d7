package main

import (
	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// layout is what volumes a database has and how they are cut.
type layout struct {
	name string
	// apart has the log on a volume of its own, grouped has both cut as one
	// group, and copied is by a driver that copies file by file.
	apart, grouped, copied bool
	// verdict is the highest that a backup may have.
	verdict v1alpha1.Consistency
	// whole is why no copy of it can be torn, though its verdict isn't Proven.
	whole string
}

// Layouts that databases are run on.
var (
	oneVolume   = layout{name: "one volume", verdict: v1alpha1.Proven}
	oneByOne    = layout{name: "log apart, one by one", apart: true, verdict: v1alpha1.Declared}
	asAGroup    = layout{name: "log apart, as a group", apart: true, grouped: true, verdict: v1alpha1.Proven}
	fileByFile  = layout{name: "one volume, copied file by file", copied: true, verdict: v1alpha1.Declared}
	withALog    = []layout{oneVolume, oneByOne, asAGroup, fileByFile}
	onOneVolume = []layout{oneVolume, fileByFile}
)

// logIsLater is how long the log is cut after the data where that isn't at one
// instant: long enough for a server to write what it has in memory, and short for a
// freeze.
const logIsLater = "3s"

// parameters are those of the class of snapshots of an engine, where the log is on
// that volume.
func (l layout) parameters(e engine, logVolume string) map[string]string {
	switch {
	case l.copied:
		return framework.Parameters("mode", "copying", "copyDelay", e.copyPause)
	case l.apart && !l.grouped:
		return framework.Parameters("cutDelay", logIsLater, "volume", logVolume)
	}
	return nil
}
