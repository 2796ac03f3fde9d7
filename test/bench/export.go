package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// passwordSecret is the Secret with the password of all repositories, ours and bare.
const passwordSecret = "export-password"

// exporting is what exports are measured with.
type exporting struct {
	*bench
	server *framework.HostRESTServer
	// image is the operator's own, which has restic in it.
	image string
}

// measureExports measures what moves data beside restic that is run alone: on the
// same data, by the same program, to the same server.
func (b *bench) measureExports(ctx context.Context, o options) (_ []line, err error) {
	if o.exportBytes == 0 && o.exportFiles == 0 {
		return nil, nil
	}
	ctx, stopAll := context.WithCancel(ctx)
	defer stopAll()
	e, err := b.exporting(ctx, o.restServer, stopAll)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.server.Stop()) }()
	all, err := e.exports(ctx, o)
	if err != nil {
		return nil, errors.Join(err, e.server.WhyEnded())
	}
	printExports(os.Stdout, all, o.exportRounds)
	return exportLines(all, o.exportRounds), nil
}

// exporting starts the server, and finds what else is needed. ended is called where
// the server ends by itself.
func (b *bench) exporting(ctx context.Context, program string, ended func()) (*exporting, error) {
	if program == "" {
		return nil, errors.New("-rest-server names no rest-server: run make bench ONLY=export")
	}
	manager, err := b.Manager(ctx)
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: passwordSecret}, StringData: map[string]string{"password": "of the benchmark"},
	}
	if err := b.Create(ctx, secret); err != nil {
		return nil, err
	}
	address, err := b.OwnAddress(ctx)
	if err != nil {
		return nil, err
	}
	server, err := framework.StartHostRESTServer(program, address, nil, ended)
	return &exporting{bench: b, server: server, image: manager.Spec.Containers[0].Image}, err
}

// exports takes turns: all figures of the one volume, and all of the other. None is
// taken in vain to warm up, as that would take minutes: each side is first in every
// other round.
func (e *exporting) exports(ctx context.Context, o options) (all []*exportFigures, err error) {
	for _, v := range exportedVolumes(e.namespace, o) {
		if err := e.fill(ctx, v); err != nil {
			return nil, fmt.Errorf("%s: %w", v.title, err)
		}
		all = append(all, &exportFigures{exportedVolume: v})
	}
	for round := range o.exportRounds {
		for _, f := range all {
			if err := e.exportRound(ctx, f, round); err != nil {
				return nil, fmt.Errorf("%s: %w", f.title, err)
			}
		}
		fmt.Fprintf(os.Stderr, "exports: round %d of %d\n", round+1, o.exportRounds)
	}
	return all, nil
}

// exportRound takes each figure of a volume once, into two new repositories.
func (e *exporting) exportRound(ctx context.Context, f *exportFigures, round int) error {
	name := fmt.Sprintf("%s-%d", f.Name, round)
	ours, bare := e.newRepository(name), e.newRepository(name+"-bare")
	backup, err := e.cut(ctx, f, ours)
	if err != nil {
		return err
	}
	err = inTurns(round,
		func() error { return f.bare.take(e.exportBare(ctx, backup, bare)) },
		func() error { return f.exports.take(e.export(ctx, backup, ours)) })
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	err = inTurns(round,
		func() error { return f.bareUnchanged.take(e.backUpBare(ctx, backup, bare, "again")) },
		func() error { return f.unchanged.take(e.exportUnchanged(ctx, f, ours)) })
	if err != nil {
		return fmt.Errorf("export of what is unchanged: %w", err)
	}
	err = inTurns(round,
		func() error { return f.bareRestores.take(e.restoreBare(ctx, f, bare)) },
		func() error { return f.restores.take(e.restoreExport(ctx, f, ours, backup)) })
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return e.endRound(ctx, ours, bare)
}

// inTurns does the one and then the other, and the other way round in every other
// round: whoever comes second finds in memory what the first has read.
func inTurns(round int, one, other func() error) error {
	if round%2 == 1 {
		one, other = other, one
	}
	if err := one(); err != nil {
		return err
	}
	return other()
}

// newRepository is a repository of its own at the server. It isn't there yet.
func (e *exporting) newRepository(name string) *v1alpha1.ResticRepository {
	r := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: name}}
	r.Spec.Backend.REST = &v1alpha1.RESTBackend{URL: e.server.URL + "/" + name}
	r.Spec.PasswordSecretRef = v1alpha1.SecretKeyReference{Name: passwordSecret}
	return r
}

// endRound removes what a round has made: the next one finds a server and storage
// that have nothing else to do.
func (e *exporting) endRound(ctx context.Context, ours, bare *v1alpha1.ResticRepository) error {
	if err := e.removeAll(ctx, ours); err != nil {
		return err
	}
	if err := e.clear(ctx, &v1alpha1.VolumeBackup{}); err != nil {
		return err
	}
	if err := errors.Join(e.server.Remove(ours.Name), e.server.Remove(bare.Name)); err != nil {
		return err
	}
	return await(ctx, "the volumes of the round are gone", e.volumesAreGone)
}
