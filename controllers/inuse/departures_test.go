package inuse

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/workload"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func left(uid string, at time.Time, ended bool, claims ...string) workload.Departure {
	return workload.Departure{Namespace: "shop", Pod: uid, Node: "n", UID: types.UID(uid), Claims: claims, At: at, HasEnded: ended}
}

func TestWhatIsRememberedOfPodsThatLeft(t *testing.T) {
	d := &departures{since: noon, seen: map[string]time.Time{}}
	d.note(left("forced", noon.Add(time.Second), false, "data", "log"))
	d.note(left("ended", noon.Add(2*time.Second), true, "data"))
	d.note(left("other", noon.Add(3*time.Second), false, "cache"))
	may := func(claims ...string) string {
		var names []string
		for _, l := range d.mayRun("shop", claims) {
			names = append(names, l.Pod)
		}
		return fmt.Sprint(names)
	}
	if got := may("data"); got != "[forced]" {
		t.Errorf("%s may run", got)
	}
	if len(d.mayRun("elsewhere", []string{"data"})) > 0 {
		t.Error("a claim of the same name in another namespace is another")
	}
	if got := d.last("shop", []string{"data"}); !got.Equal(noon.Add(2 * time.Second)) {
		t.Errorf("the claim was last in use at %s", got)
	}
	if got := d.last("shop", []string{"never"}); !got.Equal(noon) {
		t.Errorf("of what left before its start a manager knows nothing: %s", got)
	}
	if d.concerns("ended", []string{"data"}) || d.concerns("other", []string{"data"}) || !d.concerns("forced", []string{"data"}) || !d.concerns("unknown", []string{"data"}) {
		t.Error("what has ended, or never mounted the claims, doesn't concern them; what isn't known does")
	}

	d.hear("shop", nil, noon.Add(4*time.Second))
	if got := may("data", "cache"); got != "[forced other]" {
		t.Errorf("%s may run: the nodes' word is older than that they left", got)
	}
	heard := noon.Add(time.Minute)
	d.hear("shop", []workload.Departure{left("other", time.Time{}, false)}, heard)
	if got := may("data", "cache"); got != "[other]" {
		t.Errorf("%s may run: the nodes run the other alone", got)
	}
	if got := d.last("shop", []string{"log"}); !got.Equal(heard) {
		t.Errorf("its node may unmount from %s on", got)
	}
}

func TestDeparturesAreBounded(t *testing.T) {
	d := &departures{since: noon, seen: map[string]time.Time{}}
	d.note(left("ended", noon, true, "data"))
	d.note(left("without a claim", noon, false))
	d.note(left("later", noon.Add(cut.UnmountGrace+time.Second), false, "data"))
	if len(d.all) != 1 {
		t.Errorf("what has ended long ago, or never had a claim, is forgotten: %v", d.all)
	}
	for i := range maxDepartures {
		d.note(left(fmt.Sprint(i), noon.Add(time.Hour), false, "data"))
	}
	if len(d.all) != maxDepartures || d.all[0].Pod == "later" {
		t.Errorf("%d are remembered, the oldest is %s", len(d.all), d.all[0].Pod)
	}
}

// What the cache keeps of a pod is enough to tell how it left.
func TestTheCacheKeepsWhatTellsHowAPodLeft(t *testing.T) {
	p := &corev1.Pod{}
	p.Name, p.UID, p.Spec.NodeName, p.Status.Phase = "db-0", "u", "n", corev1.PodFailed
	p.Annotations = map[string]string{"big": "words"}
	p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}, {Name: "tmp"}, {Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}}
	for _, state := range []corev1.ContainerState{{Running: &corev1.ContainerStateRunning{}}, {Terminated: &corev1.ContainerStateTerminated{}}} {
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "side", ContainerID: "1", State: state}}
		kept, err := OnlyWhereabouts(p)
		if err != nil {
			t.Fatal(err)
		}
		want, got := workload.DepartureOf(p, noon), workload.DepartureOf(kept.(*corev1.Pod), noon)
		if fmt.Sprint(want) != fmt.Sprint(got) || len(kept.(*corev1.Pod).Annotations) > 0 {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	rejected := &corev1.Pod{}
	rejected.Spec.NodeName, rejected.Status.Phase, rejected.Status.Message = "n", corev1.PodFailed, "Pod was rejected: no room"
	if kept, err := OnlyWhereabouts(rejected); err != nil || !workload.HasEnded(kept.(*corev1.Pod)) {
		t.Errorf("its node has said that it didn't take it: %v", err)
	}
}
