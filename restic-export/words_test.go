package resticexport

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Lines of restic 0.19.1.
func TestEveryKindOfMessageIsRead(t *testing.T) {
	failure := Message{Kind: KindError, During: "archival", Item: "/data/b"}
	failure.Error.Message = "open /data/b: permission denied"
	for line, want := range map[string]Message{
		`{"message_type":"status","seconds_elapsed":1,"seconds_remaining":2,"percent_done":0.5,"total_files":3,"files_done":1,"total_bytes":10,"bytes_done":5,"current_files":["/data/a"]}`: {
			Kind: KindStatus, PercentDone: .5, SecondsRemaining: 2, TotalFiles: 3, FilesDone: 1, TotalBytes: 10, BytesDone: 5,
		},
		`{"message_type":"status","seconds_elapsed":1,"percent_done":0.5,"total_files":3,"files_restored":1,"files_skipped":1,"total_bytes":10,"bytes_restored":5,"bytes_skipped":2}`: {
			Kind: KindStatus, PercentDone: .5, TotalFiles: 3, FilesRestored: 1, FilesSkipped: 1, TotalBytes: 10, BytesRestored: 5, BytesSkipped: 2,
		},
		`{"message_type":"summary","files_new":1,"files_changed":2,"files_unmodified":3,"dirs_new":0,"dirs_changed":0,"dirs_unmodified":0,"data_blobs":1,"tree_blobs":1,"data_added":354,"data_added_packed":376,"total_files_processed":6,"total_bytes_processed":7,"total_duration":1.042882227,"backup_start":"2026-11-26T20:47:56.274688125Z","backup_end":"2026-11-26T20:47:57.317570362Z","snapshot_id":"9249"}`: {
			Kind: KindSummary, FilesNew: 1, FilesChanged: 2, FilesUnmodified: 3, DataAddedPacked: 376, TotalFilesProcessed: 6, TotalBytesProcessed: 7, SnapshotID: "9249",
		},
		`{"message_type":"summary","seconds_elapsed":1,"total_files":4,"files_restored":3,"files_skipped":1,"files_deleted":2,"total_bytes":9,"bytes_restored":8}`: {
			Kind: KindSummary, TotalFiles: 4, FilesRestored: 3, FilesSkipped: 1, FilesDeleted: 2, TotalBytes: 9, BytesRestored: 8,
		},
		`{"message_type":"summary","num_errors":2,"broken_packs":["ab"],"suggest_repair_index":true,"suggest_prune":true}`: {
			Kind: KindSummary, NumErrors: 2, BrokenPacks: []string{"ab"}, SuggestRepairIndex: true, SuggestPrune: true,
		},
		`{"message_type":"error","error":{"message":"open /data/b: permission denied"},"during":"archival","item":"/data/b"}`: failure,
		`{"message_type":"error","message":"pack ab: not found"}`:                                                             {Kind: KindError, Text: "pack ab: not found"},
		`{"message_type":"exit_error","code":10,"message":"Fatal: repository does not exist"}`:                                {Kind: KindExitError, Code: 10, Text: "Fatal: repository does not exist"},
		`{"message_type":"initialized","id":"1f42","repository":"/r"}`:                                                        {Kind: KindInitialized, ID: "1f42"},
		`{"name":"a","type":"file","path":"/a","uid":0,"size":3,"mode":420,"message_type":"node","struct_type":"node"}`:       {Kind: KindNode, Path: "/a", Type: "file"},
	} {
		if got, isKnown := ReadMessage([]byte(line)); !isKnown || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nis %+v\nnot %+v", line, got, want)
		}
	}
}

func TestOtherLinesAreSkipped(t *testing.T) {
	for _, line := range []string{
		`{"message_type":"verbose_status","action":"new"}`, `{"message_type":"of tomorrow","id":5}`, `{"name":"a"}`, `{"message_type":"summary","snapshot_id":5}`,
		`{"message_type":"sta`, "", "null", "[]", `"summary"`, "signal interrupt received, cleaning up", "\xff",
	} {
		if m, isKnown := ReadMessage([]byte(line)); isKnown {
			t.Errorf("%q is %+v", line, m)
		}
	}
}

func TestEveryDocumentIsRead(t *testing.T) {
	at := time.Date(2026, 11, 26, 20, 47, 56, 0, time.UTC)
	snapshot := ResticSnapshot{ID: "9249", Time: at, Hostname: "h", Paths: []string{"/d"}, Tags: []string{"lull"}}
	snapshot.Summary.BackupEnd, snapshot.Summary.TotalBytesProcessed = at.Add(time.Second), 3
	for text, want := range map[string]any{
		`{"time":"2026-11-26T20:47:56Z","tree":"b8","paths":["/d"],"hostname":"h","tags":["lull"],"summary":{"backup_end":"2026-11-26T20:47:57Z","total_bytes_processed":3},"id":"9249","short_id":"92"}`: snapshot,
		`{"version":2,"id":"1f42","chunker_polynomial":"3"}`:                                      ResticConfig{ID: "1f42"},
		`{"total_size":294,"total_blob_count":2,"snapshots_count":1}`:                             ResticStats{TotalSize: 294},
		`{"current":true,"id":"9beb","userName":"root","hostName":"vm"}`:                          ResticKey{ID: "9beb", Current: true},
		`{"time":"2026-11-26T20:47:56Z","exclusive":true,"hostname":"pod","username":"","pid":7}`: ResticLock{Time: at, Exclusive: true, Hostname: "pod"},
	} {
		got := reflect.New(reflect.TypeOf(want))
		if err := json.Unmarshal([]byte(text), got.Interface()); err != nil || !reflect.DeepEqual(got.Elem().Interface(), want) {
			t.Errorf("%s\nis %+v\nnot %+v (%v)", text, got.Elem(), want, err)
		}
	}
}

// https://restic.readthedocs.io/en/stable/075_scripting.html#exit-codes
func TestEveryExitCodeHasACause(t *testing.T) {
	for code, want := range map[int]Cause{
		0: "", 1: CauseFailed, 2: CauseFailed, 3: CauseSourceUnreadable, 10: CauseNoRepository, 11: CauseLocked, 12: CauseWrongPassword,
		130: CauseInterrupted, 77: CauseFailed, -1: CauseFailed,
	} {
		if got := CauseOf(code, ""); got != want {
			t.Errorf("%d is %q, not %q", code, got, want)
		}
		if is := IsVerdict(code); is != (code >= 10 && code <= 12) {
			t.Errorf("%d: %t", code, is)
		}
	}
}

func TestTheCauseIsReadFromWords(t *testing.T) {
	for words, want := range map[string]Cause{
		`Head "https://h/config": tls: failed to verify certificate: x509: certificate signed by unknown authority`:             CauseUntrusted,
		"subprocess /mover: ssh: handshake failed: the host key of h:22 isn't in known_hosts\nunable to start the sftp session": CauseUntrusted,
		"Stat: The specified bucket does not exist":                         CauseNoBucket,
		"client.GetObject: Bucket name cannot be shorter than 3 characters": CauseNoBucket,
		"client.GetObject: Bucket name contains invalid characters":         CauseNoBucket,
		"RESPONSE 404: ERROR CODE: ContainerNotFound":                       CauseNoBucket,
		"unexpected HTTP response (401): 401 Unauthorized":                  CauseAccessDenied,
		"Stat: Access Denied.":                                              CauseAccessDenied,
		"The Access Key Id you provided does not exist in our records.":     CauseAccessDenied,
		"Stat: The request signature we calculated does not match the signature you provided. Check your key and signing method.":        CauseAccessDenied,
		"Stat: No user exists with the provided access key ID.":                                                                          CauseAccessDenied,
		"Stat: The difference between the request time and the server's time is too large.":                                              CauseAccessDenied,
		"Stat: The provided token has expired.":                                                                                          CauseAccessDenied,
		"blob.GetProperties: HEAD https://shop.blob.core.windows.net/c/config\nRESPONSE 403: 403 Forbidden by a rule\nERROR CODE: Other": CauseAccessDenied,
		"Account name ($AZURE_ACCOUNT_NAME) is empty":                                                                                    CauseAccessDenied,
		"NewSharedKeyCredential: decode account key: illegal base64 data at input byte 2":                                                CauseAccessDenied,
		"googleapi: Error 403: lull@shop.iam.gserviceaccount.com does not have storage.objects.get access to it., forbidden":             CauseAccessDenied,
		"google: could not find default credentials.":                                                                                    CauseAccessDenied,
		"conn.Authenticate: Authorization Failed":                                                                                        CauseAccessDenied,
		"conn.Container: Operation forbidden":                                                                                            CauseAccessDenied,
		"b2.NewClient: b2_authorize_account: 401: ":                                                                                      CauseAccessDenied,
		"Account ID ($B2_ACCOUNT_ID) is empty":                                                                                           CauseAccessDenied,
		"Can't find AuthVersion in AuthUrl - set explicitly":                                                                             CauseAccessDenied,
		"RESPONSE 503: 503 The server is busy.\nERROR CODE: ServerBusy":                                                                  CauseUnreachable,
		"googleapi: Error 503: Backend Error, backendError":                                                                              CauseUnreachable,
		"Stat: 400 Bad Request": CauseAccessDenied,
		"ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey]": CauseAccessDenied,
		"dial tcp 10.0.0.1:443: connect: connection refused":                                     CauseUnreachable,
		"dial tcp: lookup nas on 10.96.0.10:53: no such host":                                    CauseUnreachable,
		"unexpected HTTP response (503): 503 Service Unavailable":                                CauseUnreachable,
		"write /lull/repository/data/ab: no space left on device":                                CauseNoSpace,
		"Fatal: repository contains errors":                                                      CauseDamaged,
		"fatal error: runtime: out of memory":                                                    CauseOutOfMemory,
		"signal: killed":                                                                         CauseOutOfMemory,
		"failed to find snapshot: no matching ID found for prefix \"00\"":                        CauseNotFound,
		"something else": CauseFailed,
	} {
		if got := CauseOf(1, words); got != want {
			t.Errorf("%s: %s, not %s", words, got, want)
		}
	}
}

// Google tells what isn't there: restic's exit code is the same for both.
func TestNoBucketOfGooglesIsNoMissingRepository(t *testing.T) {
	const exit = "Fatal: repository does not exist: unable to open config file: storage: object doesn't exist: googleapi: Error 404: "
	for words, want := range map[string]Cause{
		exit + "The specified bucket does not exist., notFound":     CauseNoBucket,
		exit + "No such object: backups/prod/shop/config, notFound": CauseNoRepository,
	} {
		if got := CauseOf(exitNoRepository, words); got != want {
			t.Errorf("%s: %s, not %s", words, got, want)
		}
	}
}

func TestOnlyWhatMayPassIsTriedAgain(t *testing.T) {
	for cause, want := range map[Cause]bool{
		CauseLocked: true, CauseUnreachable: true, CauseInterrupted: true,
		CauseNoRepository: false, CauseWrongPassword: false, CauseUntrusted: false, CauseNoBucket: false, CauseAccessDenied: false, CauseWrongRegion: false, CauseNoSpace: false,
		CauseDamaged: false, CauseSourceUnreadable: false, CauseEmpty: false, CauseNotFound: false, CauseNotVerified: false, CauseOutOfMemory: false,
		CauseInvalid: false, CauseFailed: false, "": false,
	} {
		if cause.Again() != want {
			t.Errorf("%s: %t", cause, !want)
		}
	}
}

func TestTagsComeBack(t *testing.T) {
	for _, tags := range []Tags{
		{Claim: "data", BackupUID: "8d0c"},
		{Claim: "data", BackupUID: "8d0c", Policy: "nightly", IsEmpty: true, Root: "2750:999:999"},
	} {
		written := tags.Strings()
		if got, isOurs := ReadTags(append([]string{"theirs"}, written...)); !isOurs || got != tags {
			t.Errorf("%+v: %+v of %q", tags, got, written)
		}
		if strings.Contains(strings.Join(written, ""), ",") {
			t.Errorf("%q", written)
		}
	}
	for _, others := range [][]string{nil, {"claim=data", "backup=8d0c"}, {"lull"}, {"lull", "claim=data"}, {"lull", "backup=8d0c"}} {
		if tags, isOurs := ReadTags(others); isOurs {
			t.Errorf("%q: %+v", others, tags)
		}
	}
}
