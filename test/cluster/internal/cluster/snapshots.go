package cluster

import (
	"fmt"
)

// snapshots is what a caller asks of the snapshot controllers by the environment.
type snapshots struct {
	// isFormer: they are of the release before, SNAPSHOTTER=8.5.
	isFormer bool
	// kinds is the module with the definitions of the snapshot kinds, of the
	// version that serves the release. Older ones lack fields by which it tells
	// the members of a group.
	kinds string
	// isStock: they have the limits that they come with, SNAPSHOT_LIMITS=stock.
	isStock bool
}

// kindsModule has the definitions of the snapshot kinds.
const kindsModule = "github.com/kubernetes-csi/external-snapshotter/client/v8"

func askedSnapshots(environment func(name string) string) (snapshots, error) {
	var asked snapshots
	switch release := environment("SNAPSHOTTER"); release {
	case "", "8.6":
		asked.kinds = kindsModule + "@v8.6.0"
	case "8.5":
		asked.isFormer, asked.kinds = true, kindsModule+"@v8.4.0"
	default:
		return asked, fmt.Errorf("SNAPSHOTTER is %q: write 8.6, which is the default, or 8.5", release)
	}
	switch limits := environment("SNAPSHOT_LIMITS"); limits {
	case "":
	case "stock":
		asked.isStock = true
	default:
		return asked, fmt.Errorf("SNAPSHOT_LIMITS is %q: write stock, or leave it out", limits)
	}
	return asked, nil
}
