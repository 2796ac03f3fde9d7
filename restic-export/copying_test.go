package resticexport

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// aPlace is a repository in a claim of its own.
func aPlace(name string, copyTo ...string) v1alpha1.ResticRepository {
	r := v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	r.Spec.Backend.Volume = &v1alpha1.VolumeBackend{ClaimName: name}
	for _, to := range copyTo {
		r.Spec.CopyTo = append(r.Spec.CopyTo, v1alpha1.RepositoryCopy{RepositoryRef: v1alpha1.RepositoryReference{Name: to}})
	}
	return r
}

func made(r v1alpha1.ResticRepository, ready metav1.ConditionStatus) v1alpha1.ResticRepository {
	r.Status.RepositoryID = r.Name
	r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: ready}}
	return r
}

func TestWhatANewRepositoryIsMadeLike(t *testing.T) {
	elsewhere := made(aPlace("a", "b"), metav1.ConditionTrue)
	elsewhere.Spec.Backend = v1alpha1.RepositoryBackend{SFTP: &v1alpha1.SFTPBackend{Host: "one"}}
	second := aPlace("b")
	second.Spec.Backend = v1alpha1.RepositoryBackend{SFTP: &v1alpha1.SFTPBackend{Host: "two"}}
	going := aPlace("a", "b")
	going.DeletionTimestamp = ptr.To(metav1.NewTime(noon))
	for name, c := range map[string]struct {
		of       string
		all      []v1alpha1.ResticRepository
		like     string
		waitsFor string
	}{
		"nothing is copied into it":           {of: "b", all: []v1alpha1.ResticRepository{made(aPlace("a", "c"), metav1.ConditionTrue), aPlace("b")}},
		"one that is ready":                   {of: "b", all: []v1alpha1.ResticRepository{made(aPlace("a", "b"), metav1.ConditionTrue), aPlace("b")}, like: "a"},
		"the one of two that is ready":        {of: "b", all: []v1alpha1.ResticRepository{aPlace("a", "b"), aPlace("b"), made(aPlace("c", "b"), metav1.ConditionTrue)}, like: "c"},
		"the first of two":                    {of: "b", all: []v1alpha1.ResticRepository{aPlace("b"), made(aPlace("c", "b"), metav1.ConditionTrue), made(aPlace("a", "b"), metav1.ConditionTrue)}, like: "a"},
		"one that isn't made yet":             {of: "b", all: []v1alpha1.ResticRepository{aPlace("a", "b"), aPlace("b")}, waitsFor: "a"},
		"one that isn't ready":                {of: "b", all: []v1alpha1.ResticRepository{made(aPlace("a", "b"), metav1.ConditionFalse), aPlace("b")}, waitsFor: "a"},
		"one that goes":                       {of: "b", all: []v1alpha1.ResticRepository{going, aPlace("b")}},
		"one that restic can't copy":          {of: "b", all: []v1alpha1.ResticRepository{elsewhere, second}},
		"the first of a ring":                 {of: "a", all: []v1alpha1.ResticRepository{aPlace("a", "b"), aPlace("b", "c"), aPlace("c", "a")}},
		"another of a ring":                   {of: "c", all: []v1alpha1.ResticRepository{aPlace("a", "b"), aPlace("b", "c"), aPlace("c", "a")}, waitsFor: "b"},
		"a ring that has one":                 {of: "a", all: []v1alpha1.ResticRepository{aPlace("a", "b"), made(aPlace("b", "c"), metav1.ConditionTrue), aPlace("c", "a")}, waitsFor: "c"},
		"the first of a ring with one before": {of: "b", all: []v1alpha1.ResticRepository{aPlace("a", "b"), aPlace("b", "c"), aPlace("c", "b")}, waitsFor: "a"},
		"what a ring is copied to":            {of: "a", all: []v1alpha1.ResticRepository{aPlace("a"), aPlace("b", "c"), aPlace("c", "b", "a")}, waitsFor: "c"},
	} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(c.all, func(r v1alpha1.ResticRepository) bool { return r.Name == c.of })
			like, waits := MadeLike(&c.all[i], c.all)
			if got := ptr.Deref(like, v1alpha1.ResticRepository{}).Name; got != c.like {
				t.Errorf("like %q, not %q", got, c.like)
			}
			if (waits == "") != (c.waitsFor == "") || !strings.Contains(waits, "repository "+c.waitsFor) && waits != "" {
				t.Errorf("it waits: %q", waits)
			}
		})
	}
}

func TestWhenExportsAreCopied(t *testing.T) {
	copied := v1alpha1.CopyStatus{ExportsHash: "old", RepositoryID: "second", LastAttemptTime: ptr.To(metav1.NewTime(noon))}
	for name, c := range map[string]struct {
		exports        string
		looked, other  time.Duration // before noon, when it was copied last
		change         func(*v1alpha1.CopyStatus)
		isDue          bool
		isDueAgainFrom time.Duration
	}{
		"nothing was exported":                      {exports: "", looked: -time.Hour},
		"all have a copy":                           {exports: "old", looked: -time.Hour},
		"a look has seen new ones":                  {exports: "new", looked: -time.Hour, isDue: true},
		"the look is older than the copies":         {exports: "new", looked: time.Minute, other: time.Minute},
		"the other was looked at since":             {exports: "new", looked: time.Minute, other: -time.Minute, isDue: true},
		"never before":                              {exports: "new", looked: time.Minute, change: func(c *v1alpha1.CopyStatus) { *c = v1alpha1.CopyStatus{} }, isDue: true},
		"the other is another repository":           {exports: "old", looked: -time.Hour, change: func(c *v1alpha1.CopyStatus) { c.RepositoryID = "before" }, isDue: true},
		"it failed a moment ago":                    {exports: "new", looked: -time.Hour, change: func(c *v1alpha1.CopyStatus) { c.Attempts = 1 }, isDue: true},
		"it failed a moment ago for the sixth time": {exports: "new", looked: -time.Hour, change: func(c *v1alpha1.CopyStatus) { c.Attempts = 6 }, isDueAgainFrom: 320 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			from, into, status := aPlace("first", "second"), aPlace("second"), copied
			from.Status.Contents = &v1alpha1.RepositoryContents{ExportsHash: c.exports}
			from.Status.LastLookTime, into.Status.LastLookTime = ptr.To(metav1.NewTime(noon.Add(-c.looked))), ptr.To(metav1.NewTime(noon.Add(-c.other)))
			into.Status.RepositoryID = "second"
			if c.change != nil {
				c.change(&status)
			}
			isDue, at := CopyDue(&from, &into, &status, noon.Add(time.Minute))
			if isDue != c.isDue || c.isDueAgainFrom > 0 && !at.Equal(noon.Add(c.isDueAgainFrom)) {
				t.Errorf("%t, %s", isDue, at)
			}
		})
	}
}

func TestWhatACopyCameTo(t *testing.T) {
	from, into := aPlace("first", "second", "third"), made(aPlace("second"), metav1.ConditionTrue)
	from.UID, into.UID = "1", "2"
	from.Status.Contents = &v1alpha1.RepositoryContents{ExportsHash: "new"}
	from.Status.Copies = []v1alpha1.CopyStatus{{Name: "gone"}, {Name: "third", Reason: v1alpha1.ReasonCopied}}
	copies := CopiesOf(&from)
	if len(copies) != 2 || copies[0].Name != "second" || copies[1].Reason != v1alpha1.ReasonCopied {
		t.Fatalf("%+v", copies)
	}
	second, names := &copies[0], map[string]bool{}
	for _, result := range []Result{
		{Cause: CauseUnreachable, Message: "connection refused"}, {Cause: CauseLocked, Message: "locked"}, {Cause: CauseNoSpace, Message: "full"},
	} {
		job := CopySnapshotsJob(&from, &into, second)
		if task := job.Task.CopySnapshots; task.Unlock != second.IsLocked {
			t.Errorf("%+v: %s", second, job.Task)
		}
		names[job.Name] = true
		RecordCopy(second, &into, result, noon.Add(time.Duration(len(names))*time.Minute))
		if is, reason, message := Copied(copies); is || reason != v1alpha1.ReasonCopyFailed || message != "to second: "+string(result.Cause)+": "+result.Message || second.Attempts > 0 != result.Cause.Again() {
			t.Errorf("%t %s %q, %+v", is, reason, message, second)
		}
	}
	if len(names) != 3 {
		t.Errorf("attempts share a Job: %v", names)
	}
	RecordCopy(second, &into, Result{Done: true, Copy: &CopiedSnapshots{Copied: 2, Snapshots: 7, ExportsHash: "new"}}, noon)
	if is, _, message := Copied(copies); !is || !strings.Contains(message, "second, third") || second.Snapshots != 7 || !second.CopiedAt.Time.Equal(noon) || !IsCopied(&from, &into, second) {
		t.Errorf("%t %q, %+v", is, message, second)
	}
}

func TestOwnExportsAloneAreCopied(t *testing.T) {
	ours := []string{"lull", "claim=data", "backup=1"}
	first := []ResticSnapshot{
		{ID: "late", Tags: ours, Time: noon}, {ID: "early", Tags: ours, Time: noon.Add(-time.Hour)}, {ID: "copied", Tags: ours},
		{ID: "of another repository", Tags: ours, Original: "x"}, {ID: "of another tool"}, {ID: "half of ours", Tags: []string{"lull"}},
	}
	own := OwnExports(first)
	if want := []string{"copied", "early", "late"}; !slices.Equal(own, want) {
		t.Fatalf("%q", own)
	}
	second := []ResticSnapshot{{ID: "y", Original: "copied", Tags: ours}, {ID: "z", Tags: ours}, {ID: "early"}}
	if ids := Uncopied(own, second); !slices.Equal(ids, []string{"late"}) {
		t.Errorf("%q", ids)
	}
	if back := Uncopied(OwnExports(second), first); !slices.Equal(back, []string{"z"}) {
		t.Errorf("a ring goes on: %q", back)
	}
	hash := ExportsHash(own)
	slices.Reverse(own)
	if ExportsHash(own) != hash || ExportsHash(own[1:]) == hash || ExportsHash(nil) != "" || len(hash) != 16 {
		t.Errorf("%q", hash)
	}
}
