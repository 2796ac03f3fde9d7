package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/controllers"
)

const (
	// policyPatience bounds each wait for the manager. To work off the backups of
	// ten thousand policies takes a quarter of an hour.
	policyPatience = time.Hour
	// lookEvery is how often what has been seen is compared with what is waited for.
	lookEvery = 200 * time.Millisecond
)

// fewest policies have shares.
const fewest = 20

// shares of all policies are measured one after the other, each with what was
// there before.
var shares = []float64{.1, .25, .5, 1}

// scale measures policies on a control plane of its own, on which the benchmark
// plays the storage.
type scale struct {
	*controlPlane
	options options
	// began is a whole minute before all due times.
	began time.Time
	// bare is a client like that of the policies.
	bare    client.Client
	witness *witness
	model   *model
	manager *process
	// stopStorage is set while there is storage.
	stopStorage context.CancelFunc
	// applications and policies are how many there are.
	applications, policies int
	// fail ends the part.
	fail context.CancelCauseFunc
}

// measurePolicies measures how late backups are where very many policies are due
// at once, and what the manager costs then. It needs no cluster.
func measurePolicies(ctx context.Context, o options) (lines []line, err error) {
	if o.policies == 0 {
		return nil, nil
	}
	if o.policies < fewest || o.ended < 2*o.policies {
		return nil, fmt.Errorf("write -policies of %d or more, and -ended of twice as many or more: the bare objects that are created beside are the first of them", fewest)
	}
	if _, err := os.Stat(o.manager); err != nil {
		return nil, fmt.Errorf("-manager names no program, make program builds it: %w", err)
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	s, err := startScale(ctx, o, fail)
	if err != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	defer func() {
		fail(nil)
		err = errors.Join(err, s.stop())
	}()
	figures, err := s.measure(ctx)
	if err != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	figures.print(os.Stdout)
	return figures.lines(), drawScaling(o.scalingPicture, figures.steps)
}

func startScale(ctx context.Context, o options, fail context.CancelCauseFunc) (_ *scale, err error) {
	s := &scale{options: o, began: time.Now().UTC().Truncate(time.Minute), fail: fail}
	if s.controlPlane, err = startControlPlane(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	config := rest.CopyConfig(s.asManager)
	config.QPS, config.Burst = controllers.ClientQPS, controllers.ClientBurst
	if s.bare, err = client.New(config, client.Options{Scheme: s.scheme}); err != nil {
		return nil, err
	}
	if s.witness, err = s.startWitness(ctx, fail); err != nil {
		return nil, err
	}
	if err := s.makeTenants(ctx); err != nil {
		return nil, err
	}
	return s, s.makeModel(ctx)
}

func (s *scale) stop() error {
	if s.manager != nil {
		s.manager.kill()
	}
	return s.controlPlane.stop()
}

// measure takes all figures: with each share of the policies how late backups
// are and the memory, and with all of them the rest.
func (s *scale) measure(ctx context.Context) (*scaleFigures, error) {
	f := &scaleFigures{}
	var r dueRun
	for i, share := range shares {
		step, its, err := s.takeStep(ctx, int(share*float64(s.options.policies)))
		if err != nil {
			return nil, err
		}
		f.steps = append(f.steps, step)
		if r = its; i < len(shares)-1 {
			if err := s.withdraw(ctx, r); err != nil {
				return nil, err
			}
		}
	}
	for _, take := range []func(context.Context, dueRun, *scaleFigures) error{s.takeDrain, s.takeRest, s.takeStart, s.takeJitter} {
		if err := take(ctx, r, f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// makeModel has a manager make a backup, to make others after.
func (s *scale) makeModel(ctx context.Context) error {
	if err := s.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: modelApplication.namespace}}); err != nil {
		return err
	}
	if err := s.makeApplication(ctx, modelApplication); err != nil {
		return err
	}
	if err := s.startAll(ctx); err != nil {
		return err
	}
	due := s.began
	if err := s.Create(ctx, modelApplication.newBackup(due)); err != nil {
		return err
	}
	its := []client.ObjectKey{modelApplication.backupOf(due)}
	if err := s.await(ctx, "the first backup has ended", func() bool { _, all := s.witness.allEnded(its); return all }); err != nil {
		return err
	}
	var err error
	if s.model, err = s.readModel(ctx, modelApplication, due); err != nil {
		return err
	}
	s.stopStorage()
	return s.manager.stop()
}

// startAll starts a manager, and the storage for what it makes.
func (s *scale) startAll(ctx context.Context) (err error) {
	if s.manager, err = s.startManager(s.options.manager, s.fail); err != nil {
		return err
	}
	var storage context.Context
	storage, s.stopStorage = context.WithCancel(ctx)
	return s.playStorage(storage, s.fail)
}

// await waits until something holds.
func (s *scale) await(ctx context.Context, what string, holds func() bool) error {
	err := wait.PollUntilContextTimeout(ctx, lookEvery, policyPatience, true, func(context.Context) (bool, error) {
		return holds(), s.witness.check()
	})
	if err != nil {
		return fmt.Errorf("waited until %s: %w", what, err)
	}
	return nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "policies: "+format+"\n", args...) }
