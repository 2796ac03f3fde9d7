package cut

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func reasonOf(err error) string {
	var problem *v1alpha1.Problem
	if errors.As(err, &problem) {
		return problem.Reason
	}
	return ""
}

func TestSelectClaims(t *testing.T) {
	type sel = v1alpha1.VolumeSelection
	for name, c := range map[string]struct {
		mounted  []string
		sel      sel
		excluded []string
		want     []string
		reason   string
	}{
		"every claim, each once":          {mounted: []string{"b", "a", "b"}, want: []string{"a", "b"}},
		"only what is included":           {mounted: []string{"a", "b"}, sel: sel{Include: []string{"b"}}, want: []string{"b"}},
		"all but what is excluded":        {mounted: []string{"a", "b"}, sel: sel{Exclude: []string{"b"}}, want: []string{"a"}},
		"the annotation leaves out":       {mounted: []string{"a", "b"}, excluded: []string{"a"}, want: []string{"b"}},
		"include stands over annotation":  {mounted: []string{"a", "b"}, sel: sel{Include: []string{"a"}}, excluded: []string{"a"}, want: []string{"a"}},
		"a typing error is told":          {mounted: []string{"data"}, sel: sel{Include: []string{"dota"}}, reason: v1alpha1.ReasonClaimNotFound},
		"a typing error in exclude too":   {mounted: []string{"data"}, sel: sel{Exclude: []string{"dota"}}, reason: v1alpha1.ReasonClaimNotFound},
		"nothing mounted":                 {reason: v1alpha1.ReasonNoVolumes},
		"everything excluded":             {mounted: []string{"a"}, excluded: []string{"a"}, reason: v1alpha1.ReasonNoVolumes},
		"annotation names a stranger: ok": {mounted: []string{"a"}, excluded: []string{"z"}, want: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := SelectClaims(c.mounted, c.sel, c.excluded, nil)
			if !slices.Equal(got, c.want) || reasonOf(err) != c.reason {
				t.Errorf("got %v, %v; want %v, reason %q", got, err, c.want, c.reason)
			}
		})
	}
}

// People write the names that they see in the pod template.
func TestAVolumesNameIsNoClaims(t *testing.T) {
	mounted := []string{"data-db-0", "data-db-1", "cache-db-0", "cache-db-1"}
	volumes := map[string][]string{"cache": {"cache-db-1", "cache-db-0", "cache-db-1"}, "data": {"data-db-0", "data-db-1"}, "mine": nil}
	for name, c := range map[string]struct {
		excluded string
		says     string
	}{
		"a claim":        {excluded: "cache-db-0"},
		"a volume":       {excluded: "cache", says: "Write the claim there: cache-db-0, cache-db-1"},
		"no claim of it": {excluded: "mine", says: "it mounts cache-db-0, cache-db-1, data-db-0, data-db-1"},
		"a typing error": {excluded: "cachee", says: "it mounts cache-db-0"},
	} {
		t.Run(name, func(t *testing.T) {
			told := Unmatched(mounted, []string{c.excluded}, volumes)
			if (len(told) == 0) != (c.says == "") || c.says != "" && !strings.Contains(told[0], c.says) {
				t.Errorf("annotation: %v, want %q", told, c.says)
			}
			_, err := SelectClaims(mounted, v1alpha1.VolumeSelection{Exclude: []string{c.excluded}}, nil, volumes)
			if (err == nil) != (c.says == "") || c.says != "" && !strings.Contains(err.Error(), c.says) {
				t.Errorf("spec: %v, want %q", err, c.says)
			}
		})
	}
}

func TestChooseClass(t *testing.T) {
	class := func(name, driver string, isDefault bool) snapshotv1.VolumeSnapshotClass {
		c := snapshotv1.VolumeSnapshotClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Driver: driver}
		if isDefault {
			c.Annotations = map[string]string{annotationDefaultClass: "true"}
		}
		return c
	}
	for name, c := range map[string]struct {
		classes []snapshotv1.VolumeSnapshotClass
		asked   string
		want    string
		reason  string
	}{
		"the only one":                 {classes: []snapshotv1.VolumeSnapshotClass{class("x", "d", false), class("y", "other", true)}, want: "x"},
		"the default":                  {classes: []snapshotv1.VolumeSnapshotClass{class("x", "d", false), class("y", "d", true)}, want: "y"},
		"the one asked for":            {classes: []snapshotv1.VolumeSnapshotClass{class("x", "d", false), class("y", "d", true)}, asked: "x", want: "x"},
		"none":                         {reason: v1alpha1.ReasonNoSnapshotClass},
		"asked for one that isn't":     {classes: []snapshotv1.VolumeSnapshotClass{class("x", "d", true)}, asked: "z", reason: v1alpha1.ReasonNoSnapshotClass},
		"asked for another driver's":   {classes: []snapshotv1.VolumeSnapshotClass{class("x", "e", true)}, asked: "x", reason: v1alpha1.ReasonSnapshotClassMismatch},
		"several and no default":       {classes: []snapshotv1.VolumeSnapshotClass{class("x", "d", false), class("y", "d", false)}, reason: v1alpha1.ReasonAmbiguousClass},
		"several defaults":             {classes: []snapshotv1.VolumeSnapshotClass{class("x", "d", true), class("y", "d", true)}, reason: v1alpha1.ReasonAmbiguousClass},
		"another driver's is no class": {classes: []snapshotv1.VolumeSnapshotClass{class("x", "e", true)}, reason: v1alpha1.ReasonNoSnapshotClass},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ChooseClass(c.classes, "d", c.asked)
			if got != c.want || reasonOf(err) != c.reason {
				t.Errorf("got %q, %v; want %q, reason %q", got, err, c.want, c.reason)
			}
		})
	}
}

func aSnapshot(change func(*snapshotv1.VolumeSnapshot)) *snapshotv1.VolumeSnapshot {
	s := &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Name: "s", UID: "u"}}
	if change != nil {
		change(s)
	}
	return s
}

func aContent(change func(*snapshotv1.VolumeSnapshotContent)) *snapshotv1.VolumeSnapshotContent {
	c := &snapshotv1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{Name: "snapcontent-u"},
		Spec:       snapshotv1.VolumeSnapshotContentSpec{VolumeSnapshotRef: corev1.ObjectReference{UID: "u"}},
	}
	if change != nil {
		change(c)
	}
	return c
}

func TestObserve(t *testing.T) {
	now := metav1.Now()
	handle := func(c *snapshotv1.VolumeSnapshotContent) {
		c.Status = &snapshotv1.VolumeSnapshotContentStatus{SnapshotHandle: ptr.To("h")}
	}
	bound := func(s *snapshotv1.VolumeSnapshot) {
		s.Status = &snapshotv1.VolumeSnapshotStatus{BoundVolumeSnapshotContentName: ptr.To("snapcontent-u")}
	}
	cut := func(s *snapshotv1.VolumeSnapshot) { bound(s); s.Status.CreationTime = &now }
	for name, c := range map[string]struct {
		snap               *snapshotv1.VolumeSnapshot
		content            *snapshotv1.VolumeSnapshotContent
		exists, cut, ready bool
	}{
		"nothing there":                {},
		"just created":                 {snap: aSnapshot(nil), exists: true},
		"bound is not cut":             {snap: aSnapshot(bound), content: aContent(nil), exists: true},
		"a handle is a cut":            {snap: aSnapshot(bound), content: aContent(handle), exists: true, cut: true},
		"a handle before the binding":  {snap: aSnapshot(nil), content: aContent(handle), exists: true, cut: true},
		"a creation time is a cut":     {snap: aSnapshot(cut), content: aContent(nil), exists: true, cut: true},
		"a creation time, no content":  {snap: aSnapshot(cut), exists: true},
		"somebody else's content":      {snap: aSnapshot(cut), content: aContent(func(c *snapshotv1.VolumeSnapshotContent) { handle(c); c.Spec.VolumeSnapshotRef.UID = "v" }), exists: true},
		"being deleted doesn't count":  {snap: aSnapshot(func(s *snapshotv1.VolumeSnapshot) { cut(s); s.DeletionTimestamp = &now }), content: aContent(handle)},
		"ready":                        {snap: aSnapshot(func(s *snapshotv1.VolumeSnapshot) { cut(s); s.Status.ReadyToUse = ptr.To(true) }), content: aContent(handle), exists: true, cut: true, ready: true},
		"ready without a cut is a lie": {snap: aSnapshot(func(s *snapshotv1.VolumeSnapshot) { bound(s); s.Status.ReadyToUse = ptr.To(true) }), content: aContent(nil), exists: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := Observe(c.snap, c.content)
			if o.Exists != c.exists || o.Cut != c.cut || o.Ready != c.ready {
				t.Errorf("got %+v", o)
			}
		})
	}
}

func TestCompareSets(t *testing.T) {
	whole := Observed{Exists: true, Cut: true, Ready: true}
	if p := Compare(nil, nil); p.AllCut() || p.AllReady() {
		t.Error("an empty set is never complete")
	}
	p := Compare([]string{"a", "b"}, map[string]Observed{"a": whole})
	if p.AllCut() || p.AllReady() || p.ReadyOfAll() != "1/2" || !slices.Equal(p.Missing, []string{"b"}) {
		t.Errorf("one of two is not all: %+v", p)
	}
	p = Compare([]string{"a"}, map[string]Observed{"a": whole, "c": {}})
	if !p.AllCut() || !p.AllReady() || p.ReadyOfAll() != "1/1" {
		t.Errorf("what wasn't expected doesn't count: %+v", p)
	}
	p = Compare([]string{"a"}, map[string]Observed{"a": {Exists: true, Error: "no room"}})
	if p.Error() != "a: no room" {
		t.Errorf("got %q", p.Error())
	}
}

func TestGone(t *testing.T) {
	there, not := Observed{Exists: true}, Observed{}
	before := map[string]Observed{"a": there, "b": there, "c": not}
	if got := Gone(before, map[string]Observed{"a": there, "b": not, "d": there}); !slices.Equal(got, []string{"b"}) {
		t.Errorf("got %v: what was never there is not gone", got)
	}
	if got := Gone(nil, before); got != nil {
		t.Errorf("got %v at the first look", got)
	}
}

func TestAttemptDelay(t *testing.T) {
	for attempt, want := range map[int32]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 6: 30 * time.Second, 100: 30 * time.Second} {
		if got := AttemptDelay(attempt); got != want {
			t.Errorf("after attempt %d: %s, want %s", attempt, got, want)
		}
	}
}
