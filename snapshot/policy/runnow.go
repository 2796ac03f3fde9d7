package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
	"github.com/lull-dev/lull/snapshot/names"
)

// maxEarlier is how many values that a person asked by are remembered, besides
// the newest, and maxValue what is remembered of a long one, in bytes.
const (
	maxEarlier = 100
	maxValue   = 253
)

// RunsNow is true where a value asks for a run that isn't done, and isNew where it
// wasn't known. When that was is noted, and has to be written before a backup is
// made: names follow from it.
func (s *State) RunsNow(value string) (runs, isNew bool) {
	told := s.Status.RunNow
	value = remembered(value)
	if value == "" || told != nil && slices.Contains(told.Earlier, hashOfValue(value)) {
		return false, false
	}
	if told != nil && remembered(told.Value) == value {
		return !told.Done, false
	}
	s.Status.RunNow = &v1alpha1.RunNowStatus{Value: value, At: metav1.NewMicroTime(s.Now)}
	if told != nil {
		earlier := append(slices.Clone(told.Earlier), hashOfValue(told.Value))
		s.Status.RunNow.Earlier = earlier[max(0, len(earlier)-maxEarlier):]
	}
	return true, true
}

// remembered is what a status has of a value: all of it, or how it begins and a hash.
func remembered(value string) string {
	if len(value) <= maxValue {
		return value
	}
	hash := hashOfValue(value)
	return names.Clip(value, maxValue-len(hash)) + hash
}

// hashOfValue stands for a value, which may be long.
func hashOfValue(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:8])
}

// RefusedNow notes that the backup of a run that a person asked for is refused.
func (s *State) RefusedNow(app Application, why error) {
	now := s.Status.RunNow
	if len(now.Refused) < limits.Names {
		now.Refused = append(now.Refused, s.Called(app))
	}
	s.rows[app].Message = shortened(fmt.Sprintf("the run that was asked for at %s was missed: its backup is refused: %v", now.At.UTC().Format(time.RFC3339), why))
}

// refusedAt is when a person asked last for a run of the application, if its
// backup was refused; else zero.
func (s *State) refusedAt(app Application) time.Time {
	now := s.Status.RunNow
	if now == nil || now.At.After(s.Now) || !slices.Contains(now.Refused, s.Called(app)) {
		return time.Time{}
	}
	return now.At.Time
}
