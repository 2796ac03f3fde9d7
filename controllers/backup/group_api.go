package backup

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

const (
	kindGroup        = "VolumeGroupSnapshot"
	kindGroupContent = "VolumeGroupSnapshotContent"
	kindGroupClass   = "VolumeGroupSnapshotClass"

	kindSnapshotClass = "VolumeSnapshotClass"
)

const noGroups = "this cluster doesn't serve " + kindGroup + " (" + cut.GroupAPI + "), or didn't when Lull was started"

// groupAPI is the API of snapshots of groups. Its objects are read as what the
// cluster serves: its versions come and go faster than ours.
type groupAPI struct {
	live, cache client.Reader
	// version that the cluster serves, empty where it served none that is
	// understood when this manager started.
	version string
}

func (g *groupAPI) served() bool { return g.version != "" }

// discover finds out whether the cluster serves snapshots of groups. A manager
// does its other work also where it does and they can't be read, by its rights or
// for want of what converts their versions: a watch that fails would end it.
func (g *groupAPI) discover(ctx context.Context, mapper meta.RESTMapper) (err error) {
	if g.version, err = groupVersionIn(mapper); err != nil || !g.served() {
		return err
	}
	for _, kind := range []string{kindGroup, kindGroupContent, kindGroupClass} {
		if _, err := g.list(ctx, g.live, kind, client.Limit(1)); err != nil {
			log.FromContext(ctx).Error(err, "volumes are cut one by one: snapshots of groups can't be read", "kind", kind)
			g.version = ""
			return nil
		}
	}
	return nil
}

// groupVersionIn is the version that the cluster serves, empty where it serves
// none that is understood, or only some of its kinds.
func groupVersionIn(mapper meta.RESTMapper) (version string, err error) {
	for _, version := range cut.GroupVersions {
		served, err := servesGroups(mapper, version)
		if served || err != nil {
			return version, err
		}
	}
	return "", nil
}

func servesGroups(mapper meta.RESTMapper, version string) (bool, error) {
	for _, kind := range []string{kindGroup, kindGroupContent, kindGroupClass} {
		_, err := mapper.RESTMapping(schema.GroupKind{Group: cut.GroupAPI, Kind: kind}, version)
		if meta.IsNoMatchError(err) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}

// object is an empty one of a kind.
func (g *groupAPI) object(kind string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: cut.GroupAPI, Version: g.version, Kind: kind})
	return u
}

func (g *groupAPI) list(ctx context.Context, from client.Reader, kind string, options ...client.ListOption) ([]unstructured.Unstructured, error) {
	listed := &unstructured.UnstructuredList{}
	listed.SetGroupVersionKind(g.object(kind + "List").GroupVersionKind())
	err := from.List(ctx, listed, options...)
	return listed.Items, err
}

// ofBackup are the groups that attempts of a backup made: those that carry its mark,
// and the one that is on record, with it or without.
func (g *groupAPI) ofBackup(ctx context.Context, from client.Reader, b *v1alpha1.VolumeBackup) ([]unstructured.Unstructured, error) {
	if !g.served() {
		return nil, nil
	}
	marked, err := g.list(ctx, from, kindGroup, client.InNamespace(b.Namespace), client.MatchingLabels{v1alpha1.LabelBackupUID: string(b.UID)})
	if err != nil {
		return nil, err
	}
	made := slices.DeleteFunc(marked, func(u unstructured.Unstructured) bool { return !cut.IsGroup(b, u.GetName(), u.GetUID()) })
	recorded := ptr.Deref(b.Status.Quiesce, v1alpha1.QuiesceStatus{})
	if recorded.GroupSnapshotUID == "" || slices.ContainsFunc(made, func(u unstructured.Unstructured) bool { return u.GetUID() == recorded.GroupSnapshotUID }) {
		return made, nil
	}
	unmarked := g.object(kindGroup)
	err = from.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: recorded.GroupSnapshotName}, unmarked)
	if err != nil || unmarked.GetUID() != recorded.GroupSnapshotUID {
		return made, client.IgnoreNotFound(err)
	}
	return append(made, *unmarked), nil
}

// classes are those of groups.
func (g *groupAPI) classes(ctx context.Context) ([]cut.GroupClass, error) {
	listed, err := g.list(ctx, g.live, kindGroupClass)
	if err != nil {
		return nil, err
	}
	classes := make([]cut.GroupClass, len(listed))
	for i := range listed {
		if err := into(&listed[i], &classes[i]); err != nil {
			return nil, err
		}
	}
	return classes, nil
}

// group is a group, nil where it isn't there.
func (g *groupAPI) group(ctx context.Context, from client.Reader, key client.ObjectKey) (*cut.Group, error) {
	u, group := g.object(kindGroup), &cut.Group{}
	if err := from.Get(ctx, key, u); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return group, into(u, group)
}

// content is the content of a group, nil where there is none.
func (g *groupAPI) content(ctx context.Context, from client.Reader, group *cut.Group) (*cut.GroupContent, error) {
	u, content := g.object(kindGroupContent), &cut.GroupContent{}
	if err := from.Get(ctx, client.ObjectKey{Name: cut.GroupContentName(group.UID)}, u); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return content, into(u, content)
}

// into reads an object of that API into one of ours.
func into(u *unstructured.Unstructured, ours any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, ours)
}
