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
	copying := map[string]string{"data": "VolumeSnapshotClass slow"}
	for name, c := range map[string]struct {
		writing  pods
		observed map[string]Observed
		copied   map[string]string
		says     string
	}{
		"nothing is written":                         {observed: alone("data", "log"), copied: copying},
		"one volume":                                 {writing: pods{"db-0": {"data"}}, observed: alone("data", "cache")},
		"two, one after another":                     {writing: pods{"db-0": {"data", "log"}}, observed: alone("data", "log"), says: "of pod db-0 only the commits were held, and it went on writing its files: its claims data, log were cut one after another"},
		"two in one group":                           {writing: pods{"db-0": {"data", "log"}}, observed: in(alone(), "data", "g", "log", "g")},
		"two in two groups":                          {writing: pods{"db-0": {"data", "log"}}, observed: in(alone(), "data", "g", "log", "h"), says: "cut them as a group"},
		"one of two in a group":                      {writing: pods{"db-0": {"data", "log"}}, observed: in(alone("log"), "data", "g"), says: "one after another"},
		"three replicas with a volume each":          {writing: pods{"db-0": {"a"}, "db-1": {"b"}, "db-2": {"c"}}, observed: alone("a", "b", "c")},
		"replicas, one of which has two":             {writing: pods{"db-0": {"a"}, "db-1": {"b", "d"}, "db-2": {"c"}}, observed: alone("a", "b", "c", "d"), says: "pod db-1"},
		"two pods on one volume":                     {writing: pods{"db-0": {"data"}, "db-1": {"data"}}, observed: alone("data")},
		"two pods, each with its own beside a share": {writing: pods{"db-0": {"a", "data"}, "db-1": {"b", "data"}}, observed: alone("a", "b", "data"), says: "a, data were cut"},
		"copied file by file":                        {writing: pods{"db-0": {"data"}}, observed: alone("data"), copied: copying, says: "VolumeSnapshotClass slow is marked lull.dev/copies-files"},
		"another volume is copied":                   {writing: pods{"db-0": {"log"}}, observed: alone("data", "log"), copied: copying},
		"a group that is copied":                     {writing: pods{"db-0": {"data", "log"}}, observed: in(alone(), "data", "g", "log", "g"), copied: copying, says: "isn't of one instant"},
		"half of a database":                         {writing: pods{"db-0": {"data", "log"}}, observed: alone("data"), says: "its claim log isn't part of this backup"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Torn(c.writing, c.observed, c.copied)
			if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
				t.Errorf("got %q, want %q", got, c.says)
			}
		})
	}
}

func TestCopiesFiles(t *testing.T) {
	for name, c := range map[string]struct {
		annotation, label []string
		copies, marked    bool
	}{
		"nothing":            {},
		"true":               {annotation: []string{"true"}, copies: true, marked: true},
		"false":              {annotation: []string{"false"}, marked: true},
		"a word for a doubt": {annotation: []string{"yes"}, copies: true, marked: true},
		"as a label":         {label: []string{"true"}, copies: true, marked: true},
	} {
		class := &snapshotv1.VolumeSnapshotClass{}
		for _, v := range c.annotation {
			class.Annotations = map[string]string{v1alpha1.MarkCopiesFiles: v}
		}
		for _, v := range c.label {
			class.Labels = map[string]string{v1alpha1.MarkCopiesFiles: v}
		}
		if copies, marked := CopiesFiles(class); copies != c.copies || marked != c.marked {
			t.Errorf("%s: %t, %t", name, copies, marked)
		}
	}
}
