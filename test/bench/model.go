package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/policy"
)

// modelApplication is who the model is of. Its names are part of no other word
// in a backup.
var modelApplication = application{namespace: "tenant-model", claim: "model-data", volume: "model-volume", policy: "model-policy"}

// identity is what tells one backup from another.
type identity struct {
	application
	due             time.Time
	backup          string
	uid             types.UID
	snapshot        string
	snapshotUID     types.UID
	content, handle string
}

func (i identity) key() client.ObjectKey {
	return client.ObjectKey{Namespace: i.namespace, Name: i.backup}
}

// model is a backup that the manager has made, with its snapshot and content, as
// JSON. The backups that have ended are copies of it under other names: as the
// manager leaves its own.
type model struct {
	identity
	backupText, snapshotText, contentText string
}

// readModel reads a backup that has ended.
func (c *controlPlane) readModel(ctx context.Context, a application, due time.Time) (*model, error) {
	var b v1alpha1.VolumeBackup
	if err := c.Get(ctx, a.backupOf(due), &b); err != nil {
		return nil, err
	}
	if !policy.IsComplete(&b) || b.Status.Consistency != v1alpha1.Proven {
		return nil, fmt.Errorf("the backup that the others are made after should be proven: %s", b.Status.Message)
	}
	var snapshot snapshotv1.VolumeSnapshot
	if err := c.Get(ctx, client.ObjectKey{Namespace: b.Namespace, Name: b.Status.Volumes[0].SnapshotName}, &snapshot); err != nil {
		return nil, err
	}
	var content snapshotv1.VolumeSnapshotContent
	if err := c.Get(ctx, client.ObjectKey{Name: b.Status.Volumes[0].ContentName}, &content); err != nil {
		return nil, err
	}
	m := &model{identity: identity{
		application: a, due: due, backup: b.Name, uid: b.UID, snapshot: snapshot.Name, snapshotUID: snapshot.UID,
		content: content.Name, handle: *content.Status.SnapshotHandle,
	}}
	var failed [3]error
	m.backupText, failed[0] = textOf(&b)
	m.snapshotText, failed[1] = textOf(&snapshot)
	m.contentText, failed[2] = textOf(&content)
	return m, errors.Join(failed[:]...)
}

// textOf is an object without what the API server gives each its own.
func textOf(o client.Object) (string, error) {
	o.SetResourceVersion("")
	o.SetManagedFields(nil)
	text, err := json.Marshal(o)
	return string(text), err
}

// begin creates a backup of that application and due time, and nothing more.
func begin(ctx context.Context, c client.Client, a application, due time.Time) (identity, error) {
	b := a.newBackup(due)
	b.Finalizers = []string{v1alpha1.FinalizerVolumeBackup}
	err := c.Create(ctx, b)
	return identity{application: a, due: due, backup: b.Name, uid: b.UID}, err
}

// end has a backup that was begun be as the model is: complete, with a snapshot
// that is ready, and its content.
func (c *controlPlane) end(ctx context.Context, m *model, i identity) error {
	i.snapshot = cut.Name(i.backup, i.uid, i.claim, 1)
	i.content, i.handle = "content-of-"+string(i.uid), "copy-of-"+string(i.uid)
	var snapshot snapshotv1.VolumeSnapshot
	if err := m.write(m.snapshotText, i, &snapshot); err != nil {
		return err
	}
	if err := c.createWhole(ctx, &snapshot); err != nil {
		return err
	}
	i.snapshotUID = snapshot.UID
	var content snapshotv1.VolumeSnapshotContent
	if err := m.write(m.contentText, i, &content); err != nil {
		return err
	}
	if err := c.createWhole(ctx, &content); err != nil {
		return err
	}
	var b v1alpha1.VolumeBackup
	if err := m.write(m.backupText, i, &b); err != nil {
		return err
	}
	return c.report(ctx, &b, b.Status)
}

// write reads an object of the model with the names of another backup. A name
// stands before those that it contains.
func (m *model) write(text string, to identity, o client.Object) error {
	renamed := strings.NewReplacer(
		m.handle, to.handle, m.content, to.content, m.snapshot, to.snapshot, m.backup, to.backup,
		string(m.uid), string(to.uid), string(m.snapshotUID), string(to.snapshotUID),
		m.claim, to.claim, m.volume, to.volume, m.policy, to.policy, m.namespace, to.namespace,
		m.due.UTC().Format(time.RFC3339), to.due.UTC().Format(time.RFC3339),
	)
	return json.Unmarshal([]byte(renamed.Replace(text)), o)
}

// createWhole creates an object with its status.
func (c *controlPlane) createWhole(ctx context.Context, o client.Object) error {
	whole, is := o.DeepCopyObject().(client.Object)
	if !is {
		return fmt.Errorf("%T has no metadata", o)
	}
	if err := c.Create(ctx, o); err != nil {
		return err
	}
	whole.SetUID(o.GetUID())
	whole.SetResourceVersion(o.GetResourceVersion())
	return c.Status().Update(ctx, whole)
}
