package main

import (
	"context"
	"slices"
)

// scenario is something that people want of the operator. It is to come to the
// same end wherever the manager is disturbed.
type scenario struct {
	// kind is what it is about: backup, restore or policy.
	kind, name string
	// prelude happens to the manager before the round's own fault, where the
	// scenario is about what comes after it.
	prelude *prelude
	// slow scenarios are for the long form.
	slow bool
	// outage: it has the API server away, as a fault may.
	outage bool
	// newRun makes one run of it.
	newRun func(*round) run
}

// run is one performance of a scenario.
type run interface {
	// prepare makes what has to be there before. Nothing befalls the manager.
	prepare(context.Context) error
	// begin tells the manager what is wanted, and does what people do while it
	// is at work.
	begin(context.Context) error
	// whileHalted waits as long as the manager is to be halted.
	whileHalted(context.Context) error
	// end waits for the end and looks at what it came to.
	end(context.Context)
	// leave removes the objects, as their owner does some day, and looks
	// whether anything stays behind.
	leave(context.Context)
}

// The kinds of scenarios.
const (
	ofBackups  = "backup"
	ofRestores = "restore"
	ofPolicies = "policy"
)

// kinds are in the order in which random rounds are run.
var kinds = []string{ofBackups, ofRestores, ofPolicies}

// scenarios are all there are.
func scenarios() []scenario {
	var backups, restores, policies []scenario
	for i := range backupScenarios {
		s := &backupScenarios[i]
		backups = append(backups, scenario{kind: ofBackups, name: s.name, prelude: s.prelude, slow: s.slow,
			newRun: func(r *round) run { return &backupRun{round: r, scenario: s} }})
	}
	for i := range restoreScenarios {
		s := &restoreScenarios[i]
		restores = append(restores, scenario{kind: ofRestores, name: s.name, prelude: s.prelude, slow: s.slow,
			newRun: func(r *round) run { return &restoreRun{round: r, scenario: s} }})
	}
	for i := range policyScenarios {
		s := &policyScenarios[i]
		policies = append(policies, scenario{kind: ofPolicies, name: s.name, prelude: s.prelude, slow: s.slow, outage: s.outage,
			newRun: func(r *round) run { return newPolicyRun(r, s) }})
	}
	return slices.Concat(backups, restores, policies)
}

// prelude is a moment at which the manager is killed, or meets an error.
type prelude struct {
	at     spot
	answer string // empty: it is killed
}
