package history

import (
	"encoding/json"
	"time"
)

// What is read of objects, by the names that they have on the wire.

type metadata struct {
	Name              string     `json:"name"`
	Namespace         string     `json:"namespace"`
	UID               string     `json:"uid"`
	DeletionTimestamp *time.Time `json:"deletionTimestamp"`
	Finalizers        []string   `json:"finalizers"`
}

// isGone is true for an object as it is in the last answer about it.
func (m metadata) isGone() bool { return m.DeletionTimestamp != nil && len(m.Finalizers) == 0 }

type backup struct {
	Metadata metadata `json:"metadata"`
	Status   struct {
		Consistency string   `json:"consistency"`
		Quiesce     *quiesce `json:"quiesce"`
		Volumes     []struct {
			SnapshotName string `json:"snapshotName"`
			ContentName  string `json:"contentName"`
		} `json:"volumes"`
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
	} `json:"status"`
}

// hasEnded is true for a backup that nothing more is done for.
func (b *backup) hasEnded() bool {
	for _, c := range b.Status.Conditions {
		if (c.Type == "Complete" || c.Type == "Failed") && c.Status == "True" {
			return true
		}
	}
	return false
}

type quiesce struct {
	Method            string        `json:"method"`
	Attempt           int           `json:"attempt"`
	StartedAt         time.Time     `json:"startedAt"`
	Deadline          *time.Time    `json:"deadline"`
	ThawedAt          *time.Time    `json:"thawedAt"`
	ThawGivenUpAt     *time.Time    `json:"thawGivenUpAt"`
	Pods              []quiescedPod `json:"pods"`
	GroupSnapshotName string        `json:"groupSnapshotName"`
}

type quiescedPod struct {
	Name   string   `json:"name"`
	UID    string   `json:"uid"`
	Post   []string `json:"post"`
	Thawed bool     `json:"thawed"`
}

// freezes is true for an attempt by which pods stand still.
func (q *quiesce) freezes() bool { return q.Method == "Hold" || q.Method == "Hooks" }

type restore struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		PreviousClaims  string `json:"previousClaims"`
		ReleasePrevious bool   `json:"releasePrevious"`
	} `json:"spec"`
	Status struct {
		ScaledUpAt *time.Time `json:"scaledUpAt"`
		// RollBack is there once it is undone.
		RollBack *struct{} `json:"rollBack"`
		Claims   []struct {
			PreviousVolume string `json:"previousVolume"`
			RestoredVolume string `json:"restoredVolume"`
		} `json:"claims"`
	} `json:"status"`
}

type volume struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Policy string `json:"persistentVolumeReclaimPolicy"`
	} `json:"spec"`
}

type namespaceName struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

type claim struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		VolumeName string `json:"volumeName"`
		DataSource *struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		} `json:"dataSource"`
	} `json:"spec"`
}

// content is that of a snapshot or of a group.
type content struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Group *namespaceName `json:"volumeGroupSnapshotRef"`
	} `json:"spec"`
	Status struct {
		Handle      string          `json:"snapshotHandle"`
		GroupHandle string          `json:"volumeGroupSnapshotHandle"`
		Created     json.RawMessage `json:"creationTime"`
	} `json:"status"`
}

// isCut is true once the driver has answered: what the copy holds is fixed.
func (c *content) isCut() bool {
	return c.Status.Handle != "" || c.Status.GroupHandle != "" || len(c.Status.Created) > 0
}

// answer is an object as it is after a request that was carried out. It is false
// where the log doesn't say.
func answer[T any](e *Event) (*T, bool) {
	object := new(T)
	return object, len(e.ResponseObject) > 0 && json.Unmarshal(e.ResponseObject, object) == nil
}
