package policy

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// No backup is made in a namespace that is being deleted.
func TestTheCacheKnowsWhatIsBeingDeleted(t *testing.T) {
	leaving := metav1.NewTime(two)
	kept, err := OnlySelection(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "shop", DeletionTimestamp: &leaving}})
	if err != nil {
		t.Fatal(err)
	}
	if ns, is := kept.(*metav1.PartialObjectMetadata); !is || ns.DeletionTimestamp.IsZero() {
		t.Errorf("the cache keeps %+v", kept)
	}
}
