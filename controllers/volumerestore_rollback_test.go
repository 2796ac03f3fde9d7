package controllers

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestAsked(t *testing.T) {
	now := metav1.NowMicro()
	underWay := &v1alpha1.RollBackStatus{Reason: v1alpha1.ReasonRollBackAsked}
	ended := &v1alpha1.RollBackStatus{Reason: v1alpha1.ReasonRollBackAsked, EndedAt: &now}
	byItself := &v1alpha1.RollBackStatus{Reason: v1alpha1.ReasonReadyTimeout, EndedAt: &now}
	const here, before = 3, 1 // generations
	for name, c := range map[string]struct {
		asks     bool
		rollBack *v1alpha1.RollBackStatus
		// said of RolledBack, at that generation; empty for nothing.
		said       metav1.ConditionStatus
		generation int64
		want       bool
	}{
		"nothing":                           {false, nil, "", 0, false},
		"it":                                {true, nil, "", 0, true},
		"it, refused":                       {true, nil, metav1.ConditionFalse, here, false},
		"it, refused before":                {true, nil, metav1.ConditionFalse, before, true},
		"it, under way":                     {true, underWay, metav1.ConditionFalse, before, false},
		"it, done":                          {true, ended, metav1.ConditionTrue, before, false},
		"it, failed":                        {true, ended, metav1.ConditionFalse, here, false},
		"it again, failed before":           {true, ended, metav1.ConditionFalse, before, true},
		"it, failed by itself":              {true, byItself, metav1.ConditionFalse, here, true},
		"it, done by itself":                {true, byItself, metav1.ConditionTrue, before, false},
		"nothing, failed by itself":         {false, byItself, metav1.ConditionFalse, here, false},
		"nothing any more, refused before":  {false, nil, metav1.ConditionFalse, before, false},
		"nothing any more, failed as asked": {false, ended, metav1.ConditionFalse, before, false},
	} {
		v := &v1alpha1.VolumeRestore{}
		v.Generation, v.Spec.RollBack, v.Status.Strategy, v.Status.RollBack = here, c.asks, v1alpha1.StrategyReplace, c.rollBack
		if c.said != "" {
			v.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionRolledBack, Status: c.said, ObservedGeneration: c.generation}}
		}
		if got := asked(v); got != c.want {
			t.Errorf("asks for %s: %t", name, got)
		}
	}
}
