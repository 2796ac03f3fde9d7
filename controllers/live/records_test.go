package live

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
)

// pages is an API server that gives its records in pages, as it is asked.
type pages struct {
	client.Reader
	all  int
	most int
}

func (p *pages) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var asked client.ListOptions
	asked.ApplyOptions(opts)
	first := 0
	if asked.Continue != "" {
		var err error
		if first, err = strconv.Atoi(asked.Continue); err != nil {
			return err
		}
	}
	last := min(p.all, first+int(asked.Limit))
	p.most = max(p.most, last-first)
	for i := first; i < last; i++ {
		meta := metav1.ObjectMeta{Name: fmt.Sprint(i), Annotations: map[string]string{"long": strings.Repeat("x", 100<<10), "short": "x"}}
		switch list := list.(type) {
		case *v1alpha1.VolumeBackupList:
			list.Items = append(list.Items, aRecord(meta))
		case *v1alpha1.VolumeRestoreList:
			list.Items = append(list.Items, v1alpha1.VolumeRestore{ObjectMeta: meta, Status: v1alpha1.VolumeRestoreStatus{
				Claims: []v1alpha1.RestoredClaim{{RestoredClaim: "data", Shape: v1alpha1.ClaimShape{Annotations: meta.Annotations}}},
			}})
		}
	}
	if last < p.all {
		list.SetContinue(fmt.Sprint(last))
	}
	return nil
}

func aRecord(meta metav1.ObjectMeta) v1alpha1.VolumeBackup {
	b := v1alpha1.VolumeBackup{ObjectMeta: meta, Spec: v1alpha1.VolumeBackupSpec{ApplicationRef: v1alpha1.ApplicationReference{Name: "db"}}}
	b.Spec.Quiesce = &v1alpha1.QuiesceSpec{Hold: &v1alpha1.HookCommand{Command: []string{meta.Annotations["long"]}}}
	b.Spec.Export = &v1alpha1.ExportSpec{}
	b.Status.Volumes = []v1alpha1.VolumeStatus{{ClaimName: "data", Claim: &v1alpha1.BackedUpClaim{Annotations: meta.Annotations}}}
	b.Status.Quiesce = &v1alpha1.QuiesceStatus{Method: v1alpha1.MethodHooks, Pods: []v1alpha1.QuiescedPod{{Post: []string{meta.Annotations["long"]}}}}
	return b
}

// However many records a namespace has, no more than a page of them is held whole.
func TestRecordsAreReadInPages(t *testing.T) {
	there := &pages{all: 3*recordsAtOnce - 1}
	backups, err := Reader{there}.Backups(t.Context(), "shop")
	if err != nil || len(backups) != there.all || there.most != recordsAtOnce || backups[there.all-1].Name != fmt.Sprint(there.all-1) {
		t.Fatalf("%d of %d are read, %d at once: %v", len(backups), there.all, there.most, err)
	}
	restores, err := Reader{there}.Restores(t.Context(), "shop")
	if err != nil || len(restores) != there.all {
		t.Fatalf("%d of %d are read: %v", len(restores), there.all, err)
	}
	if size := limits.Bytes(backups) + limits.Bytes(restores); size > there.all<<11 {
		t.Errorf("%d bytes of %d records are kept", size, 2*there.all)
	}
	b, v := backups[7], restores[7]
	if b.Spec.ApplicationRef.Name != "db" || b.Spec.Export == nil || b.Annotations["short"] != "x" || b.Status.Quiesce.Method != v1alpha1.MethodHooks || v.Status.Claims[0].RestoredClaim != "data" {
		t.Errorf("too little is kept: %+v, %+v", b, v)
	}
}
