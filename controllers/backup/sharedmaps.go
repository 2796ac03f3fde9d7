package backup

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
)

// shared are the labels and annotations of what is in the cache.
var shared sharedMaps

// sharedMaps has objects that say the same have one map: the backups of a policy
// and an application have the same labels, those of a due time the same
// annotations, and a map takes more memory than the rest of such an object.
// Nothing that is in a cache is ever changed. It knows only those that it met
// last, so that it doesn't grow.
type sharedMaps struct {
	mu           sync.Mutex
	newer, older map[string]map[string]string
}

// rememberedMaps is how many are known at least.
const rememberedMaps = 1 << 14

// ours has of all what has keys of ours, nil where nothing has. No value of ours is
// long.
func (s *sharedMaps) ours(all map[string]string) map[string]string {
	var keys []string
	for key, value := range all {
		if strings.HasPrefix(key, v1alpha1.GroupVersion.Group+"/") && len(value) <= limits.AnnotationBytes {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return s.only(all, keys)
}

func (s *sharedMaps) only(all map[string]string, keys []string) map[string]string {
	slices.Sort(keys)
	var said strings.Builder
	for _, key := range keys {
		said.WriteString(key + "\x00" + all[key] + "\x00")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known(said.String(), func() map[string]string {
		ours := maps.Clone(all)
		maps.DeleteFunc(ours, func(key, _ string) bool { return !slices.Contains(keys, key) })
		return ours
	})
}

func (s *sharedMaps) known(said string, make func() map[string]string) map[string]string {
	if m := s.newer[said]; m != nil {
		return m
	}
	m := s.older[said]
	if m == nil {
		m = make()
	}
	if s.newer == nil || len(s.newer) >= rememberedMaps {
		s.newer, s.older = map[string]map[string]string{}, s.newer
	}
	s.newer[said] = m
	return m
}
