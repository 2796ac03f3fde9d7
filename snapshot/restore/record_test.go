package restore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// What a restore leaves behind is found by one of the same name and spec.
func TestARestoreThatWasCarriedOutIsRefused(t *testing.T) {
	record := func(of *Input) map[string]string {
		s := &State{Restore: of.Restore, Now: now}
		return s.record(map[string]string{"other": "annotation"})
	}
	for name, c := range map[string]struct {
		again  func(*Input)
		onWhat string
	}{
		"the same":                     {func(*Input) {}, "Deployment mysql"},
		"the same, undone before":      {func(in *Input) { in.Restore.Spec.RollBack, in.Restore.Spec.ReleasePrevious = true, true }, "Deployment mysql"},
		"its annotation was taken off": {func(in *Input) { in.Workload.Meta.Annotations = nil }, "VolumeBackup b"},
		"asked for again":              {func(in *Input) { in.Restore.Spec.Again = true }, ""},
		"another name":                 {func(in *Input) { in.Restore.Name = "another" }, ""},
		"another spec":                 {func(in *Input) { in.Restore.Spec.Volumes.Exclude = []string{"log"} }, ""},
		"of claims alone":              {func(in *Input) { in.Restore.Spec.Target.Strategy = v1alpha1.StrategyClaimsOnly }, ""},
		"never carried out":            {func(in *Input) { in.Workload.Meta.Annotations, in.Backup.Annotations = nil, nil }, ""},
	} {
		before := aRestorable(nil)
		in := &before
		in.Workload.Meta.Annotations, in.Backup.Annotations = record(in), record(in)
		c.again(in)
		var p *v1alpha1.Problem
		prop := &proposal{Input: in}
		if prop.res.Strategy, _ = in.strategy(); prop.touches() {
			p = checkAgain(prop)
		}
		if (p != nil) != (c.onWhat != "") {
			t.Errorf("%s: %v", name, p)
			continue
		}
		if p != nil && (!strings.Contains(p.Message, "as "+c.onWhat+" has on record") || !strings.Contains(p.Message, "spec.again: true") || !strings.Contains(p.Message, "2026-01-02T03:04:05Z")) {
			t.Errorf("%s: it says %s", name, p.Message)
		}
	}
}

func TestAnApplicationHasTheNewestRecords(t *testing.T) {
	annotations := map[string]string{"team": "shop"}
	for i := range mostRecords + 5 {
		s := &State{Restore: &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("r-%d", i)}}, Now: now.Add(time.Duration(i) * time.Hour)}
		annotations = withoutOldest(s.record(annotations))
	}
	_, hasOldest := annotations[v1alpha1.AnnotationRestored+"r-4"]
	_, hasNewest := annotations[v1alpha1.AnnotationRestored+fmt.Sprintf("r-%d", mostRecords+4)]
	if len(annotations) != mostRecords+1 || annotations["team"] != "shop" || hasOldest || !hasNewest {
		t.Errorf("%d: %v", len(annotations), annotations)
	}
}

// The record is written with the stop, and the stop doesn't depend on it.
func TestTheStopIsOnRecord(t *testing.T) {
	s := aReplacement(nil)
	s.Workload.Object.SetAnnotations(map[string]string{"team": "shop"})
	var on []string
	for _, c := range s.scaleDown().Changes {
		annotations := c.After.GetAnnotations()
		if annotations[recordKey(s.Restore)] == "" {
			continue
		}
		if on = append(on, kindOf(c.After)); !c.IsOptional {
			t.Errorf("%s has to be made", c)
		}
	}
	if strings.Join(on, ", ") != "StatefulSet, VolumeBackup" {
		t.Errorf("on record on %v", on)
	}
}
