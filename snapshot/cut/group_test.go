package cut

import (
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

func TestChooseGroupClass(t *testing.T) {
	class := func(name, driver string, isDefault bool) GroupClass {
		c := GroupClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Driver: driver}
		if isDefault {
			c.Annotations = map[string]string{annotationDefaultGroupClass: "true"}
		}
		return c
	}
	two := []string{"d", "d"}
	for name, c := range map[string]struct {
		classes []GroupClass
		drivers []string // of the volumes
		asked   string
		want    string
		reason  string
	}{
		"the default":                   {classes: []GroupClass{class("x", "d", false), class("y", "d", true)}, drivers: two, want: "y"},
		"no class":                      {drivers: two},
		"the only one is no default":    {classes: []GroupClass{class("x", "d", false)}, drivers: two},
		"another driver's default":      {classes: []GroupClass{class("x", "e", true)}, drivers: two},
		"one volume is no group":        {classes: []GroupClass{class("x", "d", true)}, drivers: []string{"d"}},
		"volumes of several drivers":    {classes: []GroupClass{class("x", "d", true), class("y", "e", true)}, drivers: []string{"d", "e"}},
		"several defaults":              {classes: []GroupClass{class("x", "d", true), class("y", "d", true)}, drivers: two, reason: v1alpha1.ReasonAmbiguousClass},
		"the one asked for":             {classes: []GroupClass{class("x", "d", false), class("y", "d", true)}, drivers: two, asked: "x", want: "x"},
		"asked for, of one volume":      {classes: []GroupClass{class("x", "d", false)}, drivers: []string{"d"}, asked: "x", want: "x"},
		"asked for one that isn't":      {classes: []GroupClass{class("x", "d", true)}, drivers: two, asked: "z", reason: v1alpha1.ReasonNoSnapshotClass},
		"asked for another driver's":    {classes: []GroupClass{class("x", "e", true)}, drivers: two, asked: "x", reason: v1alpha1.ReasonSnapshotClassMismatch},
		"asked for, of several drivers": {classes: []GroupClass{class("x", "d", true)}, drivers: []string{"d", "e"}, asked: "x", reason: v1alpha1.ReasonSnapshotClassMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			var volumes []v1alpha1.VolumeStatus
			for _, driver := range c.drivers {
				volumes = append(volumes, v1alpha1.VolumeStatus{Driver: driver})
			}
			got, err := ChooseGroupClass(c.classes, volumes, c.asked)
			if got != c.want || reasonOf(err) != c.reason {
				t.Errorf("got %q, %v; want %q, reason %q", got, err, c.want, c.reason)
			}
		})
	}
}

func TestAGroupCanGo(t *testing.T) {
	bound := GroupStatus{BoundVolumeGroupSnapshotContentName: "c"}
	made := bound
	made.CreationTime = &metav1.Time{}
	cut := &GroupContent{}
	cut.Status.VolumeGroupSnapshotHandle = "h"
	named := snapshotv1.VolumeSnapshot{Status: &snapshotv1.VolumeSnapshotStatus{VolumeGroupSnapshotName: ptr.To("g")}}
	for name, c := range map[string]struct {
		status   GroupStatus
		held     bool
		content  *GroupContent
		members  []snapshotv1.VolumeSnapshot
		now, old bool
	}{
		"just created":                      {old: true},
		"its content isn't known to it":     {content: &GroupContent{}},
		"bound, and not held yet":           {status: bound, content: &GroupContent{}},
		"held, not cut":                     {status: bound, held: true, content: &GroupContent{}, now: true, old: true},
		"cut, and snapshots are made of it": {status: bound, held: true, content: cut, old: true},
		"they are made":                     {status: made, held: true, content: cut, members: []snapshotv1.VolumeSnapshot{named, named}, now: true, old: true},
		"one doesn't name it yet":           {status: made, held: true, content: cut, members: []snapshotv1.VolumeSnapshot{named, {Status: &snapshotv1.VolumeSnapshotStatus{}}}, old: true},
		"one has no status yet":             {status: made, held: true, content: cut, members: []snapshotv1.VolumeSnapshot{{}}, old: true},
		"its content was taken away":        {status: made, held: true, now: true, old: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := &Group{Status: c.status}
			if c.held {
				g.Finalizers = []string{finalizerGroup}
			}
			if now, old := g.CanGo(c.content, c.members, 0), g.CanGo(c.content, c.members, SettleLimit); now != c.now || old != c.old {
				t.Errorf("got %t now and %t later", now, old)
			}
		})
	}
}

func TestObserveGroup(t *testing.T) {
	now := metav1.Now()
	group := func(change func(*Group)) *Group {
		g := &Group{ObjectMeta: metav1.ObjectMeta{Name: "g", UID: "u"}}
		if change != nil {
			change(g)
		}
		return g
	}
	// content is one of volumes v and w, not cut yet.
	content := func(change func(*GroupContent)) *GroupContent {
		c := &GroupContent{}
		c.Spec.VolumeGroupSnapshotRef.UID = "u"
		c.Spec.Source.VolumeHandles = []string{"w", "v"}
		if change != nil {
			change(c)
		}
		return c
	}
	members := func(c *GroupContent, handles ...string) {
		c.Status.VolumeGroupSnapshotHandle = "h"
		for _, handle := range handles {
			c.Status.VolumeSnapshotInfoList = append(c.Status.VolumeSnapshotInfoList, GroupMember{VolumeHandle: handle, CreationTime: ptr.To(now.UnixNano())})
		}
	}
	for name, c := range map[string]struct {
		group   *Group
		content *GroupContent
		uncut   []string
		says    bool
		missing bool
	}{
		"nothing there":           {missing: true},
		"just created":            {group: group(nil), uncut: []string{"a", "b"}},
		"its content isn't a cut": {group: group(nil), content: content(nil), uncut: []string{"a", "b"}},
		"cut":                     {group: group(nil), content: content(func(c *GroupContent) { members(c, "v", "w") })},
		"one volume isn't":        {group: group(nil), content: content(func(c *GroupContent) { members(c, "v") }), uncut: []string{"b"}},
		"without a handle":        {group: group(nil), content: content(func(c *GroupContent) { members(c, "v", "w"); c.Status.VolumeGroupSnapshotHandle = "" }), uncut: []string{"a", "b"}},
		"somebody else's content": {group: group(nil), content: content(func(c *GroupContent) { members(c, "v", "w"); c.Spec.VolumeGroupSnapshotRef.UID = "x" }), uncut: []string{"a", "b"}},
		"of a volume too few":     {group: group(nil), content: content(func(c *GroupContent) { members(c, "v", "w"); c.Spec.Source.VolumeHandles = []string{"v"} }), uncut: []string{"a", "b"}, says: true},
		"of a volume too many":    {group: group(nil), content: content(func(c *GroupContent) { members(c, "v", "w"); c.Spec.Source.VolumeHandles = []string{"v", "w", "x"} }), uncut: []string{"a", "b"}, says: true},
		"the driver complains":    {group: group(nil), content: content(func(c *GroupContent) { c.Status.Error = &snapshotv1.VolumeSnapshotError{} }), uncut: []string{"a", "b"}, says: true},
		"its controllers meet": {group: group(nil), content: content(func(c *GroupContent) {
			c.Status.Error = &snapshotv1.VolumeSnapshotError{Message: ptr.To("failed to update c: " + conflict + " and try again")}
		}), uncut: []string{"a", "b"}},
		"the controller complains":  {group: group(func(g *Group) { g.Status.Error = &snapshotv1.VolumeSnapshotError{} }), uncut: []string{"a", "b"}, says: true},
		"being deleted is no group": {group: group(func(g *Group) { g.DeletionTimestamp = &now }), content: content(func(c *GroupContent) { members(c, "v", "w") }), missing: true},
	} {
		t.Run(name, func(t *testing.T) {
			observed := ObserveGroup(c.group, c.content, map[string]string{"a": "v", "b": "w"})
			p := Compare([]string{"a", "b"}, observed)
			if c.missing {
				c.uncut = []string{"a", "b"}
			}
			if (len(p.Missing) > 0) != c.missing || names.List(p.Uncut) != names.List(c.uncut) || (p.Error() != "") != c.says {
				t.Errorf("got %+v", p)
			}
			for claim, o := range observed {
				if o.Ready || o.Cut != (o.CreationTime != nil) {
					t.Errorf("%s: %+v", claim, o)
				}
			}
		})
	}
}
