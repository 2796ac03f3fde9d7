package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

const (
	// eightyPatience is how long all of them may take: with stock controllers one
	// is begun in about three seconds, and deleted in two.
	eightyPatience = 20 * time.Minute
	// eightyTimeout is what an attempt that was not good counts as.
	eightyTimeout = 30 * time.Second
	// loneRounds is how often a lone freeze is taken.
	loneRounds = 5
	// maxTogether is how many times longer than alone an application may be
	// frozen where all are backed up at once.
	maxTogether = 2.0
)

// limitsOf are the snapshot controllers that are measured with, by the requests a
// second that they may ask: as they come, with a manager as it comes, and the
// cluster's, with a pace that the two cores of a small machine carry, and no freeze
// beside another.
var limitsOf = []struct {
	qps   int
	limit string
	flags []string
}{{5, "stock", nil}, {100, "", []string{paceFlag + "2", "--max-snapshots-in-flight=1"}}}

const paceFlag = "--snapshots-per-second="

// together is what was measured with one kind of controllers.
type together struct {
	qps, applications int
	// alone and all at once, how long each was frozen.
	alone, frozen []time.Duration
	// again is how many needed more than one attempt, and all is how long all of
	// them took.
	again int
	all   time.Duration
}

// measureEighty measures the longest freeze where very many applications are to be
// backed up at once, beside a lone one.
func (b *bench) measureEighty(ctx context.Context, o options) (lines []line, err error) {
	if o.eighty == 0 {
		return nil, nil
	}
	if o.cluster == "" {
		fmt.Fprintln(os.Stderr, "eighty: left out, the limits of the snapshot controllers can be set in this project's cluster alone")
		return nil, nil
	}
	apps, err := b.startMany(ctx, o.eighty)
	if err != nil {
		return nil, err
	}
	flags, err := b.managerFlags(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		err = errors.Join(err, b.withLimits(ctx, o.cluster, ""), b.withFlags(ctx, flags))
	}()
	asItComes := slices.DeleteFunc(slices.Clone(flags), func(flag string) bool { return strings.HasPrefix(flag, paceFlag) })
	for _, with := range limitsOf {
		if err := errors.Join(b.withLimits(ctx, o.cluster, with.limit), b.withFlags(ctx, slices.Concat(asItComes, with.flags))); err != nil {
			return lines, err
		}
		t, err := b.together(ctx, apps)
		if err != nil {
			return lines, fmt.Errorf("%d requests a second: %w", with.qps, err)
		}
		t.qps = with.qps
		printTogether(os.Stdout, t)
		lines = append(lines, t.line())
	}
	return lines, nil
}

// withLimits restarts the snapshot controllers with limits.
func (b *bench) withLimits(ctx context.Context, cluster, limits string) error {
	words := strings.Fields(cluster)
	for _, name := range []string{"snapshot-controller", "csi-snapshotter"} {
		cmd := exec.CommandContext(ctx, words[0], append(words[1:], "restart", name)...)
		cmd.Env = append(os.Environ(), "SNAPSHOT_LIMITS="+limits)
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("restart %s: %w: %s", name, err, said)
		}
	}
	return nil
}

// startMany starts n applications with a volume each.
func (b *bench) startMany(ctx context.Context, n int) ([]framework.Application, error) {
	var apps []framework.Application
	for i := range n {
		apps = append(apps, framework.Tools(b.namespace, fmt.Sprintf("eighty-%d", i), "", fmt.Sprintf("eighty-%d", i)))
	}
	fmt.Fprintf(os.Stderr, "starting %d applications\n", n)
	for _, app := range apps {
		if err := b.Start(ctx, app); err != nil {
			return nil, err
		}
	}
	return apps, framework.Await(ctx, eightyPatience, "the applications are ready", func(ctx context.Context) error {
		for _, app := range apps {
			if _, err := b.ReadyPods(ctx, app); err != nil {
				return err
			}
		}
		return nil
	})
}

// together takes lone freezes, and then backs up all at once.
func (b *bench) together(ctx context.Context, apps []framework.Application) (together, error) {
	t := together{applications: len(apps)}
	for range loneRounds {
		alone, _, err := b.backUpAll(ctx, apps[:1])
		if err != nil {
			return t, err
		}
		t.alone = append(t.alone, alone...)
	}
	began := time.Now()
	var err error
	t.frozen, t.again, err = b.backUpAll(ctx, apps)
	t.all = time.Since(began)
	return t, err
}

// backUpAll backs up applications at once, and removes the backups. It returns how
// long each was frozen, and how many needed more than one attempt: such a one counts
// as frozen until its timeout.
func (b *bench) backUpAll(ctx context.Context, apps []framework.Application) (all []time.Duration, again int, err error) {
	var made []*v1alpha1.VolumeBackup
	for _, app := range apps {
		made = append(made, framework.NewBackup(b.namespace, app.Ref(), framework.Hold(lightHold), framework.Within(eightyTimeout)))
	}
	var creations errgroup.Group
	for _, vb := range made {
		creations.Go(func() error { return b.Create(ctx, vb) })
	}
	if err := creations.Wait(); err != nil {
		return nil, 0, err
	}
	for _, vb := range made {
		if err := b.awaitProven(ctx, vb, eightyPatience); err != nil {
			return nil, 0, err
		}
		frozen := vb.Status.Quiesce.FrozenFor.Duration
		if vb.Status.Quiesce.Attempt > 1 {
			frozen, again = max(frozen, eightyTimeout), again+1
		}
		all = append(all, frozen)
	}
	return all, again, b.clearWithin(ctx, &v1alpha1.VolumeBackup{}, eightyPatience)
}

func (t together) ratio() float64 { return slices.Max(t.frozen).Seconds() / median(t.alone).Seconds() }

func (t together) line() line {
	return line{Name: "eighty", N: t.qps, Unit: "s", Value: slices.Max(t.frozen).Seconds(), Baseline: median(t.alone).Seconds(), Ratio: t.ratio(), Rounds: 1}
}

func printTogether(out io.Writer, t together) {
	row := func(frozen []time.Duration) string {
		return fmt.Sprintf("%s  %s  %s", ms(median(frozen)), ms(quantile(.9, frozen)), ms(slices.Max(frozen)))
	}
	fmt.Fprintf(out, "\nHow long an application is frozen: the median, nine of ten at most, and the longest, in ms; snapshot controllers that ask %d times a second\n\n  alone                    %s\n  of %3d at once           %s, all in %s, %d after more than one attempt\n\n%s  the longest is %.2f times as long as alone (target: at most %.0f)\n",
		t.qps, row(t.alone), t.applications, row(t.frozen), t.all.Round(time.Second), t.again, met(t.ratio() <= maxTogether), t.ratio(), maxTogether)
}

// awaitProven waits until a backup is complete, and proven.
func (b *bench) awaitProven(ctx context.Context, vb *v1alpha1.VolumeBackup, limit time.Duration) error {
	err := framework.Await(ctx, limit, "the backup is complete", func(ctx context.Context) error {
		if err := b.Get(ctx, client.ObjectKeyFromObject(vb), vb); err != nil {
			return err
		}
		if framework.BackupIs(vb, v1alpha1.ConditionComplete) {
			return nil
		}
		return errors.New(vb.Status.Message)
	})
	if err == nil && vb.Status.Consistency != v1alpha1.Proven {
		err = fmt.Errorf("backup %s: %s", vb.Name, vb.Status.Message)
	}
	return err
}
