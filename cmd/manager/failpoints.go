//go:build failpoints

// This file is in the build of the fault suite alone (test/faults). It stops
// the manager before and after every write to the API and at every word of a
// held session, tells the suite where it is, and waits until it is told to go
// on. The suite may kill it there.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
)

const (
	// envSocket names the unix socket on which the suite listens.
	envSocket = "LULL_FAILPOINTS"
	// envNamespace is the only namespace that this manager looks into, so that
	// many can be tried side by side.
	envNamespace = "LULL_FAILPOINTS_NAMESPACE"
	// envClock is what this machine's clock is ahead of the true time, as 30m or -30m.
	// Empty is nothing.
	envClock = "LULL_FAILPOINTS_CLOCK"
)

// machineClock is a clock that may be set wrong.
func machineClock() clock.PassiveClock {
	ahead, err := time.ParseDuration(cmp.Or(os.Getenv(envClock), "0s"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "failpoints:", envClock+":", err)
		os.Exit(3)
	}
	return wrongClock{ahead}
}

type wrongClock struct{ ahead time.Duration }

func (c wrongClock) Now() time.Time                  { return time.Now().Add(c.ahead) }
func (c wrongClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// reach tells the suite that a failpoint is reached: what is done there, by
// which functions, the moment, and what is written. It comes back when the suite
// hangs up, with the error that it wants to be met, nil for none.
func reach(what, by, moment, written string) error {
	conn, err := net.Dial("unix", os.Getenv(envSocket))
	if err != nil {
		fmt.Fprintln(os.Stderr, "failpoints: the suite is gone:", err)
		os.Exit(3)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "%s\t%s\t%s\t%s\n", what, by, moment, written); err != nil {
		return nil
	}
	wanted, err := io.ReadAll(conn)
	if err != nil {
		return nil
	}
	return answers[string(wanted)]
}

// answers of the API server, or of nobody, by what the suite calls them.
var answers = map[string]error{
	"conflict": apierrors.NewConflict(schema.GroupResource{}, "object", errors.New("somebody was faster")),
	"internal": apierrors.NewInternalError(errors.New("etcd has no leader")),
	"busy":     apierrors.NewTooManyRequests("try again later", 1),
	"timeout":  apierrors.NewTimeoutError("no answer in time", 1),
	"broken":   io.ErrUnexpectedEOF,
}

// around reaches the failpoints before and after a write. An error before
// keeps it from being done, one after loses its answer.
func around(what, written string, write func() error) error {
	by := callers()
	if err := reach(what, by, "before", written); err != nil {
		return err
	}
	err := write()
	if lost := reach(what, by, "after", written); lost != nil {
		return lost
	}
	return err
}

// described tells writes apart that the same functions do: by the kind of the
// object and, of ours, the phase or, of policies, why they are stalled; of claims,
// whether they name their volume.
func described(obj client.Object) string {
	switch o := obj.(type) {
	case *v1alpha1.VolumeBackup:
		return strings.TrimSpace("VolumeBackup " + string(o.Status.Phase))
	case *v1alpha1.VolumeRestore:
		return strings.Join(strings.Fields("VolumeRestore "+string(o.Status.Phase)+" "+o.Status.Step), " ")
	case *v1alpha1.SnapshotPolicy:
		stalled := meta.FindStatusCondition(o.Status.Conditions, v1alpha1.ConditionStalled)
		return strings.TrimSpace("SnapshotPolicy " + ptr.Deref(stalled, metav1.Condition{}).Reason)
	case *corev1.PersistentVolumeClaim:
		if o.Spec.VolumeName != "" {
			return "PersistentVolumeClaim with volumeName"
		}
	case *unstructured.Unstructured:
		return o.GetKind()
	}
	return reflect.TypeOf(obj).Elem().Name()
}

// patched describes a patch by its object and the fields that it changes.
func patched(obj client.Object, patch client.Patch) string {
	var changes map[string]any
	data, err := patch.Data(obj)
	if err != nil || json.Unmarshal(data, &changes) != nil {
		return described(obj) // not a merge patch
	}
	return described(obj) + ": " + strings.Join(fields("", changes), ", ")
}

// enumerated are values that are one of a few, such as a reclaim policy.
var enumerated = regexp.MustCompile(`^[A-Z][A-Za-z]*$`)

// fields are the paths of the fields in a merge patch, by what of their names and
// values is the same in each run: of values numbers, enumerations, and null.
func fields(path string, changes map[string]any) (all []string) {
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		at := strings.TrimPrefix(path+"."+key, ".")
		if strings.HasPrefix(key, v1alpha1.AnnotationRestored) {
			at = strings.TrimPrefix(path+"."+v1alpha1.AnnotationRestored, ".") // the rest is a restore's name
		}
		switch value := changes[key].(type) {
		case map[string]any:
			all = append(all, fields(at, value)...)
		case nil, float64, bool:
			all = append(all, fmt.Sprintf("%s=%v", at, value))
		case string:
			if enumerated.MatchString(value) {
				at += "=" + value
			}
			all = append(all, at)
		default:
			all = append(all, at)
		}
	}
	return all
}

// A function's name on the stack, with its package, and what is left out of it:
// the type arguments of generic ones, and closures, which count as the functions
// that they are written in.
var (
	ours          = regexp.MustCompile(`^github\.com/lull-dev/lull/(?:controllers|hooks)(?:/[^./]+)*\.`)
	typeArguments = regexp.MustCompile(`\[.*?\]`)
	closure       = regexp.MustCompile(`(\.func\d+|\.gowrap\d+|-fm|-range\d+|\.\d+)+$`)
)

// callers are our functions on the stack, the innermost first.
func callers() string {
	pcs := make([]uintptr, 128)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var names []string
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		name := nameOf(frame.Function)
		if name != "" && (len(names) == 0 || names[len(names)-1] != name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, "<")
}

// nameOf is how failpoints name a function, which the runtime calls by its full
// name: by its package but for package controllers, its receiver without the
// word Reconciler, and itself. It is empty for a function that isn't ours.
// test/faults/points finds the same names in the code.
func nameOf(function string) string {
	inPackage := ours.FindString(function)
	if inPackage == "" {
		return ""
	}
	name := closure.ReplaceAllString(typeArguments.ReplaceAllString(function[len(inPackage):], ""), "")
	name = strings.TrimPrefix(strings.NewReplacer("(*", "", ")", "", "Reconciler", "").Replace(name), ".")
	if of := strings.TrimSuffix(path.Base(inPackage), "."); of != "controllers" {
		name = of + "." + name
	}
	return name
}

func onlyNamespace() string { return os.Getenv(envNamespace) }

// failClient puts failpoints around the writes of the manager's client.
func failClient(options *ctrl.Options) {
	options.NewClient = func(config *rest.Config, o client.Options) (client.Client, error) {
		c, err := client.NewWithWatch(config, o)
		if err != nil {
			return nil, err
		}
		return interceptor.NewClient(c, failWrites()), nil
	}
}

func failWrites() interceptor.Funcs {
	return interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			return around("Create", described(obj), func() error { return c.Create(ctx, obj, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			return around("Update", described(obj), func() error { return c.Update(ctx, obj, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			return around("Patch", patched(obj, patch), func() error { return c.Patch(ctx, obj, patch, opts...) })
		},
		Apply: func(ctx context.Context, c client.WithWatch, obj apiruntime.ApplyConfiguration, opts ...client.ApplyOption) error {
			return around("Apply", "", func() error { return c.Apply(ctx, obj, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			return around("Delete", described(obj), func() error { return c.Delete(ctx, obj, opts...) })
		},
		DeleteAllOf: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteAllOfOption) error {
			return around("DeleteAllOf", described(obj), func() error { return c.DeleteAllOf(ctx, obj, opts...) })
		},
		SubResourceCreate: func(ctx context.Context, c client.Client, sub string, obj, subObj client.Object, opts ...client.SubResourceCreateOption) error {
			return around("sub.Create", described(obj), func() error { return c.SubResource(sub).Create(ctx, obj, subObj, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
			return around("sub.Update", described(obj), func() error { return c.SubResource(sub).Update(ctx, obj, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			return around("sub.Patch", described(obj), func() error { return c.SubResource(sub).Patch(ctx, obj, patch, opts...) })
		},
	}
}

// failExecutor puts failpoints around the commands in containers, and at the
// words of those that have an input: held sessions.
func failExecutor(e hooks.Executor) hooks.Executor { return failing{e} }

type failing struct{ hooks.Executor }

func (f failing) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if s.In != nil {
		by := callers() // the words come on goroutines of their own
		s.In = &failInput{Reader: s.In, by: by}
		s.Out = &failOutput{next: s.Out, by: by}
	}
	return around("Exec", "", func() error { return f.Executor.Exec(ctx, c, command, s) })
}

// failInput reaches a failpoint when a session is released, by a word or by the end
// of its input, before the session gets it.
type failInput struct {
	io.Reader
	by   string
	once sync.Once
}

func (i *failInput) Read(b []byte) (int, error) {
	n, err := i.Reader.Read(b)
	if n > 0 || err != nil {
		i.once.Do(func() { _ = reach("Exec", i.by, "release", "") }) // an input has no answer
	}
	return n, err
}

// failOutput reaches a failpoint at each word, before the manager has it.
type failOutput struct {
	next io.Writer
	by   string
	rest []byte
}

func (o *failOutput) Write(b []byte) (int, error) {
	o.rest = append(o.rest, b...)
	for {
		line, rest, found := bytes.Cut(o.rest, []byte("\n"))
		if !found {
			return o.next.Write(b)
		}
		if word := string(bytes.TrimSpace(line)); word == "HELD" || word == "STILL_HELD" {
			if err := reach("Exec", o.by, word, ""); err != nil {
				return 0, err
			}
		}
		o.rest = rest
	}
}
