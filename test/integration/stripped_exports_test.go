package integration

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// What an export is made by can be stripped as well: a mover's Job, and the claim that it
// reads. An export needs no Secret of ours: those that it reads are people's.

// stripped is what is taken from an export, at a moment of it.
type stripped struct {
	// of the Job, or else of the clone.
	ofJob    bool
	metadata string
	// mark: of the labels only the one by which Lull finds what it has made. A Job without
	// any is given those of its pods by the API server.
	mark bool
	// isRead: the clone has its volume, which is on record.
	isRead bool
	// says is what the backup fails by, empty where it goes on.
	says string
}

var strippedExports = map[string]stripped{
	"the labels of its Job":                 {ofJob: true, metadata: "labels"},
	"the mark of its Job":                   {ofJob: true, mark: true},
	"the mark of its Job, at work":          {ofJob: true, mark: true, isRead: true},
	"the annotations of its Job":            {ofJob: true, metadata: "annotations"},
	"the owner of its Job":                  {ofJob: true, metadata: "ownerReferences", says: "isn't Lull's: delete it"},
	"the owner of its Job, at work":         {ofJob: true, metadata: "ownerReferences", isRead: true, says: "isn't Lull's: delete it"},
	"the labels of its clone":               {metadata: "labels"},
	"the annotations of its clone":          {metadata: "annotations"},
	"the owner of its clone, not bound yet": {metadata: "ownerReferences", says: "that isn't of this VolumeBackup: delete it"},
	"the owner of its clone, at work":       {metadata: "ownerReferences", isRead: true},
	"all of its clone's labels, at work":    {metadata: "labels", isRead: true},
}

// strippedExport has come to its moment, and lacks what was taken.
func (fc *fakeCluster) strippedExport(s stripped) (*v1alpha1.VolumeBackup, *batchv1.Job) {
	fc.Helper()
	fc.collectsGarbage()
	b, by, job := fc.aMover()
	if s.isRead {
		fc.reads(b, job)
	}
	before := by.looks.Load()
	of := client.Object(job)
	if !s.ofJob {
		of = fc.clone(job)
	}
	if s.mark {
		fc.must(admin.Patch(fc.ctx, of.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"`+v1alpha1.LabelManagedBy+`":null}}}`))))
	} else {
		fc.strips(of, s.metadata)
	}
	fc.eventually("a manager has looked at it", func() bool { return s.says != "" || by.looks.Load() > before+1 })
	return b, job
}

// An export goes on without what was taken from what it is made by, or says what to do.
func TestAnExportIsStripped(t *testing.T) {
	for name, s := range strippedExports {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			b, job := fc.strippedExport(s)
			if s.says != "" {
				fc.awaitFailed(b, v1alpha1.ReasonExportFailed, s.says)
				return
			}
			if !s.isRead {
				fc.reads(b, job)
			}
			fc.ends(job)
			fc.awaitComplete(b, v1alpha1.Proven)
			fc.nothingOfAnExportIsLeft()
		})
	}
}

// A backup that is deleted takes along what is known to be its own.
func TestAStrippedExportGoesWithItsBackup(t *testing.T) {
	for name, s := range strippedExports {
		if s.says != "" {
			continue // it isn't known any more, and stays until somebody deletes it
		}
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			b, _ := fc.strippedExport(s)
			fc.delete(b)
			fc.awaitGone(b)
			fc.nothingOfAnExportIsLeft()
			fc.noSnapshotIsLeft()
		})
	}
}
