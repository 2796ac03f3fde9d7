package mover

import (
	"context"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
)

func aRepositoryWithCaches() *v1alpha1.ResticRepository {
	r := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "offsite", UID: ours, Labels: map[string]string{"team": "shop", "argocd.argoproj.io/instance": "shop"}}}
	r.Spec.Mover.Cache = &v1alpha1.MoverCache{StorageClassName: ptr.To("fast"), Size: resource.MustParse("10Gi")}
	return r
}

func anExportOf(r *v1alpha1.ResticRepository, claim string) resticexport.JobInput {
	in := resticexport.JobInput{Name: "export-" + claim, Namespace: "shop", Repository: r.Name, Spec: &r.Spec, Source: "clone-of-" + claim, Task: resticexport.Task{Backup: &resticexport.Backup{}}}
	in.Cache = CacheOfExport(r, &in, claim)
	return in
}

func TestEachExportedClaimHasACacheOfItsOwn(t *testing.T) {
	r := aRepositoryWithCaches()
	in := anExportOf(r, "data")
	c := in.Cache
	if *c.Spec.StorageClassName != "fast" || c.Spec.Resources.Requests.Storage().String() != "10Gi" || c.Spec.AccessModes[0] != corev1.ReadWriteOnce {
		t.Errorf("%+v", c.Spec)
	}
	if c.Labels["team"] != "shop" || c.Labels["argocd.argoproj.io/instance"] != "" || c.Annotations[v1alpha1.AnnotationBackup] != "false" {
		t.Errorf("%v %v", c.Labels, c.Annotations)
	}
	again, other := anExportOf(r, "data").Cache, anExportOf(r, "logs").Cache
	if again.Name != c.Name || other.Name == c.Name || anExportOf(r, "offsite").Cache.Name == CacheOfMaintenance(r, &in).Name {
		t.Errorf("%s %s %s", c.Name, again.Name, other.Name)
	}
	r.Spec.Mover.Cache = nil
	if in := anExportOf(r, "data"); in.Cache != nil {
		t.Errorf("nobody asks for one: %+v", in.Cache)
	}
}

func TestAFillHasACacheThatGoesWithIt(t *testing.T) {
	r, by := aRepositoryWithCaches(), &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "back", UID: theirs}}
	by.Status.Claims = []v1alpha1.RestoredClaim{{ClaimName: "data", Fill: &v1alpha1.ClaimFill{}}, {ClaimName: "logs"}}
	in := resticexport.JobInput{Namespace: "shop", Spec: &r.Spec, Target: "new"}
	c := CacheOfFill(r, &in, by, "data")
	if names := CachesOfFills(by); len(names) != 1 || names[0] != c.Name || !isOwnedBy(c, theirs) {
		t.Errorf("%v, and it is %s of %v", names, c.Name, c.OwnerReferences)
	}
	in.IsInUse = true
	if c := CacheOfFill(r, &in, by, "data"); c != nil {
		t.Errorf("the group would change an application's files: %+v", c)
	}
}

func TestACacheIsOfOneMoverAtATime(t *testing.T) {
	r := aRepositoryWithCaches()
	in, logs := anExportOf(r, "data"), anExportOf(r, "logs")
	other := resticexport.Job(in)
	other.Name = "export-data-of-yesterday"
	m := moversOn(t, other)
	if waits, err := m.waitsForCache(context.Background(), &in); err != nil || !strings.Contains(waits, "Job export-data-of-yesterday has the cache") {
		t.Errorf("%q %v", waits, err)
	}
	if waits, err := m.waitsForCache(context.Background(), &logs); err != nil || waits != "" {
		t.Errorf("that of another claim: %q %v", waits, err)
	}
	other.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	m = moversOn(t, other)
	for range 2 {
		if waits, err := m.waitsForCache(context.Background(), &in); err != nil || waits != "" {
			t.Errorf("once it has ended: %q %v", waits, err)
		}
	}
	if !isThere(t, m, in.Cache.Name) {
		t.Error("the cache isn't made")
	}
}

func TestACacheIsMadeAnewWhereAnotherIsAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*v1alpha1.ResticRepository)
		anew   bool
	}{
		"the same":      {func(*v1alpha1.ResticRepository) {}, false},
		"another size":  {func(r *v1alpha1.ResticRepository) { r.Spec.Mover.Cache.Size = resource.MustParse("20Gi") }, true},
		"another class": {func(r *v1alpha1.ResticRepository) { r.Spec.Mover.Cache.StorageClassName = nil }, true},
		"another user": {func(r *v1alpha1.ResticRepository) {
			r.Spec.Mover.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](999)}
		}, true},
		"another account": {func(r *v1alpha1.ResticRepository) { r.Spec.Mover.ServiceAccountName = "mover" }, false},
	} {
		r := aRepositoryWithCaches()
		m := moversOn(t, anExportOf(r, "data").Cache)
		c.change(r)
		in := anExportOf(r, "data")
		waits, err := m.waitsForCache(context.Background(), &in)
		if err != nil || (waits != "") != c.anew || isThere(t, m, in.Cache.Name) == c.anew {
			t.Errorf("%s: %q %v", name, waits, err)
		}
	}
	r := aRepositoryWithCaches()
	foreign := anExportOf(r, "data").Cache
	foreign.OwnerReferences = nil
	in := anExportOf(r, "data")
	if _, err := moversOn(t, foreign).waitsForCache(context.Background(), &in); reconcile.ProblemOf(err) == nil {
		t.Error("a claim of somebody else is taken:", err)
	}
}

func TestTheVolumeOfACacheIsNeverKept(t *testing.T) {
	r := aRepositoryWithCaches()
	in := anExportOf(r, "data")
	there := in.Cache.DeepCopy()
	there.UID, there.Spec.VolumeName = "uid", "volume-of-cache"
	m := moversOn(t, there, aVolume(there, corev1.PersistentVolumeReclaimRetain))
	if err := m.keepNoCache(context.Background(), &in); err != nil {
		t.Fatal(err)
	}
	v := &corev1.PersistentVolume{}
	if err := m.Live.Get(context.Background(), client.ObjectKey{Name: "volume-of-cache"}, v); err != nil || v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		t.Errorf("%+v %v", v.Spec, err)
	}
}

func TestCachesThatNobodyUsesGo(t *testing.T) {
	r := aRepositoryWithCaches()
	in := anExportOf(r, "data")
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data"}}
	used, unused, own := in.Cache, anExportOf(r, "gone").Cache, CacheOfMaintenance(r, &in)
	ofAFill := own.DeepCopy()
	ofAFill.Name, ofAFill.OwnerReferences[0].UID = "of-a-fill", theirs
	m := moversOn(t, claim, used, unused, own, ofAFill)
	check := func(when string, want map[string]bool) {
		t.Helper()
		if err := m.RemoveCaches(context.Background(), r); err != nil {
			t.Fatal(err)
		}
		for name, is := range want {
			if isThere(t, m, name) != is {
				t.Errorf("%s: whether %s is there is not %t", when, name, is)
			}
		}
	}
	check("while caches are asked for", map[string]bool{used.Name: true, own.Name: true, unused.Name: false, ofAFill.Name: true, "data": true})
	r.Spec.Mover.Cache = nil
	check("once none is", map[string]bool{used.Name: false, own.Name: false, ofAFill.Name: true, "data": true})
}

func isThere(t *testing.T, m *Movers, claim string) bool {
	t.Helper()
	err := m.Live.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: claim}, &corev1.PersistentVolumeClaim{})
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return !apierrors.IsNotFound(err)
}

func TestWhyNoCacheCanBeMade(t *testing.T) {
	usual := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "usual", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}}}
	fast := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}}
	asks := func(class *string) *v1alpha1.MoverCache { return &v1alpha1.MoverCache{StorageClassName: class} }
	for name, c := range map[string]struct {
		asked *v1alpha1.MoverCache
		there []client.Object
		says  string // empty where one can
	}{
		"nobody asks":           {nil, nil, ""},
		"a class that is there": {asks(ptr.To("fast")), []client.Object{usual, fast}, ""},
		"one that isn't":        {asks(ptr.To("fast")), []client.Object{usual}, `there is no StorageClass "fast": create it`},
		"the default":           {asks(nil), []client.Object{usual, fast}, ""},
		"a default that isn't":  {asks(nil), []client.Object{fast}, "write one into spec.mover.cache.storageClassName"},
	} {
		r := aRepositoryWithCaches()
		r.Spec.Mover.Cache = c.asked
		if why, err := moversOn(t, c.there...).NoCacheClass(context.Background(), r); err != nil || (why == "") != (c.says == "") || !strings.Contains(why, c.says) {
			t.Errorf("%s: %q %v", name, why, err)
		}
	}
}
