package cluster

import (
	"strings"
	"testing"
)

func TestSnapshotControllersAreAsAskedFor(t *testing.T) {
	for _, test := range []struct {
		release, limits   string
		isFormer, isStock bool
		refused           string
	}{
		{},
		{release: "8.6"},
		{release: "8.5", isFormer: true},
		{limits: "stock", isStock: true},
		{release: "8.4", refused: "write 8.6"},
		{limits: "5", refused: "write stock"},
	} {
		asked, err := askedSnapshots(func(name string) string {
			return map[string]string{"SNAPSHOTTER": test.release, "SNAPSHOT_LIMITS": test.limits}[name]
		})
		if test.refused != "" {
			if err == nil || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("%+v: %v", test, err)
			}
			continue
		}
		if err != nil || asked.isFormer != test.isFormer || asked.isStock != test.isStock || asked.kinds == "" {
			t.Errorf("%+v: %+v, %v", test, asked, err)
		}
	}
}
