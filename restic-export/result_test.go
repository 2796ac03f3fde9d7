package resticexport

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
)

func TestAResultComesBack(t *testing.T) {
	for _, r := range []Result{
		{Done: true},
		{Cause: CauseLocked, Message: "repository is already locked <by> \"x\"", ExitCode: 11},
		{Done: true, Seconds: 1.5, Backup: &ExportedSnapshot{SnapshotID: anID, FilesNew: 1, BytesUploaded: 1 << 40}},
		{Done: true, Snapshots: []FoundSnapshot{{SnapshotID: anID, Time: noon, Tags: Tags{Claim: "data", BackupUID: "8d0c"}, Bytes: 5}}},
		{Done: true, Repository: &OpenedRepository{ID: anID, Snapshots: 7, Newest: &noon, Hosts: []string{"h"}, HostCount: 1}},
		{Cause: CauseDamaged, Check: &CheckedRepository{Errors: 3, BrokenPacks: []string{anID}, BrokenPackCount: 1}},
	} {
		got, err := ReadResult(string(r.Encode()))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v: %+v %v", r, got, err)
		}
	}
}

// A kubelet cuts a termination message, and a cut one is no JSON.
func TestAResultAlwaysFits(t *testing.T) {
	long, quotes, broken := strings.Repeat("ü🦉", 5000), strings.Repeat("\x01\"", 5000), strings.Repeat("\xff\xfe", 5000)
	for _, text := range []string{`{"done":false,"cause":"two words\n"}`, "", long, quotes, broken} {
		r := Result{
			Cause: CauseFailed, Message: text, Leftover: anID,
			Repository: &OpenedRepository{ID: anID, HostCount: 500, PathCount: 500},
			Check:      &CheckedRepository{BrokenPackCount: 500},
		}
		for i := range 500 {
			name := fmt.Sprint(i, Truncate(text, 300))
			r.Repository.Hosts, r.Repository.Paths = append(r.Repository.Hosts, name), append(r.Repository.Paths, name)
			r.Check.BrokenPacks = append(r.Check.BrokenPacks, anID)
			r.Locks = append(r.Locks, Lock{Host: name})
		}
		encoded := r.Encode()
		got, err := ReadResult(string(encoded))
		if len(encoded) > MaxResult || err != nil || !utf8.Valid(encoded) {
			t.Fatalf("%d bytes, %v", len(encoded), err)
		}
		if len(got.Message) > MaxMessage || got.Leftover != anID || got.Repository.ID != anID || got.Repository.HostCount != 500 || got.Check.BrokenPackCount != 500 || got.Cause != CauseFailed {
			t.Errorf("%+v", got)
		}
		if text != "" && got.Message == "" {
			t.Error("nothing is left of the message")
		}
		if len(r.Repository.Hosts) != 500 || len(r.Locks) != 500 {
			t.Error("the result itself is changed")
		}
	}
}

func TestAllThatIsFoundFits(t *testing.T) {
	for _, name := range []string{"data", strings.Repeat("long", 60)} {
		r := Result{Done: true}
		for range MaxClaims {
			r.Snapshots = append(r.Snapshots, FoundSnapshot{SnapshotID: anID, Time: noon, Bytes: 1 << 50, Tags: Tags{
				Claim: name, BackupUID: "01234567-89ab-cdef-0123-456789abcdef", Policy: name,
			}})
		}
		got, err := ReadResult(string(r.Encode()))
		if err != nil || len(got.Snapshots) != MaxClaims {
			t.Fatalf("%d of %d: %v", len(got.Snapshots), MaxClaims, err)
		}
		for _, s := range got.Snapshots {
			if s.SnapshotID != anID || s.BackupUID == "" || s.Bytes == 0 {
				t.Errorf("%+v", s)
			}
		}
	}
	r := Result{Done: true, Snapshots: []FoundSnapshot{{SnapshotID: anID, Host: strings.Repeat("h", 10000), Paths: []string{strings.Repeat("/p", 5000)}}}}
	if got, err := ReadResult(string(r.Encode())); err != nil || len(got.Snapshots) != 1 || got.Snapshots[0].SnapshotID != anID {
		t.Errorf("%+v %v", got, err)
	}
}

func TestTextsAreCutBetweenCharacters(t *testing.T) {
	for most, want := range []string{"", "a", "a", "aü", "aü", "aü", "aü", "aü🦉", "aü🦉"} {
		if got := Truncate("aü🦉", most); got != want {
			t.Errorf("%d: %q, not %q", most, got, want)
		}
	}
	if got := Truncate("a\xffb", 10); got != "a?b" {
		t.Errorf("%q", got)
	}
}

func TestWhatIsNoResultIsAnError(t *testing.T) {
	for _, text := range []string{"", "{", "killed", "{}", `{"done":true,"cause":"Failed"}`, "[]", "null"} {
		if r, err := ReadResult(text); err == nil {
			t.Errorf("%q is %+v", text, r)
		}
	}
}

func TestTheResultOfAPod(t *testing.T) {
	ended := func(s corev1.ContainerStateTerminated) corev1.PodStatus {
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{Name: "proxy", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: `{"done":true}`}}},
			{Name: "mover", State: corev1.ContainerState{Terminated: &s}},
		}}
	}
	evicted := ended(corev1.ContainerStateTerminated{ExitCode: 1})
	evicted.Reason, evicted.Message = "Evicted", "the node was low on resource: ephemeral-storage"
	for name, c := range map[string]struct {
		status corev1.PodStatus
		ended  bool
		cause  Cause
		says   string
	}{
		"runs":          {status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "mover"}}}},
		"waits":         {status: corev1.PodStatus{Phase: corev1.PodPending}},
		"done":          {ended(corev1.ContainerStateTerminated{Message: `{"done":true}`}), true, "", ""},
		"not done":      {ended(corev1.ContainerStateTerminated{ExitCode: 1, Message: `{"done":false,"cause":"Locked","message":"m"}`}), true, CauseLocked, "m"},
		"out of memory": {ended(corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}), true, CauseOutOfMemory, "raise spec.mover.resources.limits.memory"},
		"killed":        {ended(corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error"}), true, CauseInterrupted, "killed"},
		"evicted":       {evicted, true, CauseInterrupted, "low on resource"},
		"never started": {ended(corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: "no such file /mover"}), true, CauseFailed, "no such file"},
		"without words": {ended(corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error"}), true, CauseFailed, "code 2"},
		"never ran":     {corev1.PodStatus{Phase: corev1.PodFailed, Reason: "NodeLost"}, true, CauseInterrupted, "NodeLost"},
	} {
		r, ended := PodResult(&corev1.Pod{Status: c.status})
		if ended != c.ended || r.Cause != c.cause || !strings.Contains(r.Message, c.says) || r.Done != (c.ended && c.cause == "") {
			t.Errorf("%s: %t %+v", name, ended, r)
		}
	}
}

func TestProgressComesBack(t *testing.T) {
	p := ProgressOf(Message{Kind: KindStatus, PercentDone: .25, FilesDone: 1, BytesDone: 2, TotalFiles: 3, TotalBytes: 8, SecondsRemaining: 6})
	if got, is := ReadProgress(p.Line()); !is || got != p || got.Percent != 25 || got.Bytes != 2 || got.AllBytes != 8 {
		t.Errorf("%s: %+v", p.Line(), got)
	}
	for _, line := range []string{"", `{"done":true}`, "text", `{"progress":null}`} {
		if _, is := ReadProgress(line); is {
			t.Errorf("%q is progress", line)
		}
	}
}
