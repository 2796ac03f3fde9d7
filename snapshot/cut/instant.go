package cut

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// Instant is what is known of whether a class's driver cuts at one instant.
type Instant int

// What may be known.
const (
	// InstantUnknown is so for a driver that nobody has said it of.
	InstantUnknown Instant = iota
	// OneInstant cuts are what the storage held at one moment.
	OneInstant
	// CopiesFiles is a driver that copies one file after the other, or the volumes
	// of a group one after the other.
	CopiesFiles
)

// oneInstant are drivers whose makers say that a snapshot is of one instant:
// those of block storage that snapshots by itself. Drivers of one backend that
// clusters give names of their own are told by the name's end.
var oneInstant = []string{
	"ebs.csi.aws.com",
	"pd.csi.storage.gke.io",
	"disk.csi.azure.com",
	"cinder.csi.openstack.org",
	"diskplugin.csi.alibabacloud.com",
	"dobs.csi.digitalocean.com",
	"vpc.block.csi.ibm.io",
	"csi.vsphere.vmware.com",
	"rbd.csi.ceph.com",
	"driver.longhorn.io",
	"linstor.csi.linbit.com",
	"zfs.csi.openebs.io",
	"local.csi.openebs.io",
	"io.openebs.csi-mayastor",
	"topolvm.io",
	"pxd.portworx.com",
}

// InstantOf is what the class itself says, by its mark, or else what is known of
// the driver, empty for none.
func InstantOf(class metav1.Object, driver string) Instant {
	for _, words := range []map[string]string{class.GetAnnotations(), class.GetLabels()} {
		switch words[v1alpha1.MarkCopiesFiles] {
		case "":
		case "false":
			return OneInstant
		default:
			return CopiesFiles
		}
	}
	if slices.ContainsFunc(oneInstant, func(known string) bool { return driver == known || strings.HasSuffix(driver, "."+known) }) {
		return OneInstant
	}
	return InstantUnknown
}

// By is the class that a claim's copy is cut by.
type By struct {
	// Kind and Name of the class.
	Kind, Name string
	Driver     string
	Instant    Instant
}

// doubt says why the copy of a claim that is written meanwhile may be torn, empty
// where it isn't.
func (b By) doubt(claim string) string {
	const otherwise = "use a class that cuts at one instant, or a hold that stops all writing (stills: Files)"
	switch b.Instant {
	case OneInstant:
		return ""
	case CopiesFiles:
		return fmt.Sprintf("%s %s is marked %s, so the copy of claim %s isn't of one instant: %s", b.Kind, b.Name, v1alpha1.MarkCopiesFiles, claim, otherwise)
	}
	return fmt.Sprintf("whether driver %s cuts claim %s at one instant, or copies file by file, isn't known. Where it does, by its makers' word: kubectl annotate %s %s %s=false; else %s",
		b.Driver, claim, strings.ToLower(b.Kind), b.Name, v1alpha1.MarkCopiesFiles, otherwise)
}

// Torn says why the copies may not fit together where only commits were held,
// and what to do. It is empty where each pod's volumes are of one instant: there
// is one, or all were cut as one group. A copy of one instant is what a
// database recovers from after a power cut; of two instants it may not start.
//
// writing are the claims that each pod goes on writing to, by the pods' names;
// observed is what is known of the cuts, and by what they are cut by, by claims.
func Torn(writing map[string][]string, observed map[string]Observed, by map[string]By) string {
	for _, pod := range slices.Sorted(maps.Keys(writing)) {
		if why := tornOf(pod, writing[pod], observed, by); why != "" {
			return why
		}
	}
	return ""
}

func tornOf(pod string, claims []string, observed map[string]Observed, by map[string]By) string {
	held := fmt.Sprintf("pod %s went on writing its files while it was held: ", pod)
	for _, claim := range claims {
		if _, cut := observed[claim]; !cut {
			return held + fmt.Sprintf("its claim %s isn't part of this backup, and may hold what the others need. Back up the application with all its volumes, or leave out what isn't the database's by the annotation %s", claim, v1alpha1.AnnotationExcludeVolumes)
		}
	}
	for _, claim := range claims {
		if doubt := by[claim].doubt(claim); doubt != "" {
			return held + doubt
		}
	}
	if len(claims) > 1 && !areOneGroup(claims, observed) {
		return held + fmt.Sprintf("its claims %s were cut one after another, and their copies may not fit together. Put data and log on one volume, or cut them as a group (spec.volumeGroupSnapshotClassName), or leave out by spec.volumes.exclude what isn't the database's", names.List(claims))
	}
	return ""
}

// areOneGroup is true for claims that were cut in one and the same group.
func areOneGroup(claims []string, observed map[string]Observed) bool {
	group := observed[claims[0]].Group
	return group != "" && !slices.ContainsFunc(claims, func(c string) bool { return observed[c].Group != group })
}
