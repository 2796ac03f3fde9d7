package backup

import (
	"context"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// anExport is a backup of shop/web by the policy nightly, into the repository offsite,
// that was completed so many hours after noon. Its snapshot's ID is the digit, 64 times.
func anExport(digit string, hours int, change ...func(*v1alpha1.VolumeBackup)) *v1alpha1.VolumeBackup {
	b := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-" + digit, UID: types.UID(digit), Labels: map[string]string{v1alpha1.LabelPolicy: "nightly"}}}
	b.Spec.ApplicationRef = v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "web"}
	b.Spec.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: "offsite"}}
	b.Status.CompletionTime = &metav1.Time{Time: time.Date(2026, 5, 1, 12+hours, 0, 0, 0, time.UTC)}
	b.Status.Volumes = []v1alpha1.VolumeStatus{{ClaimName: "data", Export: &v1alpha1.ExportStatus{SnapshotID: strings.Repeat(digit, 64)}}}
	meta.SetStatusCondition(&b.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue})
	for _, c := range change {
		c(b)
	}
	return b
}

func failed(b *v1alpha1.VolumeBackup) {
	b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue}}
}

func TestAnExportNamesTheOneBefore(t *testing.T) {
	elsewhere := func(b *v1alpha1.VolumeBackup) { b.Spec.Export.RepositoryRef.Name = "other" }
	notExported := func(b *v1alpha1.VolumeBackup) { b.Spec.Export = nil }
	ofAnother := func(b *v1alpha1.VolumeBackup) { b.Spec.ApplicationRef.Name = "db" }
	byHand := func(b *v1alpha1.VolumeBackup) { b.Labels = nil }
	otherClaim := func(b *v1alpha1.VolumeBackup) { b.Status.Volumes[0].ClaimName = "logs" }
	forged := func(b *v1alpha1.VolumeBackup) { b.Status.Volumes[0].Export.SnapshotID = "latest" }
	for name, c := range map[string]struct {
		there    []*v1alpha1.VolumeBackup
		attempts int32
		want     string // the digit
	}{
		"none":                             {nil, 0, ""},
		"the newest":                       {[]*v1alpha1.VolumeBackup{anExport("1", 1), anExport("3", 3), anExport("2", 2)}, 0, "3"},
		"not of an export that was tried":  {[]*v1alpha1.VolumeBackup{anExport("1", 1)}, 1, ""},
		"one that is complete":             {[]*v1alpha1.VolumeBackup{anExport("1", 1), anExport("2", 2, failed)}, 0, "1"},
		"of the same application":          {[]*v1alpha1.VolumeBackup{anExport("1", 1), anExport("2", 2, ofAnother)}, 0, "1"},
		"of the same policy":               {[]*v1alpha1.VolumeBackup{anExport("1", 1), anExport("2", 2, byHand)}, 0, "1"},
		"only of the same repository":      {[]*v1alpha1.VolumeBackup{anExport("1", 1, elsewhere)}, 0, ""},
		"only of what is exported":         {[]*v1alpha1.VolumeBackup{anExport("1", 1, notExported)}, 0, ""},
		"only of the same claim":           {[]*v1alpha1.VolumeBackup{anExport("1", 1, otherClaim)}, 0, ""},
		"nothing that restic doesn't name": {[]*v1alpha1.VolumeBackup{anExport("1", 1, forged)}, 0, ""},
	} {
		b := anExport("0", 0)
		b.Status.Volumes[0].Export = &v1alpha1.ExportStatus{Attempts: c.attempts}
		b.Status.CompletionTime, b.Status.Conditions = nil, nil
		w, reads := aRunAmong(t, b, c.there)
		task := &resticexport.Backup{}
		if err := w.nameParent(t.Context(), &b.Status.Volumes[0], task); err != nil {
			t.Fatal(err)
		}
		if want := strings.Repeat(c.want, 64); task.Parent != want || *reads > 1 {
			t.Errorf("%s: %.8q, not %.8q, by %d reads past the cache", name, task.Parent, want, *reads)
		}
	}
}

// aRunAmong is a run on a backup where others are there, of which the cache has what
// it keeps. reads are those past the cache.
func aRunAmong(t *testing.T, b *v1alpha1.VolumeBackup, others []*v1alpha1.VolumeBackup) (w *run, reads *int) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cached, live := fake.NewClientBuilder().WithScheme(scheme).WithObjects(b.DeepCopy()), fake.NewClientBuilder().WithScheme(scheme)
	for _, other := range others {
		live = live.WithObjects(other.DeepCopy())
		kept, err := OnlyOutcome(other.DeepCopy())
		if err != nil {
			t.Fatal(err)
		}
		cached = cached.WithObjects(kept.(*v1alpha1.VolumeBackup).DeepCopy())
	}
	reads = new(int)
	counted := live.WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			*reads++
			return c.Get(ctx, key, obj, opts...)
		},
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			t.Error("all backups are read past the cache")
			return nil
		},
	}).Build()
	return &run{VolumeBackup: b, Reconciler: &Reconciler{Client: cached.Build(), Live: counted}}, reads
}
