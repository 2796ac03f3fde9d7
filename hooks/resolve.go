package hooks

import (
	"errors"
	"slices"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// DefaultTimeout is the longest that an application stays frozen where nobody
// says otherwise.
const DefaultTimeout = 30 * time.Second

// Quiet is how an application is to be quieted, with all sources merged.
type Quiet struct {
	// Method is Hold, Hooks or None.
	Method v1alpha1.QuiesceMethod
	// Hold is the command of a held session.
	Hold Command
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
	// DefaultPostTimeout. The other commands share that of the Quiet.
	Timeout time.Duration
}

func (c Command) isSet() bool { return len(c.Args) > 0 }

// Warning is something that the owner of the hooks should know.
type Warning struct{ Reason, Message string }

// Resolve merges what a spec says with the annotations of a pod template.
// Each field of the spec stands over the annotation that says the same, ours
// stand over those of other systems. What can't be read is a Problem where it
// counts, and a warning where something else stands over it.
func Resolve(spec *v1alpha1.QuiesceSpec, annotations map[string]string) (Quiet, error) {
	asked := fromSpec(spec).over(fromAnnotations(annotations))
	for _, err := range []error{asked.way.err, asked.timeout.err, asked.onFailure.err} {
		if err != nil {
			return Quiet{}, err
		}
	}
	q := Quiet{
		Method:    v1alpha1.MethodNone,
		Pods:      first(asked.pods, v1alpha1.PodsAll),
		Timeout:   first(asked.timeout.is, DefaultTimeout),
		OnFailure: first(asked.onFailure.is, v1alpha1.OnFailureFail),
		Warnings:  asked.warnings,
	}
	if asked.way.is == nil {
		return q, nil
	}
	return asked.way.is.fill(q, asked.container)
}

// settings is what one source says.
type settings struct {
	way       said[*way]
	container string
	pods      v1alpha1.PodSelection
	timeout   said[time.Duration]
	onFailure said[v1alpha1.OnFailure]
	warnings  []Warning
}

// said is what a source says of one thing, or why that can't be read. Its zero
// value says nothing.
type said[T comparable] struct {
	is  T
	err error
}

func (s said[T]) isSet() bool { return s != said[T]{} }

// way is how to quiet: a recipe, a hold, or a pair of hooks. Its warnings are
// told where it is used.
type way struct {
	recipe    string
	hold      Command
	pre, post Command
	warnings  []Warning
}

// asWay is the way, or nothing where it has no commands.
func asWay(w way, err error) said[*way] {
	if err != nil {
		return said[*way]{err: err}
	}
	if w.recipe == "" && !w.hold.isSet() && !w.pre.isSet() && !w.post.isSet() {
		return said[*way]{}
	}
	return said[*way]{is: &w}
}

// over lays what one source says over what another says.
func (s settings) over(below settings) settings {
	s.warnings = append(s.warnings, below.warnings...)
	s.way = over(s.way, below.way, &s.warnings)
	s.container = first(s.container, below.container)
	s.pods = first(s.pods, below.pods)
	s.timeout = over(s.timeout, below.timeout, &s.warnings)
	s.onFailure = over(s.onFailure, below.onFailure, &s.warnings)
	return s
}

func over[T comparable](s, below said[T], warnings *[]Warning) said[T] {
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
			warnings = append(warnings, Warning{problem.Reason, "not used: " + problem.Message})
		}
	}
	return warnings
}

// fill sets the method of q and its commands.
func (w way) fill(q Quiet, container string) (Quiet, error) {
	inContainer := func(c Command) Command {
		c.Container = first(c.Container, container)
		return c
	}
	switch {
	case w.recipe != "":
		args, err := recipeCommand(w.recipe, q.Timeout)
		if err != nil {
			return Quiet{}, err
		}
		q.Method, q.Hold = v1alpha1.MethodHold, inContainer(Command{Args: args})
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
		way:       asWay(way{recipe: spec.Recipe, hold: fromHook(spec.Hold), pre: fromHook(spec.Pre), post: fromHook(spec.Post)}, nil),
		pods:      spec.Pods,
		onFailure: said[v1alpha1.OnFailure]{is: spec.OnFailure},
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

// first is the first value that isn't zero.
func first[T comparable](values ...T) T {
	var zero T
	for _, v := range values {
		if v != zero {
			return v
		}
	}
	return zero
}
