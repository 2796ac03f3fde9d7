package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers"
	"github.com/lull-dev/lull/hooks"
)

// holdCheckCommand is the argument by which the image checks a hold.
const holdCheckCommand = "hold-check"

// ownLimitMargin is how much longer than its timeout a hold may go on by its own limit.
const ownLimitMargin = 30 * time.Second

// asked is what a check of a hold is asked for.
type asked struct {
	namespace, pod string
	quiesce        v1alpha1.QuiesceSpec
}

func parseHoldCheck(args []string, output io.Writer) (asked, error) {
	var a asked
	f := flag.NewFlagSet(holdCheckCommand, flag.ContinueOnError)
	f.SetOutput(output)
	f.Usage = func() {
		fmt.Fprintln(output, "Usage: manager hold-check [-n namespace] [--recipe name] [--timeout 30s] pod/name\n\n"+
			"Holds a pod three times as a backup would, without a snapshot, and tells how each ends: released, its client\n"+
			"killed, and left alone until its own limit. The application is frozen meanwhile, the last time for its whole limit.")
		f.PrintDefaults()
	}
	f.StringVar(&a.namespace, "n", "default", "Namespace of the pod.")
	f.StringVar(&a.quiesce.Recipe, "recipe", "", "A recipe to try. Default: the hold of the pod's template.")
	timeout := f.Duration("timeout", 0, "The longest to hold, 1s to 1h. A hold of one's own has a limit in its command. Default: that of the template, or 30s.")
	if err := f.Parse(args); err != nil {
		return a, err
	}
	name, isPod := strings.CutPrefix(f.Arg(0), "pod/")
	if !isPod || name == "" || f.NArg() != 1 {
		return a, fmt.Errorf("write the pod last, and alone, as pod/name: manager hold-check -n shop pod/db-0")
	}
	if a.pod = name; *timeout != 0 {
		if *timeout < time.Second || *timeout > time.Hour {
			return a, fmt.Errorf("--timeout is %s: write a duration from 1s to 1h", *timeout)
		}
		a.quiesce.Timeout = &metav1.Duration{Duration: *timeout}
	}
	return a, nil
}

// checkHold checks a hold in a pod of the cluster that its configuration names, and
// returns an error where something is wrong with it.
func checkHold(ctx context.Context, args []string, out, errs io.Writer) error {
	a, err := parseHoldCheck(args, errs)
	if err != nil {
		return err
	}
	ctrl.SetLogger(logr.Discard())
	ctx = logr.NewContext(ctx, logr.Discard()) // client-go would tell of each stream that is cut
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	scheme, err := ourScheme()
	if err != nil {
		return err
	}
	live, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	executor, err := hooks.NewExecutor(config)
	if err != nil {
		return err
	}
	quiesce, target, err := controllers.HoldOf(ctx, live, a.namespace, a.pod, &a.quiesce)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "pod %s/%s, container %s: %s, for %s at most. It is frozen three times, the last time until its own limit\n",
		a.namespace, a.pod, target.Container(), cmp.Or(quiesce.Recipe, "its own hold"), quiesce.Timeout)
	err = hooks.CheckHold(ctx, executor, clock.RealClock{}, target, quiesce.Timeout, quiesce.Timeout+ownLimitMargin, func(c hooks.Checked) { tellChecked(out, c) })
	if err != nil {
		return fmt.Errorf("the hold isn't as it should be")
	}
	fmt.Fprintln(out, "the hold is as it should be")
	return nil
}

// tellChecked writes what came of a hold.
func tellChecked(out io.Writer, c hooks.Checked) {
	said := "no HELD"
	if c.Held > 0 {
		said = fmt.Sprintf("HELD after %s, ended after %s", c.Held.Round(time.Millisecond), c.Ended.Round(time.Millisecond))
		if c.StillHeld {
			said += " with STILL_HELD"
		}
	}
	fmt.Fprintf(out, "%-14s %s\n", c.How+":", said)
	if c.Elsewhere != "" {
		fmt.Fprintf(out, "    Declared at most: %s\n", c.Elsewhere)
	}
	for _, left := range c.Left {
		fmt.Fprintf(out, "    left: %s\n", left)
	}
	if c.Err != nil {
		fmt.Fprintf(out, "    wrong: %s\n", strings.ReplaceAll(c.Err.Error(), "\n", "; "))
	}
}
