package hooks

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Annotations of other systems that we read, so that an application that is
// annotated for them needs no change.
const (
	backupsExamplePreHook  = "backups.example.com.pre-hook"
	backupsExamplePostHook = "backups.example.com.post-hook"

	// Velero's, https://velero.io/docs/main/backup-hooks/.
	veleroPre     = "pre.hook.backup.velero.io/"
	veleroPost    = "post.hook.backup.velero.io/"
	veleroCommand = "command"
)

const (
	minTimeout = time.Second
	maxTimeout = time.Hour
)

// fromAnnotations reads the annotations of a pod template: ours, over those of
// the first other system that has commands where ours have none.
func fromAnnotations(a map[string]string) settings {
	chosen := fromOurs(a)
	chosen.warnings = misspelt(a)
	var found []string
	if chosen.commands.isSet() {
		found = append(found, "lull.dev/…")
	}
	for _, other := range []struct {
		name string
		read func(map[string]string) settings
	}{{"backups.example.com.…", fromBackupsExample}, {"pre.hook.backup.velero.io/…", fromVelero}} {
		theirs := other.read(a)
		if theirs.commands.isSet() && len(found) == 0 {
			chosen = overTheirs(chosen, theirs)
		} else {
			chosen.warnings = append(chosen.warnings, unused(theirs.commands.err, theirs.timeout.err, theirs.onFailure.err)...)
		}
		if theirs.commands.isSet() {
			found = append(found, other.name)
		}
	}
	if len(found) > 1 {
		chosen.warnings = append(chosen.warnings, Warning{v1alpha1.ReasonConflictingHooks,
			fmt.Sprintf("the pod template carries hooks of several systems (%s): the first are used, the others are not run", strings.Join(found, ", "))})
	}
	return chosen
}

// overTheirs lays what our annotations say besides commands over theirs: our
// container is that of all commands.
func overTheirs(ours, theirs settings) settings {
	if their := theirs.commands.is; their != nil && ours.container != "" {
		their.pre.Container, their.post.Container = "", ""
	}
	return ours.override(theirs)
}

func fromOurs(a map[string]string) settings {
	return settings{
		commands:  asCommands(ourCommands(a)),
		container: strings.TrimSpace(a[v1alpha1.AnnotationHookContainer]),
		stills:    parseStills(v1alpha1.AnnotationHoldStills, a),
		timeout:   parseTimeout(v1alpha1.AnnotationHookTimeout, a),
		onFailure: parseOnFailure(v1alpha1.AnnotationHookOnFailure, a),
	}
}

func ourCommands(a map[string]string) (w commands, err error) {
	recipe, ok := a[v1alpha1.AnnotationQuiesce]
	if w.recipe = strings.TrimSpace(recipe); ok && w.recipe == "" {
		return w, v1alpha1.Problemf(v1alpha1.ReasonInvalidHook, "the annotation %s is empty: write one of %s, or remove it", v1alpha1.AnnotationQuiesce, recipeNames())
	}
	for _, c := range []struct {
		annotation string
		into       *Command
	}{
		{v1alpha1.AnnotationHoldHook, &w.hold},
		{v1alpha1.AnnotationPreHook, &w.pre},
		{v1alpha1.AnnotationPostHook, &w.post},
	} {
		if *c.into, err = parseCommand(c.annotation, a, shell); err != nil {
			return w, err
		}
	}
	return w, onlyOne(w)
}

// onlyOne refuses annotations that ask for two ways at once, or half a pair:
// what a pre-hook without a post-hook freezes would stay frozen.
func onlyOne(w commands) error {
	ways := 0
	for _, set := range []bool{w.recipe != "", w.hold.isSet(), w.pre.isSet() || w.post.isSet()} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		return v1alpha1.Problemf(v1alpha1.ReasonConflictingHooks,
			"the pod template carries more than one of the annotations %s, %s and the pair %s, %s: keep one", v1alpha1.AnnotationQuiesce, v1alpha1.AnnotationHoldHook, v1alpha1.AnnotationPreHook, v1alpha1.AnnotationPostHook)
	}
	if w.pre.isSet() != w.post.isSet() {
		return v1alpha1.Problemf(v1alpha1.ReasonInvalidHook,
			"the pod template carries one of %s and %s without the other: write both, with \"true\" where nothing is to be done", v1alpha1.AnnotationPreHook, v1alpha1.AnnotationPostHook)
	}
	return nil
}

// fromBackupsExample refuses a pre-hook without a post-hook, as for ours: these freeze.
func fromBackupsExample(a map[string]string) settings {
	w, err := pair(backupsExamplePreHook, backupsExamplePostHook, a, shell)
	if err == nil && w.pre.isSet() && !w.post.isSet() {
		err = v1alpha1.Problemf(v1alpha1.ReasonInvalidHook,
			"the pod template carries %s without %s, and what it freezes would stay frozen: write both, with \"true\" where nothing is to be done", backupsExamplePreHook, backupsExamplePostHook)
	}
	return settings{commands: asCommands(w, err)}
}

func fromVelero(a map[string]string) settings {
	w, err := pair(veleroPre+veleroCommand, veleroPost+veleroCommand, a, noShell)
	w.pre.InFirst, w.post.InFirst = true, true // as Velero does
	w.pre.Container = strings.TrimSpace(a[veleroPre+"container"])
	w.post.Container = strings.TrimSpace(a[veleroPost+"container"])
	if err == nil && w.post.isSet() {
		limit := parseTimeout(veleroPost+"timeout", a)
		w.post.Timeout, err = limit.is, limit.err
		w.warnings = append(w.warnings, unheeded(veleroPost+"on-error", a)...)
	}
	return settings{
		commands:  asCommands(w, err),
		timeout:   parseTimeout(veleroPre+"timeout", a),
		onFailure: parseOnFailure(veleroPre+"on-error", a),
	}
}

// unheeded is the warning of a post-hook that may fail: we don't let it.
func unheeded(annotation string, a map[string]string) []Warning {
	if v1alpha1.OnFailure(strings.TrimSpace(a[annotation])) != v1alpha1.OnFailureContinue {
		return nil
	}
	return []Warning{{v1alpha1.ReasonInvalidHook, fmt.Sprintf(
		"not used: the annotation %s is Continue. An application whose post-hook fails may still be frozen: the post-hook is run again, and where it never succeeds the backup fails, or says that it is a crash's where it may (onFailure: Continue)", annotation)}}
}

// pair reads the annotations of another system's two hooks, of which there may
// be one: Velero's pre-hook alone is mostly a flush or a dump.
func pair(pre, post string, a map[string]string, asString func(string) []string) (w commands, err error) {
	if w.pre, err = parseCommand(pre, a, asString); err != nil {
		return w, err
	}
	w.post, err = parseCommand(post, a, asString)
	w.warnings = unpaired(w, pre, post)
	return w, err
}

func unpaired(w commands, pre, post string) []Warning {
	switch {
	case w.pre.isSet() == w.post.isSet():
		return nil
	case w.pre.isSet():
		return []Warning{{v1alpha1.ReasonUnpairedHook, fmt.Sprintf(
			"the pod template carries %s without %s: nobody says that the application was quiet until the cut, so a backup of it while it runs is no more than Crash. "+
				"Where the pre-hook freezes, write %s with the command that thaws: without it nothing does", pre, post, post)}}
	}
	return []Warning{{v1alpha1.ReasonUnpairedHook, fmt.Sprintf(
		"the pod template carries %s without %s: nobody says that the application was quiet before the cut, so a backup of it while it runs is no more than Crash. "+
			"Write %s with the command that freezes", post, pre, pre)}}
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

func parseTimeout(annotation string, a map[string]string) parsed[time.Duration] {
	value, ok := a[annotation]
	if !ok {
		return parsed[time.Duration]{}
	}
	d, err := time.ParseDuration(strings.TrimSpace(value))
	if err != nil || d < minTimeout || d > maxTimeout {
		return parsed[time.Duration]{err: v1alpha1.Problemf(v1alpha1.ReasonInvalidHook, "the annotation %s is %q: write a duration from 1s to 1h, such as 30s or 2m", annotation, value)}
	}
	return parsed[time.Duration]{is: d}
}

func parseOnFailure(annotation string, a map[string]string) parsed[v1alpha1.OnFailure] {
	return parseOneOf(annotation, a, v1alpha1.OnFailureFail, v1alpha1.OnFailureContinue)
}

func parseStills(annotation string, a map[string]string) parsed[v1alpha1.Stills] {
	return parseOneOf(annotation, a, v1alpha1.StillsFiles, v1alpha1.StillsCommits)
}

// parseOneOf reads one of two words.
func parseOneOf[T ~string](annotation string, a map[string]string, one, other T) parsed[T] {
	value, ok := a[annotation]
	if !ok {
		return parsed[T]{}
	}
	word := T(strings.TrimSpace(value))
	if word != one && word != other {
		return parsed[T]{err: v1alpha1.Problemf(v1alpha1.ReasonInvalidHook, "the annotation %s is %q: write %s or %s", annotation, value, one, other)}
	}
	return parsed[T]{is: word}
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
