package policy

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A backup that was due before a moment may be cut after it: what counts is when
// its data is from.
func TestTheBackupToRestoreFrom(t *testing.T) {
	var backups []v1alpha1.VolumeBackup
	add := func(app string, days int, condition string) {
		for _, b := range ofDays(app, days, condition) {
			cut := metav1.NewMicroTime(DueTime(b).Add(10 * time.Minute))
			b.Labels = map[string]string{v1alpha1.LabelPolicy: "nightly"}
			b.Status.Quiesce = &v1alpha1.QuiesceStatus{CutAt: &cut}
			backups = append(backups, *b)
		}
	}
	add("db", 3, v1alpha1.ConditionComplete)
	add("broken", 1, v1alpha1.ConditionFailed)
	add("robbed", 2, v1alpha1.ConditionComplete)
	robbed := &backups[len(backups)-2]
	robbed.Status.Conditions = append(robbed.Status.Conditions, lostOne)
	one := backups[:4]
	add("files", 2, v1alpha1.ConditionComplete)
	ref := func(kind v1alpha1.ApplicationKind, name string) *v1alpha1.ApplicationReference {
		return &v1alpha1.ApplicationReference{Kind: kind, Name: name}
	}
	for name, c := range map[string]struct {
		policy  string
		app     *v1alpha1.ApplicationReference
		asOf    time.Time
		backups []v1alpha1.VolumeBackup
		want    string
		says    string
	}{
		"the newest":                       {app: ref("", "db"), want: "db-0"},
		"not one that has lost a snapshot": {app: ref("", "robbed"), want: "robbed-1"},
		"of the only application":          {backups: one, want: "db-0"},
		"as of a moment":                   {app: ref(v1alpha1.KindDeployment, "db"), asOf: now.Add(-time.Hour), want: "db-1"},
		"due before, and cut after":        {app: ref("", "db"), asOf: now.Add(5 * time.Minute), want: "db-1"},
		"of several, and none is named":    {says: "write one of them into spec.target.applicationRef: Deployment db, Deployment files"},
		"older than there is":              {app: ref("", "db"), asOf: now.AddDate(0, 0, -9), says: "no complete backup of db that old: its oldest is of 2025-11-24T12:10:00Z"},
		"an application that it hasn't":    {app: ref("StatefulSet", "db"), says: "no complete backup of StatefulSet db, but of Deployment db, Deployment files"},
		"one whose backups all failed":     {app: ref("", "broken"), says: "no complete backup of broken, but of"},
		"a policy that there never was":    {policy: "weekly", says: `policy "weekly" has no complete backup in this namespace: kubectl get volumebackup -l lull.dev/policy=weekly`},
		"a namespace without any backup":   {backups: []v1alpha1.VolumeBackup{}, says: "has no complete backup"},
	} {
		if c.policy == "" {
			c.policy = "nightly"
		}
		if c.backups == nil {
			c.backups = backups
		}
		got, err := Choose(c.policy, c.app, c.asOf, c.backups)
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) || c.says == "" && (err != nil || got.Name != c.want) {
			t.Errorf("%s: %v, %v; want %q, %q", name, got, err, c.want, c.says)
		}
	}
}
