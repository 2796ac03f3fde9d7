package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	resticexport "github.com/lull-dev/lull/restic-export"
)

func TestLinesAreHandedOnHoweverTheyCome(t *testing.T) {
	text := "one\n\n  two \r\n" + strings.Repeat("x", 3*longestLine) + "\nlast"
	for _, size := range []int{1, 7, len(text)} {
		var got []string
		l := &lines{each: func(line []byte) { got = append(got, string(line)) }}
		for chunk := range slices.Chunk([]byte(text), size) {
			if n, err := l.Write(chunk); n != len(chunk) || err != nil {
				t.Fatal(n, err)
			}
		}
		l.flush()
		if want := []string{"one", "two", strings.Repeat("x", longestLine), "last"}; !slices.Equal(got, want) {
			t.Errorf("by %d: %.40q", size, got)
		}
	}
}

func TestWordsKeepWhatMattersWithinABound(t *testing.T) {
	var w words
	for range 1000 {
		w.hear([]byte(`{"message_type":"error","error":{"message":"open: permission denied"},"during":"archival","item":"/data/a"}`))
		w.hear([]byte(`{"message_type":"error","error":{"message":"lstat"},"during":"scan","item":"/data/a"}`))
		w.hear([]byte("Stat(<config/>) returned error, retrying after 1s: " + strings.Repeat("no such host ", 1000)))
	}
	w.hear([]byte(`{"message_type":"exit_error","code":3,"message":"Warning: at least one source file could not be read"}`))
	all := w.all()
	if len(all) > 4096 || !strings.Contains(all, "/data/a: open: permission denied\n") || !strings.Contains(all, "and 995 more errors\nWarning: at least one") || !strings.Contains(all, "no such host") {
		t.Errorf("%d bytes: %s", len(all), all)
	}
}

func TestAListIsReadFromAStream(t *testing.T) {
	read := func(text string) (ids []string, err error) {
		err = eachOf(func(s resticexport.ResticSnapshot) { ids = append(ids, s.ID) })(json.NewDecoder(strings.NewReader(text)))
		return ids, err
	}
	if ids, err := read(`[{"id":"a"},{"id":"b","of tomorrow":[1]}]`); err != nil || !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("%q %v", ids, err)
	}
	for _, text := range []string{"[]", "null"} {
		if ids, err := read(text); err != nil || len(ids) != 0 {
			t.Errorf("%s: %q %v", text, ids, err)
		}
	}
	for _, text := range []string{"", "{}", `[{"id":"a"},`, `[{"id":5}]`, "text"} {
		if ids, err := read(text); err == nil {
			t.Errorf("%s: %q", text, ids)
		}
	}
}

func TestAVolumeIsEmptyWhereItHasNoFile(t *testing.T) {
	m := &mover{data: t.TempDir()}
	task := &resticexport.Backup{Claim: "data"}
	empty := []resticexport.ResticSnapshot{{Tags: resticexport.Tags{Claim: "data", BackupUID: "1", IsEmpty: true}.Strings()}}
	full := []resticexport.ResticSnapshot{{Tags: resticexport.Tags{Claim: "data", BackupUID: "1"}.Strings()}}
	lost := filepath.Join(m.data, "lost+found")
	if err := os.Mkdir(lost, 0o700); err != nil {
		t.Fatal(err)
	}
	source := func(before []resticexport.ResticSnapshot) (resticexport.BackupSource, error) {
		from, err := m.source(t.Context(), task)
		return from, errors.Join(err, mayBeTaken(task, from, before))
	}
	var f *failure
	if _, err := source(full); !errors.As(err, &f) || f.cause != resticexport.CauseEmpty {
		t.Errorf("%v", err)
	}
	if from, err := source(empty); err != nil || !from.IsEmpty || !slices.Equal(from.Excludes, []string{lost}) {
		t.Errorf("%+v %v", from, err)
	}
	if err := os.WriteFile(filepath.Join(lost, "#12"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if from, err := source(full); err != nil || from.IsEmpty || len(from.Excludes) != 0 {
		t.Errorf("what was found is left out: %+v %v", from, err)
	}
	m.data = filepath.Join(m.data, "none")
	if _, err := m.source(t.Context(), task); !errors.As(err, &f) || f.cause != resticexport.CauseSourceUnreadable {
		t.Errorf("%v", err)
	}
}

// The first attempt of a backup that was tried twice may be a part.
func TestOfTwoSnapshotsOfAMomentTheLaterMadeCounts(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	tags := resticexport.Tags{Claim: "data", BackupUID: "1"}.Strings()
	all := []resticexport.ResticSnapshot{{ID: "first", Time: at, Tags: tags}, {ID: "second", Time: at, Tags: tags}}
	found := newestOfOne(all, &resticexport.Find{Claims: []string{"data"}})
	if len(found) != 1 || found[0].ID != "second" || parentOf(all) != "second" || parentOf(nil) != "" {
		t.Errorf("%+v", found)
	}
}

func TestAResultIsLeftWhateverIsAsked(t *testing.T) {
	for _, args := range [][]string{nil, {"a", "b"}, {"--unknown"}, {"--", "{}"}, {"--", "text"}, {"--restic=/none", "--", `{"open":{}}`}, {"--data=/dev/null/none", "--", `{"open":{}}`}} {
		log := filepath.Join(t.TempDir(), "log")
		if code := move(t.Context(), append([]string{"--termination-log=" + log}, args...)); code != 1 {
			t.Errorf("%q: %d", args, code)
		}
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := resticexport.ReadResult(string(text)); err != nil || r.Done || r.Message == "" {
			t.Errorf("%q: %+v %v", args, r, err)
		}
	}
}

func TestResticIsGivenKnownVariablesAlone(t *testing.T) {
	t.Setenv("RESTIC_PASSWORD_COMMAND", "id")
	t.Setenv("LD_PRELOAD", "x")
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("RESTIC_REPOSITORY", "local:/r")
	env := environment()
	for _, variable := range []string{"AWS_ACCESS_KEY_ID=key", "RESTIC_REPOSITORY=local:/r", "TZ=UTC"} {
		if !slices.Contains(env, variable) {
			t.Errorf("%s is missing in %q", variable, env)
		}
	}
	if text := strings.Join(env, " "); strings.Contains(text, "COMMAND") || strings.Contains(text, "PRELOAD") {
		t.Errorf("%q", env)
	}
}

func TestRulesThatKeepNothingAreRefused(t *testing.T) {
	task := &resticexport.History{}
	if _, _, err := rulesOf(task); err == nil {
		t.Error("no rule")
	}
	task.Rules.KeepWithin = "0h"
	if _, _, err := rulesOf(task); err == nil {
		t.Error("0h")
	}
	task.Rules.KeepWithin, task.Rules.KeepLast = "", -2
	if _, _, err := rulesOf(task); err == nil {
		t.Error("-2")
	}
	task.Rules.KeepWithin, task.Rules.KeepLast = "soon", 0
	if _, _, err := rulesOf(task); err == nil {
		t.Error("soon")
	}
	task.Rules.KeepWithin, task.TimeZone = "1y", "Nowhere/Else"
	if _, _, err := rulesOf(task); err == nil {
		t.Error("a zone that isn't")
	}
	task.TimeZone, task.Rules.KeepDaily = "Europe/Zurich", 7
	if rules, zone, err := rulesOf(task); err != nil || rules.Daily != 7 || rules.Within.Years != 1 || zone.String() != "Europe/Zurich" {
		t.Errorf("%+v %v %v", rules, zone, err)
	}
}

func TestASFTPServerThatEndsFirstIsAnError(t *testing.T) {
	in, restic := io.Pipe()
	defer func() { _ = restic.Close() }()
	var out bytes.Buffer
	if err := connect(in, nothing{}, strings.NewReader("answer"), &out); err == nil || out.String() != "answer" {
		t.Errorf("%v %q", err, &out)
	}
}

type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }
func (nothing) Close() error                { return nil }
