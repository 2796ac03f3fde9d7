package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func volumeOf(claim string) corev1.Volume {
	return corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}
}

// ofDays are backups of an application, of so many days, the newest first, that
// ended with a condition; none that go on.
func ofDays(name string, days int, condition string) (all []*v1alpha1.VolumeBackup) {
	for day := range days {
		b := &v1alpha1.VolumeBackup{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("%s-%d", name, day), Annotations: map[string]string{
				v1alpha1.AnnotationScheduledAt: now.AddDate(0, 0, -day).Format(time.RFC3339),
			}},
			Spec: v1alpha1.VolumeBackupSpec{ApplicationRef: v1alpha1.ApplicationReference{Name: name}},
		}
		if condition != "" {
			b.Status.Conditions = []metav1.Condition{{Type: condition, Status: metav1.ConditionTrue}}
		}
		all = append(all, b)
	}
	return all
}

var lostOne = metav1.Condition{Type: v1alpha1.ConditionSnapshotsReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonSnapshotLost}

// losing are backups of which some have lost a snapshot.
func losing(backups []*v1alpha1.VolumeBackup, which ...int) []*v1alpha1.VolumeBackup {
	for _, i := range which {
		backups[i].Status.Conditions = append(backups[i].Status.Conditions, lostOne)
	}
	return backups
}

func TestWhatGoes(t *testing.T) {
	const complete, failed = v1alpha1.ConditionComplete, v1alpha1.ConditionFailed
	many := func(applications, days int) (all []*v1alpha1.VolumeBackup) {
		for i := range applications {
			all = append(all, ofDays(fmt.Sprintf("app%02d", i), days, complete)...)
		}
		return all
	}
	kept := ofDays("db", 4, complete)
	kept[3].Annotations[v1alpha1.AnnotationKeep] = "true"
	for name, c := range map[string]struct {
		keepLast   int32
		backups    []*v1alpha1.VolumeBackup
		inUse      string
		hasRemoved bool
		gone       string
		held       string
	}{
		"nothing, without rules":                          {backups: ofDays("db", 40, complete)},
		"the oldest":                                      {keepLast: 3, backups: ofDays("db", 4, complete), gone: "db-3"},
		"none for one that is lost":                       {keepLast: 3, backups: losing(ofDays("db", 4, complete), 1)},
		"two, of which one is lost":                       {keepLast: 2, backups: losing(ofDays("db", 4, complete), 2), gone: "db-3 db-2"},
		"a lost one beyond what is kept":                  {keepLast: 3, backups: losing(ofDays("db", 4, complete), 3), gone: "db-3"},
		"none of those that are all lost, but the oldest": {keepLast: 3, backups: losing(ofDays("db", 4, complete), 0, 1, 2, 3), gone: "db-3"},
		"one that a person keeps":                         {keepLast: 2, backups: kept, gone: "db-2"},
		"one that a restore works from":                   {keepLast: 3, backups: ofDays("db", 5, complete), inUse: "shop/db-3", gone: "db-4"},
		"failed ones beyond the history":                  {keepLast: 1, backups: ofDays("db", 5, failed), gone: "db-4 db-3"},
		"none that goes on":                               {keepLast: 1, backups: ofDays("db", 5, "")},
		"more than half, and few":                         {keepLast: 1, backups: ofDays("db", 4, complete), gone: "db-1 db-2 db-3"},
		"more than half, and more than few":               {keepLast: 1, backups: ofDays("db", 5, complete), held: "retention would remove 4 of the 5 of Deployment db: db-1, db-2, db-3, db-4"},
		"half of them":                                    {keepLast: 5, backups: ofDays("db", 10, complete), gone: "db-5 db-6 db-7 db-8 db-9"},
		"many at once":                                    {keepLast: 2, backups: many(11, 3), held: "11 of the policy at once"},
		"many, as the run before":                         {keepLast: 2, backups: many(11, 3), hasRemoved: true, gone: "app00-2 app01-2 app02-2 app03-2 app04-2 app05-2 app06-2 app07-2 app08-2 app09-2 app10-2"},
		"ten at once":                                     {keepLast: 2, backups: many(10, 3), gone: "app00-2 app01-2 app02-2 app03-2 app04-2 app05-2 app06-2 app07-2 app08-2 app09-2"},
	} {
		p := nightly(t, func(s *v1alpha1.SnapshotPolicySpec) {
			if c.keepLast > 0 {
				s.Retention.Snapshots = &v1alpha1.RetentionRules{KeepLast: c.keepLast}
			}
		})
		r := p.Remove(c.backups, map[string]bool{c.inUse: true}, c.hasRemoved, now)
		gone := r.Failed
		if r.Held == "" {
			gone = append(gone, r.Complete...)
		}
		if got := strings.Join(namesOf(gone), " "); got != c.gone || !strings.Contains(r.Held, c.held) || (c.held == "") != (r.Held == "") {
			t.Errorf("%s: %q goes and %q is held, want %q and %q", name, got, r.Held, c.gone, c.held)
		}
	}
}

// However many applications are held, what is said of them leaves room for how to
// release it.
func TestWhatIsHeldIsSaidInShort(t *testing.T) {
	p := nightly(t, func(s *v1alpha1.SnapshotPolicySpec) { s.Retention.Snapshots = &v1alpha1.RetentionRules{KeepLast: 3} })
	var all []*v1alpha1.VolumeBackup
	for i := range 120 {
		all = append(all, ofDays(fmt.Sprintf("application-%03d", i), 10, v1alpha1.ConditionComplete)...)
	}
	if r := p.Remove(all, nil, true, now); len(r.Held) > 1024 || !strings.Contains(r.Held, "and 110 others") {
		t.Errorf("it is %d bytes: %s", len(r.Held), r.Held)
	}
}
