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
}

// layouts are those that databases are run on.
var layouts = []layout{
	{name: "one volume", verdict: v1alpha1.Proven},
	{name: "log apart, one by one", apart: true, verdict: v1alpha1.Declared},
	{name: "log apart, as a group", apart: true, grouped: true, verdict: v1alpha1.Proven},
	{name: "one volume, copied file by file", copied: true, verdict: v1alpha1.Declared},
}

// How the driver is slow where the volumes aren't cut at one instant: long
// enough for a server to write what it has in memory, and short for a freeze.
const (
	logIsLater = "3s"
	copyPause  = "25ms" // before each file, of which a server has some two hundred
)

// parameters are those of the class of snapshots, where the log is on that volume.
func (l layout) parameters(logVolume string) map[string]string {
	switch {
	case l.copied:
		return framework.Parameters("mode", "copying", "copyDelay", copyPause)
	case l.apart && !l.grouped:
		return framework.Parameters("cutDelay", logIsLater, "volume", logVolume)
	}
	return nil
}
