package hooks

import (
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

// Command is a command and the container it runs in. An empty container
// stands for the first that mounts a volume that is backed up.
type Command struct {
	Args      []string
	Container string
}

func (c Command) isSet() bool { return len(c.Args) > 0 }

// Warning is something that the owner of the hooks should know.
type Warning struct{ Reason, Message string }

// Resolve merges what a spec says with the annotations of a pod template.
// Each field of the spec stands over the annotation that says the same, ours
// stand over those of other systems. Errors are Problems.
func Resolve(spec *v1alpha1.QuiesceSpec, annotations map[string]string) (Quiet, error) {
	asked, err := fromAnnotations(annotations)
	if err != nil {
		return Quiet{}, err
	}
	own := fromSpec(spec)
	source := own
	if !own.hasCommands() {
		source = asked
	}
	q := Quiet{
		Method:    v1alpha1.MethodNone,
		Pods:      first(own.pods, v1alpha1.PodsAll),
		Timeout:   first(own.timeout, asked.timeout, DefaultTimeout),
		OnFailure: first(own.onFailure, asked.onFailure, v1alpha1.OnFailureFail),
		Warnings:  asked.warnings,
	}
	return source.fill(q, asked.container)
}

// settings is what one source says; zero values say nothing.
type settings struct {
	recipe    string
	hold      Command
	pre, post Command
	container string
	pods      v1alpha1.PodSelection
	timeout   time.Duration
	onFailure v1alpha1.OnFailure
	warnings  []Warning
}

func (s settings) hasCommands() bool {
	return s.recipe != "" || s.hold.isSet() || s.pre.isSet() || s.post.isSet()
}

// fill sets the method of q and its commands.
func (s settings) fill(q Quiet, container string) (Quiet, error) {
	inContainer := func(c Command) Command {
		c.Container = first(c.Container, s.container, container)
		return c
	}
	switch {
	case s.recipe != "":
		args, err := recipeCommand(s.recipe, q.Timeout)
		if err != nil {
			return Quiet{}, err
		}
		q.Method, q.Hold = v1alpha1.MethodHold, inContainer(Command{Args: args})
	case s.hold.isSet():
		q.Method, q.Hold = v1alpha1.MethodHold, inContainer(s.hold)
	case s.pre.isSet() || s.post.isSet():
		q.Method, q.Pre, q.Post = v1alpha1.MethodHooks, inContainer(s.pre), inContainer(s.post)
		q.Warnings = append(q.Warnings, uselessHooks(s.pre)...)
	}
	return q, nil
}

func fromSpec(spec *v1alpha1.QuiesceSpec) settings {
	if spec == nil {
		return settings{}
	}
	s := settings{
		recipe:    spec.Recipe,
		hold:      fromHook(spec.Hold),
		pre:       fromHook(spec.Pre),
		post:      fromHook(spec.Post),
		pods:      spec.Pods,
		onFailure: spec.OnFailure,
	}
	if spec.Timeout != nil {
		s.timeout = spec.Timeout.Duration
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
