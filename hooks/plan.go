package hooks

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
	"github.com/lull-dev/lull/snapshot/names"
)

// DefaultTimeout is the longest that an application stays frozen where nobody
// says otherwise.
const DefaultTimeout = 30 * time.Second

// QuiescePlan is how an application is to be quieted, with all sources merged.
type QuiescePlan struct {
	// Method is Hold, Hooks or None.
	Method v1alpha1.QuiesceMethod
	// Hold is the command of a held session.
	Hold Command
	// Stills is what the held session keeps still, empty for hooks.
	Stills v1alpha1.Stills
	// Recipe is the name of the recipe that Hold is, empty for a command of the
	// owner's own.
	Recipe string
	// Pre and Post are the pair of hooks. Other systems' annotations may have
	// only one of them.
	Pre, Post Command

	Pods      v1alpha1.PodSelection
	Timeout   time.Duration
	OnFailure v1alpha1.OnFailure
	// Warnings are for the owner's eyes; the quiet works without them.
	Warnings []Warning
}

// DefaultPostTimeout is the longest that a post-hook takes where nobody says
// otherwise.
const DefaultPostTimeout = 30 * time.Second

// Command is a command and the container it runs in. An empty container
// stands for the first that mounts a volume that is backed up, or, where InFirst
// is set, for the pod's first.
type Command struct {
	Args      []string
	Container string
	InFirst   bool
	// Timeout is the longest that a post-hook takes, zero for
	// DefaultPostTimeout. The other commands share that of the QuiescePlan.
	Timeout time.Duration
}

func (c Command) isSet() bool { return len(c.Args) > 0 }

// Warning is something that the owner of the hooks should know.
type Warning struct{ Reason, Message string }

// Resolve merges what a spec says with the annotations of a pod template.
// Each field of the spec stands over the annotation that says the same, but for
// its timeout (see heedOwner); ours stand over those of other systems. What can't be
// read is a Problem where it counts, and a warning where something else stands over
// it. The plan that comes with a Problem has the OnFailure alone.
func Resolve(spec *v1alpha1.QuiesceSpec, annotations map[string]string, limits Limits) (QuiescePlan, error) {
	owner := fromAnnotations(annotations)
	asked := fromSpec(spec).heedOwner(owner.timeout).override(owner)
	q, err := asked.resolve(limits)
	if err != nil {
		return QuiescePlan{OnFailure: cmp.Or(asked.onFailure.is, v1alpha1.OnFailureFail)}, err
	}
	return q, nil
}

func (asked settings) resolve(limits Limits) (QuiescePlan, error) {
	for _, err := range []error{asked.commands.err, asked.timeout.err, asked.onFailure.err} {
		if err != nil {
			return QuiescePlan{}, err
		}
	}
	q := QuiescePlan{
		Method:    v1alpha1.MethodNone,
		Pods:      cmp.Or(asked.pods, v1alpha1.PodsAll),
		Timeout:   limits.freeze(cmp.Or(asked.timeout.is, DefaultTimeout)),
		OnFailure: cmp.Or(asked.onFailure.is, v1alpha1.OnFailureFail),
		Warnings:  asked.warnings,
	}
	if asked.commands.is == nil {
		return q, nil
	}
	q.Warnings = append(q.Warnings, limits.shortened(asked.timeout.is)...)
	q, err := asked.commands.is.fill(q, asked.container)
	if err != nil {
		return QuiescePlan{}, err
	}
	if q.Post, err = limits.postHook(q.Post); err != nil {
		return QuiescePlan{}, err
	}
	if problem := q.tooLong(); problem != nil {
		return QuiescePlan{}, problem
	}
	return q.still(asked.stills)
}

// tooLong is the Problem of a command that is too long, nil where none is.
func (q QuiescePlan) tooLong() *v1alpha1.Problem {
	return cmp.Or(limits.Command("the hold", q.Hold.Args), limits.Command("the pre-hook", q.Pre.Args), limits.Command("the post-hook", q.Post.Args))
}

// still sets what the held session keeps still. A recipe knows that by itself:
// what is said beside it can't make more of it.
func (q QuiescePlan) still(asked parsed[v1alpha1.Stills]) (QuiescePlan, error) {
	if q.Method == v1alpha1.MethodHold && q.Recipe == "" {
		q.Stills = cmp.Or(asked.is, v1alpha1.StillsFiles)
		return q, asked.err
	}
	q.Stills = recipes[q.Recipe].stills
	q.Warnings = append(q.Warnings, unused(asked.err)...)
	if asked.is != "" && asked.is != q.Stills {
		q.Warnings = append(q.Warnings, Warning{v1alpha1.ReasonInvalidHook, fmt.Sprintf(
			"not used: %s (spec.quiesce.stills, or the annotation %s) says what a hold of your own keeps still. %s", asked.is, v1alpha1.AnnotationHoldStills, q.insteadOfStills())})
	}
	return q, nil
}

func (q QuiescePlan) insteadOfStills() string {
	if q.Recipe != "" && q.Stills == v1alpha1.StillsFiles {
		return fmt.Sprintf("Under the recipe %s nothing at all is written: leave it out", q.Recipe)
	}
	if q.Recipe != "" {
		return fmt.Sprintf("The server of the recipe %s goes on writing its files: leave it out, or write a hold that stops all writing", q.Recipe)
	}
	return "A backup by a pair of hooks is Declared in any case: leave it out"
}

// settings is what one source says.
type settings struct {
	commands  parsed[*commands]
	container string
	pods      v1alpha1.PodSelection
	stills    parsed[v1alpha1.Stills]
	timeout   parsed[time.Duration]
	onFailure parsed[v1alpha1.OnFailure]
	warnings  []Warning
}

// parsed is what a source says of one thing, or why that can't be read. Its zero
// value says nothing.
type parsed[T comparable] struct {
	is  T
	err error
}

func (s parsed[T]) isSet() bool { return s != parsed[T]{} }

// commands is how to quiet: a recipe, a hold, or a pair of hooks. Its warnings are
// told where it is used.
type commands struct {
	recipe    string
	hold      Command
	pre, post Command
	warnings  []Warning
}

// asCommands are the commands, or nothing where there are none.
func asCommands(w commands, err error) parsed[*commands] {
	if err != nil {
		return parsed[*commands]{err: err}
	}
	if w.recipe == "" && !w.hold.isSet() && !w.pre.isSet() && !w.post.isSet() {
		return parsed[*commands]{}
	}
	return parsed[*commands]{is: &w}
}

// override lays what one source says over what another says.
func (s settings) override(below settings) settings {
	s.warnings = append(s.warnings, below.warnings...)
	s.commands = override(s.commands, below.commands, &s.warnings)
	s.container = cmp.Or(s.container, below.container)
	s.pods = cmp.Or(s.pods, below.pods)
	s.stills = override(s.stills, below.stills, &s.warnings)
	s.timeout = override(s.timeout, below.timeout, &s.warnings)
	s.onFailure = override(s.onFailure, below.onFailure, &s.warnings)
	return s
}

func override[T comparable](s, below parsed[T], warnings *[]Warning) parsed[T] {
	if !s.isSet() {
		return below
	}
	*warnings = append(*warnings, unused(below.err)...)
	return s
}

// unused is the warning of what can't be read and doesn't count.
func unused(errs ...error) []Warning {
	var warnings []Warning
	for _, err := range errs {
		var problem *v1alpha1.Problem
		if errors.As(err, &problem) {
			warnings = append(warnings, Warning{problem.Reason, names.Clip("not used: "+problem.Message, limits.WarningBytes)})
		}
	}
	return warnings
}

// fill sets the method of q and its commands.
func (w commands) fill(q QuiescePlan, container string) (QuiescePlan, error) {
	inContainer := func(c Command) Command {
		c.Container = cmp.Or(c.Container, container)
		return c
	}
	switch {
	case w.recipe != "":
		args, err := recipeCommand(w.recipe, q.Timeout)
		if err != nil {
			return QuiescePlan{}, err
		}
		q.Method, q.Hold, q.Recipe = v1alpha1.MethodHold, inContainer(Command{Args: args}), w.recipe
	case w.hold.isSet():
		q.Method, q.Hold = v1alpha1.MethodHold, inContainer(w.hold)
	default:
		q.Method, q.Pre, q.Post = v1alpha1.MethodHooks, inContainer(w.pre), inContainer(w.post)
		q.Warnings = slices.Concat(q.Warnings, w.warnings, uselessHooks(w.pre))
	}
	return q, nil
}

func fromSpec(spec *v1alpha1.QuiesceSpec) settings {
	if spec == nil {
		return settings{}
	}
	s := settings{
		commands:  asCommands(commands{recipe: spec.Recipe, hold: fromHook(spec.Hold), pre: fromHook(spec.Pre), post: fromHook(spec.Post)}, nil),
		pods:      spec.Pods,
		stills:    parsed[v1alpha1.Stills]{is: spec.Stills},
		onFailure: parsed[v1alpha1.OnFailure]{is: spec.OnFailure},
	}
	if spec.Timeout != nil {
		s.timeout.is = spec.Timeout.Duration
	}
	return s
}

func fromHook(h *v1alpha1.HookCommand) Command {
	if h == nil {
		return Command{}
	}
	return Command{Args: h.Command, Container: h.Container}
}
