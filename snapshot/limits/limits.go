package limits

import (
	"encoding/json"
	"math"

	"github.com/lull-dev/lull/api/v1alpha1"
)

const (
	// MountedClaims is how many claims an application may mount: those of its pod
	// template, and its claim templates times its replicas. Their names are held in
	// memory.
	MountedClaims = 5000
	// Claims is how many claims one backup is of.
	Claims = 256
	// Pods is how many pods one attempt quiets: each has a session of its own.
	Pods = 100
	// CommandBytes bounds a command of a hook, all of its words together. The kernel
	// takes 128 KiB in one word (MAX_ARG_STRLEN), and a post-hook stands in the status
	// for each pod.
	CommandBytes = 64 << 10
	// CommandsBytes bounds the commands of all pods of one attempt, what several say
	// counted once. They are held in memory while a backup waits.
	CommandsBytes = 512 << 10
	// OutputBytes is how much one command may print, to its output and its errors
	// together. With Pods that bounds what all commands of an attempt print.
	OutputBytes = 4 << 20
	// KeptOutputBytes is how much of that is kept in memory, the last of it, of the
	// output and of the errors.
	KeptOutputBytes = 4 << 10
	// Warnings is how many warnings the status of a backup has.
	Warnings = 20
	// WarningBytes bounds each of them.
	WarningBytes = 1 << 10
	// ExcludedClaims is how many claims an annotation may leave out by name.
	ExcludedClaims = 1000
	// ObjectBytes bounds an object of ours as it is written. The API server takes 1.5 MiB
	// (--max-request-bytes of etcd), and leaves out the record of who wrote which field
	// where there is no room for it. Others may write annotations of 256 KiB meanwhile.
	ObjectBytes = 1 << 20
	// Rows is how many applications the status of a policy tells of: fewer, where it
	// would take more than ObjectBytes.
	Rows = 500
	// Names is how many names stand in each other list of it.
	Names = 500
	// AnnotationBytes bounds the annotations that policies read of an object. One that
	// is longer isn't read: it is held in memory for each object of the cluster.
	AnnotationBytes = 4 << 10
)

// ClaimBytes is what a status is expected to grow by for each claim, from when it
// sets out until its end: what is cut, made and exported, and what is said of it.
const ClaimBytes = 1 << 10

// Bytes is what a value takes as the API has it.
func Bytes(value any) int {
	text, err := json.Marshal(value)
	if err != nil {
		return math.MaxInt // what can't be written has no room
	}
	return len(text)
}

// Mounted is a Problem where an application, whose name is for people, mounts too
// many claims.
func Mounted(application string, claims int64) *v1alpha1.Problem {
	if claims <= MountedClaims {
		return nil
	}
	return exceeded("%s mounts %d claims, by its pod template and its claim templates times its replicas, and %d is the most: "+
		"scale it down to the replicas that it needs, or work on single claims (back up by an applicationRef of kind PersistentVolumeClaim, restore by strategy ClaimsOnly)", application, claims, MountedClaims)
}

// BackedUp is a Problem where a backup would be of too many claims.
func BackedUp(claims int) *v1alpha1.Problem {
	if claims <= Claims {
		return nil
	}
	return exceeded("%d claims would be backed up, and %d is the most of one backup: make several, each of some claims (spec.volumes.include)", claims, Claims)
}

// Excluded is a Problem where an annotation names too many claims.
func Excluded(annotation string, claims int) *v1alpha1.Problem {
	if claims <= ExcludedClaims {
		return nil
	}
	return exceeded("the annotation %s names %d claims, and %d is the most: name those that are to be backed up instead, by spec.volumes.include", annotation, claims, ExcludedClaims)
}

// Quieted is a Problem where an attempt would quiet too many pods.
func Quieted(pods int) *v1alpha1.Problem {
	if pods <= Pods {
		return nil
	}
	return exceeded("more than %d pods would be quieted at once, and that is the most: write spec.quiesce.pods: One where one of them speaks for the data of all, "+
		"or make several backups, each of some claims (spec.volumes.include)", Pods)
}

// Command is a Problem where a command is too long; which says what it is, such as
// "the post-hook".
func Command(which string, words []string) *v1alpha1.Problem {
	long := length(words)
	if long <= CommandBytes {
		return nil
	}
	return exceeded("%s has %d bytes, and %d is the most: put the script into the image, or into a ConfigMap that the pod mounts, and write the command that runs it", which, long, CommandBytes)
}

// Commands is a Problem where the commands of one attempt are too long together; words
// are all of them, each once.
func Commands(words []string) *v1alpha1.Problem {
	long := length(words)
	if long <= CommandsBytes {
		return nil
	}
	return exceeded("the hooks of all pods have %d KiB, as they differ from pod to pod, and %d KiB is the most: "+
		"put the scripts into the image, or into a ConfigMap that the pods mount, and write the commands that run them", KiB(long), KiB(CommandsBytes))
}

func length(words []string) (bytes int) {
	for _, word := range words {
		bytes += len(word)
	}
	return bytes
}

// Object is a Problem where an object of ours would take too many bytes; why says
// what takes them, and instead what to do about it.
func Object(bytes int, why, instead string) *v1alpha1.Problem {
	if bytes <= ObjectBytes {
		return nil
	}
	return exceeded("its status would take %d KiB, and %d KiB is the most: %s. %s", KiB(bytes), KiB(ObjectBytes), why, instead)
}

// KiB is a number of bytes in KiB, rounded up.
func KiB(bytes int) int { return (bytes + 1<<10 - 1) >> 10 }

func exceeded(format string, args ...any) *v1alpha1.Problem {
	return v1alpha1.Problemf(v1alpha1.ReasonLimitExceeded, format, args...)
}
