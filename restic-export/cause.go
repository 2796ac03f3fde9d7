package resticexport

import (
	"strings"
)

// Cause says why a task wasn't done.
type Cause string

// The causes.
const (
	// CauseNoRepository: there is none at that place.
	CauseNoRepository Cause = "NoRepository"
	// CauseLocked: another has locked it for longer than was waited.
	CauseLocked Cause = "Locked"
	// CauseWrongPassword: no key of the repository opens by the password.
	CauseWrongPassword Cause = "WrongPassword"
	// CauseUnreachable: the network, or the server, doesn't answer.
	CauseUnreachable Cause = "Unreachable"
	// CauseUntrusted: the server's certificate or host key isn't known.
	CauseUntrusted Cause = "Untrusted"
	// CauseNoBucket: the bucket or the container doesn't exist.
	CauseNoBucket Cause = "NoBucket"
	// CauseAccessDenied: the server refuses the keys, or what they may.
	CauseAccessDenied Cause = "AccessDenied"
	// CauseWrongRegion: the server refuses the region.
	CauseWrongRegion Cause = "WrongRegion"
	// CauseNoSpace: the place of the repository, or the volume that is written to, is
	// full.
	CauseNoSpace Cause = "NoSpace"
	// CauseDamaged: the repository's content is damaged.
	CauseDamaged Cause = "Damaged"
	// CauseVanished: snapshots are gone that were there at the last look.
	CauseVanished Cause = "SnapshotsVanished"
	// CauseSourceUnreadable: some of the volume can't be read.
	CauseSourceUnreadable Cause = "SourceUnreadable"
	// CauseEmpty: the volume has no file.
	CauseEmpty Cause = "Empty"
	// CauseNotFound: there is no such snapshot, or it has no such path.
	CauseNotFound Cause = "NotFound"
	// CauseNotVerified: restic says that it is done, but the repository doesn't list
	// the snapshot.
	CauseNotVerified Cause = "NotVerified"
	// CauseInterrupted: the pod was ended.
	CauseInterrupted Cause = "Interrupted"
	// CauseNotStarted: its pod didn't start, and has given its place to others.
	CauseNotStarted Cause = "NotStarted"
	// CauseOutOfMemory: it took more memory than it may.
	CauseOutOfMemory Cause = "OutOfMemory"
	// CauseInvalid: the task can't be read, or asks for what can't be.
	CauseInvalid Cause = "Invalid"
	// CauseFailed: anything else.
	CauseFailed Cause = "Failed"
)

// Again is true for what another try may mend by itself.
func (c Cause) Again() bool {
	switch c {
	case CauseLocked, CauseUnreachable, CauseInterrupted, CauseNotStarted:
		return true
	}
	return false
}

// IsOfRepository is true for what the next mover would most likely meet too.
func (c Cause) IsOfRepository() bool {
	switch c {
	case CauseNoRepository, CauseWrongPassword, CauseUnreachable, CauseUntrusted, CauseNoBucket, CauseAccessDenied, CauseWrongRegion:
		return true
	}
	return false
}

// CauseOf is the cause behind an exit code of restic, and behind its words where
// the code leaves it open.
func CauseOf(exitCode int, words string) Cause {
	switch exitCode {
	case exitDone:
		return ""
	case exitIncomplete:
		return CauseSourceUnreadable
	case exitNoRepository:
		// restic calls a bucket of Google's that isn't there so too.
		if causeIn(words) == CauseNoBucket {
			return CauseNoBucket
		}
		return CauseNoRepository
	case exitLocked:
		return CauseLocked
	case exitWrongPassword:
		return CauseWrongPassword
	case exitInterrupted:
		return CauseInterrupted
	}
	return causeIn(words)
}

// IsVerdict is true of a code that says by itself how the repository is.
func IsVerdict(exitCode int) bool {
	switch exitCode {
	case exitNoRepository, exitLocked, exitWrongPassword:
		return true
	}
	return false
}

// told is the cause that words tell, with what they may be told by: those of
// restic, of Go, of the libraries and of the servers. The first that fits counts,
// so what is told with an error of the network, as a certificate, comes before it.
var told = []struct {
	cause Cause
	words []string
}{
	{CauseOutOfMemory, []string{"out of memory", "cannot allocate memory", "signal: killed"}},
	{CauseUntrusted, []string{"x509:", "failed to verify certificate", "host key", "has no known_hosts", "HTTP response to HTTPS client"}},
	{CauseNoBucket, []string{
		"NoSuchBucket", "specified bucket does not exist", "ContainerNotFound", "specified container does not exist",
		"bucket doesn't exist", "bucket not found", "Container Not Found", "Bucket name cannot be", "Bucket name contains invalid",
	}},
	{CauseNoSpace, []string{"no space left on device", "507 Insufficient Storage", "disk quota exceeded", "QuotaExceeded"}},
	{CauseAccessDenied, []string{
		"AccessDenied", "Access Denied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthenticationFailed", "AuthorizationFailure",
		"401 Unauthorized", "403 Forbidden", "(401)", "(403)", "unable to authenticate", "has no ssh-privatekey", "no credentials found", "invalid_grant",
		"unable to open config file: Lstat: permission denied", "Access Key Id you provided does not exist",
		"No user exists with the provided access key", "request signature we calculated does not match", "The difference between the request time",
		"provided token has expired", "provided token is malformed",
		// Azure's, Google's, Swift's and B2's.
		"RESPONSE 401", "RESPONSE 403", "googleapi: Error 401", "googleapi: Error 403", "Authorization Failed", "Operation forbidden", ": 401: ", ": 403: ",
		// What the Secret lacks, or has wrong, by restic and by the libraries.
		"_ACCOUNT_NAME) is empty", "_ACCOUNT_ID) is empty", "_ACCOUNT_KEY) is empty", "NewSharedKeyCredential:", "Can't find AuthVersion in AuthUrl",
		"could not find default credentials", "error getting credentials using",
		// S3's answers to a HEAD.
		"Stat: 400 Bad Request", "Stat: 301 Moved Permanently",
	}},
	{CauseDamaged, []string{
		"ciphertext verification failed", "hash does not match", "invalid data returned", "repository contains errors",
		"config file has zero size", "does not match expected hash", "index is damaged",
	}},
	{CauseUnreachable, []string{
		"connection refused", "connection reset", "no such host", "i/o timeout", "network is unreachable", "no route to host",
		"name resolution", "server misbehaving", "TLS handshake timeout", "context deadline exceeded", "Client.Timeout",
		"broken pipe", "unexpected EOF", "ssh command exited", "unable to start the sftp session",
		"500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout", "(500)", "(502)", "(503)", "(504)",
		"RESPONSE 500", "RESPONSE 502", "RESPONSE 503", "RESPONSE 504", "googleapi: Error 500", "googleapi: Error 502", "googleapi: Error 503", "googleapi: Error 504",
		"SlowDown", "circuit breaker open",
	}},
	{CauseNotFound, []string{"no matching ID found", "no snapshot found", "not found in snapshot"}},
}

func causeIn(words string) Cause {
	for _, t := range told {
		for _, w := range t.words {
			if strings.Contains(words, w) {
				return t.cause
			}
		}
	}
	return CauseFailed
}
