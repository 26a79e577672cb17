package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// The exit codes. Those of plan above 0 come with --exit-code, but for
// exitError.
const (
	exitOK          = 0
	exitChanges     = 1 // plan: changes
	exitFailed      = 1 // apply: a Job or a step failed
	exitError       = 2
	exitJobsRun     = 3 // plan: changes, and at least one Job will run
	exitStale       = 3 // apply: the plan no longer fits the cluster or the tree
	exitBlocked     = 4
	exitLocked      = 5
	exitTimedOut    = 6
	exitInterrupted = 130
)

// How the exit codes are told in the help of plan and apply.
const (
	planExitHelp = "Exit codes: 0 the plan is made; 2 an error, or a plan that is not complete. " +
		"With --exit-code also: 0 nothing to do; 1 changes; 3 changes, and at least one Job will run; 4 something is blocked."
	applyExitHelp = "Exit codes: 0 done; 1 a Job or a step failed; 2 usage or other error; " +
		"3 the plan is stale; 4 blocked, nothing was written; 5 the lock is held; 6 timed out; 130 interrupted."
	unlockExitHelp = "Exit codes: 0 nothing is locked any more; 2 an error; 5 the run that holds the lock is alive."
)

// codeError ends the program with a code. Its message may be empty.
type codeError struct {
	code    int
	message string
}

func (e *codeError) Error() string { return e.message }

// usageError is a mistake on the command line.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// usage adds to a mistake where help is found.
func usage(c *cobra.Command, err error) error {
	return usagef("%s\nSee '%s --help' for usage.", err, c.CommandPath())
}

// exit returns the code for the outcome of a command, and what to say of it.
func exit(ctx context.Context, err error) (code int, message string) {
	var coded *codeError
	var locked *cluster.LockedError
	switch {
	case err == nil:
		return exitOK, ""
	case errors.As(err, &coded):
		return coded.code, prefixed(coded.message)
	case errors.As(err, &locked):
		return exitLocked, prefixed(err.Error() + ". That run is alive: wait for it, with apply --lock-timeout, or end it with kubectl fluxjob unlock --force -n " + locked.Namespace)
	case ctx.Err() != nil:
		return exitInterrupted, prefixed("interrupted, nothing was written")
	}
	return exitError, prefixed(err.Error())
}

func prefixed(message string) string {
	if message == "" {
		return ""
	}
	return "error: " + strings.TrimSpace(message)
}

// planExit returns the outcome of plan: 0, 1, 3 or 4 with --exit-code, and 2
// for an incomplete plan in any case.
func planExit(p *plan.Plan, detailed bool) error {
	switch {
	case !p.Complete:
		return &codeError{code: exitError}
	case !detailed:
		return nil
	case p.Summary.Blocked > 0:
		return &codeError{code: exitBlocked}
	case p.Summary.JobsToRun > 0:
		return &codeError{code: exitJobsRun}
	case p.Summary.Changes():
		return &codeError{code: exitChanges}
	}
	return nil
}

// refusal answers why a plan must not be applied, or nil.
func refusal(p *plan.Plan) error {
	if reconciled := p.Reconciled(); len(reconciled) > 0 {
		lines := []string{"Flux reconciles these Kustomizations and would undo what is written here; nothing was written. Suspend them first:"}
		for _, k := range reconciled {
			if p.Creates(k) {
				lines = append(lines, fmt.Sprintf("  spec.suspend: true in the manifest of %s, which this plan creates", k))
				continue
			}
			lines = append(lines, fmt.Sprintf("  flux suspend kustomization %s -n %s", k.Name, k.Namespace))
		}
		return &codeError{exitBlocked, strings.Join(lines, "\n")}
	}
	switch {
	case !p.Complete:
		return &codeError{exitError, "the plan is not complete, nothing was written"}
	case p.Summary.Blocked > 0:
		return &codeError{exitBlocked, "the plan is blocked where it is marked with !, nothing was written"}
	}
	return nil
}

// reportExit returns the outcome of apply.
func reportExit(r *report.Report) error {
	switch r.Outcome {
	case report.Done:
		return nil
	case report.Failed, report.Skipped:
		return &codeError{code: exitFailed}
	case report.TimedOut:
		return &codeError{code: exitTimedOut}
	case report.Interrupted:
		return &codeError{code: exitInterrupted}
	}
	return &codeError{code: exitError}
}
