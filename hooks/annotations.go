package hooks

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Annotations of other systems that we read, so that an application that is
// annotated for them needs no change.
const (
	seedPreHook  = "backups.example.com.pre-hook"
	seedPostHook = "backups.example.com.post-hook"

	// Velero's, https://velero.io/docs/main/backup-hooks/.
	veleroPre     = "pre.hook.backup.velero.io/"
	veleroPost    = "post.hook.backup.velero.io/"
	veleroCommand = "command"
)

const (
	minTimeout = time.Second
	maxTimeout = time.Hour
)

// fromAnnotations reads the annotations of a pod template: ours, else those of
// the first other system that has any.
func fromAnnotations(a map[string]string) (settings, error) {
	ours, err := fromOurs(a)
	if err != nil {
		return settings{}, err
	}
	var found []string
	chosen := ours
	if ours.hasCommands() {
		found = append(found, "lull.dev/…")
	}
	for _, other := range []struct {
		name string
		read func(map[string]string) (settings, error)
	}{{"backups.example.com.…", fromSeed}, {"pre.hook.backup.velero.io/…", fromVelero}} {
		theirs, err := other.read(a)
		if err != nil {
			return settings{}, err
		}
		if !theirs.hasCommands() {
			continue
		}
		if len(found) == 0 {
			chosen = over(ours, theirs)
		}
		found = append(found, other.name)
	}
	if len(found) > 1 {
		chosen.warnings = append(chosen.warnings, Warning{v1alpha1.ReasonConflictingHooks,
			fmt.Sprintf("the pod template carries hooks of several systems (%s): the first are used, the others are not run", strings.Join(found, ", "))})
	}
	return chosen, nil
}

// over lays what our annotations say besides commands over theirs.
func over(ours, theirs settings) settings {
	theirs.timeout = first(ours.timeout, theirs.timeout)
	theirs.onFailure = first(ours.onFailure, theirs.onFailure)
	if ours.container != "" {
		theirs.container, theirs.pre.Container, theirs.post.Container = ours.container, "", ""
	}
	return theirs
}

func fromOurs(a map[string]string) (s settings, err error) {
	s.recipe = strings.TrimSpace(a[v1alpha1.AnnotationQuiesce])
	s.container = strings.TrimSpace(a[v1alpha1.AnnotationHookContainer])
	for _, c := range []struct {
		annotation string
		into       *Command
	}{
		{v1alpha1.AnnotationHoldHook, &s.hold},
		{v1alpha1.AnnotationPreHook, &s.pre},
		{v1alpha1.AnnotationPostHook, &s.post},
	} {
		if *c.into, err = parseCommand(c.annotation, a, shell); err != nil {
			return s, err
		}
	}
	if err := onlyOne(s); err != nil {
		return s, err
	}
	if s.timeout, err = parseTimeout(v1alpha1.AnnotationHookTimeout, a); err != nil {
		return s, err
	}
	s.onFailure, err = parseOnFailure(v1alpha1.AnnotationHookOnFailure, a)
	return s, err
}

// onlyOne refuses annotations that ask for two ways at once, or half a pair:
// what a pre-hook without a post-hook freezes would stay frozen.
func onlyOne(s settings) error {
	ways := 0
	for _, set := range []bool{s.recipe != "", s.hold.isSet(), s.pre.isSet() || s.post.isSet()} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		return v1alpha1.Problemf(v1alpha1.ReasonConflictingHooks,
			"the pod template carries more than one of the annotations %s, %s and the pair %s, %s: keep one", v1alpha1.AnnotationQuiesce, v1alpha1.AnnotationHoldHook, v1alpha1.AnnotationPreHook, v1alpha1.AnnotationPostHook)
	}
	if s.pre.isSet() != s.post.isSet() {
		return v1alpha1.Problemf(v1alpha1.ReasonInvalidHook,
			"the pod template carries one of %s and %s without the other: write both, with \"true\" where nothing is to be done", v1alpha1.AnnotationPreHook, v1alpha1.AnnotationPostHook)
	}
	return nil
}

func fromSeed(a map[string]string) (s settings, err error) {
	if s.pre, err = parseCommand(seedPreHook, a, shell); err != nil {
		return s, err
	}
	s.post, err = parseCommand(seedPostHook, a, shell)
	return s, err
}

func fromVelero(a map[string]string) (s settings, err error) {
	if s.pre, err = parseCommand(veleroPre+veleroCommand, a, noShell); err != nil {
		return s, err
	}
	if s.post, err = parseCommand(veleroPost+veleroCommand, a, noShell); err != nil {
		return s, err
	}
	s.pre.Container = strings.TrimSpace(a[veleroPre+"container"])
	s.post.Container = strings.TrimSpace(a[veleroPost+"container"])
	if s.timeout, err = parseTimeout(veleroPre+"timeout", a); err != nil {
		return s, err
	}
	s.onFailure, err = parseOnFailure(veleroPre+"on-error", a)
	return s, err
}

// shell runs a string by the shell, noShell takes it as a program's name, as
// Velero does.
func shell(s string) []string   { return []string{"/bin/sh", "-c", s} }
func noShell(s string) []string { return []string{s} }

// parseCommand reads a command: a JSON array as it is, a string by asString.
func parseCommand(annotation string, a map[string]string, asString func(string) []string) (Command, error) {
	value, ok := a[annotation]
	if !ok {
		return Command{}, nil
	}
	value = strings.TrimSpace(value)
	if value == "" {
		return Command{}, v1alpha1.Problemf(v1alpha1.ReasonInvalidHook, "the annotation %s is empty: write a command, or remove it", annotation)
	}
	if !strings.HasPrefix(value, "[") {
		return Command{Args: asString(value)}, nil
	}
	var args []string
	if err := json.Unmarshal([]byte(value), &args); err != nil {
		// A shell's test command begins with a bracket too.
		if strings.HasPrefix(value, "[ ") || strings.HasPrefix(value, "[[ ") {
			return Command{Args: asString(value)}, nil
		}
		return Command{}, v1alpha1.Problemf(v1alpha1.ReasonInvalidHook, "the annotation %s begins like a JSON array and isn't one (%v): write [\"program\", \"argument\"], or a string for the shell", annotation, err)
	}
	if len(args) == 0 || args[0] == "" {
		return Command{}, v1alpha1.Problemf(v1alpha1.ReasonInvalidHook, "the annotation %s is an empty command: write [\"program\", \"argument\"]", annotation)
	}
	return Command{Args: args}, nil
}

func parseTimeout(annotation string, a map[string]string) (time.Duration, error) {
	value, ok := a[annotation]
	if !ok {
		return 0, nil
	}
	d, err := time.ParseDuration(strings.TrimSpace(value))
	if err != nil || d < minTimeout || d > maxTimeout {
		return 0, v1alpha1.Problemf(v1alpha1.ReasonInvalidHook, "the annotation %s is %q: write a duration from 1s to 1h, such as 30s or 2m", annotation, value)
	}
	return d, nil
}

func parseOnFailure(annotation string, a map[string]string) (v1alpha1.OnFailure, error) {
	value, ok := a[annotation]
	if !ok {
		return "", nil
	}
	on := v1alpha1.OnFailure(strings.TrimSpace(value))
	if !slices.Contains([]v1alpha1.OnFailure{v1alpha1.OnFailureFail, v1alpha1.OnFailureContinue}, on) {
		return "", v1alpha1.Problemf(v1alpha1.ReasonInvalidHook, "the annotation %s is %q: write Fail or Continue", annotation, value)
	}
	return on, nil
}

// ExcludedVolumes are the claims that an application's annotation leaves out.
func ExcludedVolumes(annotations map[string]string) []string {
	var names []string
	for name := range strings.SplitSeq(annotations[v1alpha1.AnnotationExcludeVolumes], ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// flushTables finds a one-shot client call that takes MySQL's global read
// lock. The lock ends with the client's session, before the hook returns.
var flushTables = regexp.MustCompile(`(?is)flush\s+(no_write_to_binlog\s+|local\s+)?tables?\b.*\bwith\s+read\s+lock`)

func uselessHooks(pre Command) []Warning {
	if !flushTables.MatchString(strings.Join(pre.Args, " ")) {
		return nil
	}
	return []Warning{{v1alpha1.ReasonUselessHook,
		"the pre-hook's FLUSH TABLES WITH READ LOCK ends with the session that takes it, before the snapshot is cut: it protects nothing. " +
			"Annotate the pod template with " + v1alpha1.AnnotationQuiesce + ": mariadb (or mysql) instead"}}
}
