package cut

import (
	"strings"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestTorn(t *testing.T) {
	alone := func(claims ...string) map[string]Observed {
		observed := map[string]Observed{}
		for _, c := range claims {
			observed[c] = Observed{Exists: true, Cut: true}
		}
		return observed
	}
	in := func(observed map[string]Observed, groups ...string) map[string]Observed {
		for i := 0; i < len(groups); i += 2 {
			observed[groups[i]] = Observed{Exists: true, Cut: true, Group: types.UID(groups[i+1])}
		}
		return observed
	}
	type pods = map[string][]string
	by := func(i Instant, claims ...string) map[string]By {
		all := map[string]By{}
		for _, c := range []string{"a", "b", "c", "d", "data", "log", "cache"} {
			all[c] = By{Instant: OneInstant}
		}
		for _, c := range claims {
			all[c] = By{Kind: "VolumeSnapshotClass", Name: "slow", Driver: "disk.example.com", Instant: i}
		}
		return all
	}
	copying := by(CopiesFiles, "data")
	for name, c := range map[string]struct {
		writing  pods
		observed map[string]Observed
		by       map[string]By
		says     string
	}{
		"nothing is written":                         {observed: alone("data", "log"), by: copying},
		"one volume":                                 {writing: pods{"db-0": {"data"}}, observed: alone("data", "cache")},
		"two, one after another":                     {writing: pods{"db-0": {"data", "log"}}, observed: alone("data", "log"), says: "pod db-0 went on writing its files while it was held: its claims data, log were cut one after another"},
		"two in one group":                           {writing: pods{"db-0": {"data", "log"}}, observed: in(alone(), "data", "g", "log", "g")},
		"two in two groups":                          {writing: pods{"db-0": {"data", "log"}}, observed: in(alone(), "data", "g", "log", "h"), says: "cut them as a group"},
		"one of two in a group":                      {writing: pods{"db-0": {"data", "log"}}, observed: in(alone("log"), "data", "g"), says: "one after another"},
		"three replicas with a volume each":          {writing: pods{"db-0": {"a"}, "db-1": {"b"}, "db-2": {"c"}}, observed: alone("a", "b", "c")},
		"replicas, one of which has two":             {writing: pods{"db-0": {"a"}, "db-1": {"b", "d"}, "db-2": {"c"}}, observed: alone("a", "b", "c", "d"), says: "pod db-1"},
		"two pods on one volume":                     {writing: pods{"db-0": {"data"}, "db-1": {"data"}}, observed: alone("data")},
		"two pods, each with its own beside a share": {writing: pods{"db-0": {"a", "data"}, "db-1": {"b", "data"}}, observed: alone("a", "b", "data"), says: "a, data were cut"},
		"copied file by file":                        {writing: pods{"db-0": {"data"}}, observed: alone("data"), by: copying, says: "VolumeSnapshotClass slow is marked lull.dev/copies-files"},
		"nobody has said how":                        {writing: pods{"db-0": {"data"}}, observed: alone("data"), by: by(InstantUnknown, "data"), says: "whether driver disk.example.com cuts claim data at one instant, or copies file by file, isn't known. Where it does, by its makers' word: kubectl annotate volumesnapshotclass slow lull.dev/copies-files=false"},
		"another volume is copied":                   {writing: pods{"db-0": {"log"}}, observed: alone("data", "log"), by: copying},
		"a group that is copied":                     {writing: pods{"db-0": {"data", "log"}}, observed: in(alone(), "data", "g", "log", "g"), by: copying, says: "isn't of one instant"},
		"half of a database":                         {writing: pods{"db-0": {"data", "log"}}, observed: alone("data"), says: "its claim log isn't part of this backup"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.by == nil {
				c.by = by(OneInstant)
			}
			got := Torn(c.writing, c.observed, c.by)
			if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
				t.Errorf("got %q, want %q", got, c.says)
			}
		})
	}
}

func TestInstantOf(t *testing.T) {
	const known, rook = "ebs.csi.aws.com", "rook-ceph.rbd.csi.ceph.com"
	for name, c := range map[string]struct {
		annotation, label, driver string
		want                      Instant
	}{
		"nothing is known":            {driver: "disk.example.com"},
		"a name that only sounds so":  {driver: "notebs.csi.aws.com"},
		"no driver":                   {},
		"true":                        {annotation: "true", want: CopiesFiles},
		"false":                       {annotation: "false", driver: "disk.example.com", want: OneInstant},
		"a word for a doubt":          {annotation: "yes", want: CopiesFiles},
		"as a label":                  {label: "true", want: CopiesFiles},
		"a driver that is known":      {driver: known, want: OneInstant},
		"one with a name of its own":  {driver: rook, want: OneInstant},
		"known, and its owner doubts": {annotation: "true", driver: known, want: CopiesFiles},
	} {
		class := &snapshotv1.VolumeSnapshotClass{}
		if c.annotation != "" {
			class.Annotations = map[string]string{v1alpha1.MarkCopiesFiles: c.annotation}
		}
		if c.label != "" {
			class.Labels = map[string]string{v1alpha1.MarkCopiesFiles: c.label}
		}
		if got := InstantOf(class, c.driver); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
