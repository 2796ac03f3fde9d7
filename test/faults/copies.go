package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"

	"github.com/lull-dev/lull/test/faults/history"
	"github.com/lull-dev/lull/test/framework"
)

// leaking is the release of the snapshot controllers that leaves copies behind:
// one whose content is deleted while it is being cut isn't looked at again as soon
// as it is cut.
const leaking = "8.5"

// countBefore notes the copies that are there before the run.
func (c *campaign) countBefore() error {
	copies, _, err := framework.Copies()
	c.before = map[string]bool{}
	for handle := range copies {
		c.before[handle] = true
	}
	return err
}

// awaitNoCopies waits until the driver has nothing any more that wasn't there
// before the run, but copies that somebody names. It returns what is left.
func (c *campaign) awaitNoCopies(ctx context.Context) (left map[string]string, err error) {
	err = poll(ctx, goneLimit, "the driver has no copy that nobody names", func(ctx context.Context) (string, error) {
		if left, err = c.unnamedCopies(ctx); err != nil {
			return "", err
		}
		return unless(len(left) == 0, "%d copies", len(left)), nil
	})
	if len(left) > 0 {
		return left, nil
	}
	return nil, err
}

// unnamedCopies are the copies that no content names.
func (c *campaign) unnamedCopies(ctx context.Context) (map[string]string, error) {
	copies, _, err := framework.Copies()
	if err != nil {
		return nil, err
	}
	var contents snapshotv1.VolumeSnapshotContentList
	if err := c.List(ctx, &contents); err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, content := range contents.Items {
		if s := content.Status; s != nil && s.SnapshotHandle != nil {
			named[*s.SnapshotHandle] = true
		}
		if from := content.Spec.Source.SnapshotHandle; from != nil {
			named[*from] = true
		}
	}
	maps.DeleteFunc(copies, func(handle, _ string) bool { return named[handle] || c.before[handle] })
	return copies, nil
}

// checkCopies counts what is left in the driver after all rounds. Each copy is a
// violation but where the snapshot controllers are of a release that is known to
// leave it: then it is listed, with what the history says of its end.
func (c *campaign) checkCopies(ctx context.Context, h *history.History) {
	left, err := c.awaitNoCopies(ctx)
	if err != nil {
		c.report.trouble("the copies in the driver can't be counted: %v", err)
	}
	for _, handle := range slices.Sorted(maps.Keys(left)) {
		content := strings.Replace(left[handle], "snapshot-", "snapcontent-", 1)
		said := fmt.Sprintf("copy %s of content %s is left in the driver: %s", handle, content, h.EndOf(content))
		if os.Getenv("SNAPSHOTTER") == leaking && h.DeletedUncut(content) {
			fmt.Println("LEFT BY THE SNAPSHOT CONTROLLERS:", said)
			continue
		}
		c.report.leaks(said)
	}
}
