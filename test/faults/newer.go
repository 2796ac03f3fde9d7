package main

import (
	"cmp"
	"slices"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// newer says which data the application has to run on: new is true after a
// restore that stands. known is false where no object is there any more that
// could say.
func (r *restoreRun) newer() (isNew, known bool) {
	all := r.restores()
	for _, v := range all {
		if v.Status.Phase == "" {
			return false, false
		}
	}
	return runsOnRestored(all), true
}

// runsOnRestored goes through what the restores say they did to the application, in
// its order. Who goes back brings what there was before that restore, whichever came
// after it.
func runsOnRestored(all []*v1alpha1.VolumeRestore) bool {
	type start struct {
		at     int64
		of     *v1alpha1.VolumeRestore
		isBack bool
	}
	var starts []start
	for _, v := range all {
		if v.Status.ScaledUpAt != nil && v.Status.Strategy != v1alpha1.StrategyClaimsOnly {
			starts = append(starts, start{v.Status.ScaledUpAt.UnixNano(), v, false})
		}
		if back := v.Status.RollBack; back != nil && back.ScaledUpAt != nil {
			starts = append(starts, start{back.ScaledUpAt.UnixNano(), v, true})
		}
	}
	slices.SortStableFunc(starts, func(a, b start) int { return cmp.Compare(a.at, b.at) })
	isNew, before := false, map[*v1alpha1.VolumeRestore]bool{}
	for _, s := range starts {
		if !s.isBack {
			before[s.of], isNew = isNew, true
		} else if was, known := before[s.of]; known { // else it never came to what it restores
			isNew = was
		}
	}
	return isNew
}
