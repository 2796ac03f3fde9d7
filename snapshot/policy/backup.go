package policy

import (
	"cmp"
	"crypto/sha256"
	"math/big"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

const (
	// maxName is that of a label's value, so that whatever carries the name of a
	// backup carries all of it.
	maxName = 63
	// hashLength tells kinds, and names that were cut, apart, and longHash does so
	// where that is the same of two.
	hashLength = 4
	longHash   = 12
	// stamp is the due time in a name, in UTC.
	stamp = "20060102-1504"
)

// BackupName is what the backup of an application for a due time is called:
// nightly-mysql-20261125-0200-x7k2. One policy makes one of that name.
func BackupName(policy string, app Application, due time.Time) string {
	return backupName(policy, app, due, due.UTC().Format(time.RFC3339))
}

// RunNowName is what the backup is called that a person asked for at once, by a
// value that runs once.
func RunNowName(policy string, app Application, at time.Time, value string) string {
	return backupName(policy, app, at, "run-now", value)
}

// LongerName is what a backup is called whose name is another's already: of very
// many applications two may have the same.
func LongerName(name string, app Application) string {
	end := len(name) - hashLength
	begin := end - len("-"+stamp+"-")
	return ending(name[:begin], name[begin:end]+hash(longHash, name, app.Namespace, string(app.Ref.Kind), app.Ref.Name))
}

// IsNamed is true for what the backup of an application for a due time may be
// called.
func IsNamed(name, policy string, app Application, due time.Time) bool {
	its := BackupName(policy, app, due)
	return name == its || name == LongerName(its, app)
}

func backupName(policy string, app Application, at time.Time, why ...string) string {
	its := append([]string{policy, app.Namespace, string(app.Ref.Kind), app.Ref.Name}, why...)
	return ending(strings.ReplaceAll(policy+"-"+app.Ref.Name, ".", "-"), "-"+at.UTC().Format(stamp)+"-"+hash(hashLength, its...))
}

// ending is a name that ends so, and whose begin is cut where it is too long.
func ending(begin, end string) string {
	return strings.TrimRight(begin[:min(len(begin), maxName-len(end))], "-") + end
}

// hash is so many letters and digits.
func hash(length int, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	text := new(big.Int).SetBytes(sum[:]).Text(36)
	return text[len(text)-length:]
}

// IsFor is true for a backup that is what another one is to be: whoever finds it
// under that one's name has made it before. A person may take it out of the policy, or
// everything off it: one that was made since its due time is the policy's by its name.
func IsFor(b, other *v1alpha1.VolumeBackup) bool {
	policy, its := b.Labels[v1alpha1.LabelPolicy], other.Labels[v1alpha1.LabelPolicy]
	at, due := b.Annotations[v1alpha1.AnnotationScheduledAt], other.Annotations[v1alpha1.AnnotationScheduledAt]
	moment, err := time.Parse(time.RFC3339, due)
	isSince := at == "" && err == nil && !b.CreationTimestamp.Time.Before(moment)
	return ApplicationOf(b) == ApplicationOf(other) && (policy == its || policy == "") && (at == due || isSince)
}

// NewBackup is a backup by a policy's template. due is nil for one that a person
// asked for.
func NewBackup(p *Policy, app Application, name string, due *time.Time) *v1alpha1.VolumeBackup {
	b := &v1alpha1.VolumeBackup{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: app.Namespace, Name: name,
			Labels: map[string]string{
				v1alpha1.LabelPolicy: p.Name, v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
				v1alpha1.LabelApplication: names.LabelValue(app.Ref.Name),
			},
		},
		Spec: v1alpha1.VolumeBackupSpec{ApplicationRef: app.Ref, BackupSettings: *p.Spec.Template.Spec.BackupSettings.DeepCopy()},
	}
	if isOfPods(app.Ref) && !p.readsPods() {
		b.Spec.Quiesce = cmp.Or(b.Spec.Quiesce, &v1alpha1.QuiesceSpec{})
		b.Spec.Quiesce.PodAnnotations = v1alpha1.PodAnnotationsIgnore
	}
	if p.IsOfCluster() {
		b.Labels[v1alpha1.LabelPolicyScope] = v1alpha1.PolicyScopeCluster
	}
	if due != nil {
		b.Annotations = map[string]string{v1alpha1.AnnotationScheduledAt: due.UTC().Format(time.RFC3339)}
	}
	return b
}

// isOfPods is true for an application whose pods may have no template.
func isOfPods(ref v1alpha1.ApplicationReference) bool {
	return ref.Kind == v1alpha1.KindPod || ref.Kind == v1alpha1.KindPersistentVolumeClaim
}

// readsPods is true for a policy whose writer was asked for the right to run
// commands in the pods that it selects. A claim that joins another by its annotation
// brings no such right along: who may annotate claims and pods would run commands
// there. deploy/admission asks by the same rule.
func (p *Policy) readsPods() bool {
	who := p.Spec.Applications
	return who.ClaimSelector != nil || slices.ContainsFunc(who.Refs, isOfPods)
}

// LeaveOut has a backup leave claims out. They are taken from those that its
// template includes, unless nothing else is there: that is refused, by a message
// which says that they stand in both.
func LeaveOut(b *v1alpha1.VolumeBackup, claims []string) {
	v := &b.Spec.Volumes
	if len(claims) == 0 {
		return
	}
	isOut := func(claim string) bool { return slices.Contains(claims, claim) }
	if included := slices.DeleteFunc(slices.Clone(v.Include), isOut); len(included) > 0 {
		v.Include = included
	}
	v.Exclude = names.Set(slices.Concat(v.Exclude, claims))
}

// DueTime is the due time that a backup was made for; where it was made by hand
// the moment of its cut, or of its making before it is cut.
func DueTime(b *v1alpha1.VolumeBackup) time.Time {
	if due, err := time.Parse(time.RFC3339, b.Annotations[v1alpha1.AnnotationScheduledAt]); err == nil {
		return due
	}
	if q := b.Status.Quiesce; q != nil && q.CutAt != nil {
		return q.CutAt.Time
	}
	return b.CreationTimestamp.Time
}
