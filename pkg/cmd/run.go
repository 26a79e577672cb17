package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/kubectl/pkg/util/term"

	"github.com/fluxjob/kubectl-fluxjob/pkg/access"
	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/execute"
	"github.com/fluxjob/kubectl-fluxjob/pkg/journal"
	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/planner"
	"github.com/fluxjob/kubectl-fluxjob/pkg/present"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// runFlags are the flags that say how a plan is run, as typed. apply and rerun
// have them in common.
type runFlags struct {
	yes         bool
	output      string
	logs        string
	timeout     time.Duration
	lockTimeout time.Duration
}

func (r *runFlags) add(flags *pflag.FlagSet, logs execute.LogMode) {
	flags.BoolVarP(&r.yes, "yes", "y", false, "Do not ask. Required without a terminal.")
	flags.StringVarP(&r.output, "output", "o", "text", "Format of what happens: text, or json for one event a line.")
	flags.StringVar(&r.logs, "logs", string(logs), "Which logs to show: failed (the last lines of a failed Job), all (every line of every Job) or none.")
	flags.DurationVar(&r.timeout, "timeout", 0, "How long to wait for each Kustomization. By default as Flux: spec.timeout, else spec.interval less 30s, and never less than 30s.")
	flags.DurationVar(&r.lockTimeout, "lock-timeout", 0, "How long to wait for the lock while another run holds it. Whether a run that holds it is still alive is waited for in any case.")
}

// options checks the flags and turns them into those of a run.
func (r *runFlags) options() (execute.Options, error) {
	opts := execute.Options{Wait: execute.WaitJobs, Logs: execute.LogMode(r.logs), Timeout: r.timeout, Parallelism: defaultParallelism}
	switch opts.Logs {
	case execute.LogsFailed, execute.LogsAll, execute.LogsNone:
	default:
		return opts, usagef("--logs %q: use failed, all or none", r.logs)
	}
	switch {
	case r.output != "text" && r.output != "json":
		return opts, usagef("-o %q: use text or json", r.output)
	case r.timeout < 0:
		return opts, usagef("--timeout %s: not negative", r.timeout)
	}
	return opts, nil
}

// task is what apply and rerun have to do.
type task struct {
	command string
	// asked is what is planned. saved is the plan that it has to come to, nil if
	// there is none.
	asked *plan.Request
	saved *plan.Plan
	// reduce leaves only what is to be done of a plan; nil leaves all.
	reduce func(*planner.Result) error
	opts   execute.Options
}

// perform plans, shows the plan, asks and runs it, under the lock.
func (r *runFlags) perform(ctx context.Context, a *app, f *planFlags, t task) error {
	// With events on stdout, the plan for people goes to stderr.
	planOut := a.streams.Out
	if r.output == "json" {
		planOut = a.streams.ErrOut
	}
	style, err := f.style(a, planOut)
	if err != nil {
		return err
	}
	asks := term.TTY{In: a.streams.In}.IsTerminalIn()
	dry := t.opts.DryRun
	if !r.yes && !dry && (!asks || t.asked.Filenames[0] == manifest.Stdin) {
		return usagef("%s asks before it writes, and standard input is no terminal to answer on: add --yes", t.command)
	}
	req, err := f.read(a, t.asked)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	holder := a.holder(ctx, client)
	lock, ctx := client.NewLock(ctx, holder)
	defer lock.Release(ctx)
	// Who may not lock is told what else they may not do, when the plan is known.
	if err := r.lock(ctx, lock, req.Namespaces(), dry); err != nil {
		return err
	}
	result, err := t.plan(ctx, a, client, req)
	if err != nil {
		return err
	}
	if t.saved != nil {
		if err := stale(t.saved.Moved(result.Plan)); err != nil {
			return err
		}
	}
	print, err := present.Plan("table")
	if err != nil {
		return err
	}
	if err := print(planOut, result, style); err != nil {
		return err
	}
	if err := permitted(ctx, client, result); err != nil {
		return err
	}
	if err := refusal(result.Plan); err != nil {
		return err
	}
	if !dry {
		if err := r.confirm(ctx, a, result.Plan); err != nil {
			return err
		}
		if result, err = r.settle(ctx, a, client, lock, req, t, result); err != nil {
			return err
		}
		record, err := journal.Open(ctx, client, report.Run{ID: string(uuid.NewUUID()), Command: t.command, Who: holder.Who, Where: holder.Where}, result.Plan)
		if err != nil {
			return err
		}
		t.opts.Journal = record
	}
	t.opts.Mask, t.opts.Kustomizations = result.Mask, result.Kustomizations
	t.opts.Emit = r.events(a.streams.Out, style, t.command)
	done := execute.Run(ctx, client, result.Plan, result.Desired, t.opts)
	if record, is := t.opts.Journal.(*journal.Journal); is {
		if err := record.Close(ctx, done.Outcome); err != nil {
			_, _ = fmt.Fprintln(a.streams.ErrOut, "warning: "+err.Error())
		}
	}
	if cause := context.Cause(ctx); done.Outcome != report.Done && errors.Is(cause, cluster.ErrLockLost) {
		return &codeError{exitLocked, cause.Error() + "; nothing more was written. Apply again: what is done stays done"}
	}
	return reportExit(done)
}

// lock takes the locks of namespaces that exist. A dry-run takes none.
func (r *runFlags) lock(ctx context.Context, lock *cluster.Lock, namespaces []string, dry bool) error {
	if dry {
		return nil
	}
	_, err := lock.Acquire(ctx, namespaces, false, r.lockTimeout)
	if apierrors.IsForbidden(err) {
		return nil
	}
	return err
}

// settle locks what the plan turned out to write to besides what was known
// before it was made. If that was anything, it is planned again and has to come
// to the same.
func (r *runFlags) settle(ctx context.Context, a *app, client *cluster.Client, lock *cluster.Lock, req planner.Request, t task, result *planner.Result) (*planner.Result, error) {
	more, err := lock.Acquire(ctx, result.Plan.Namespaces(), true, r.lockTimeout)
	for _, namespace := range lock.Created() {
		_, _ = fmt.Fprintf(a.streams.ErrOut, "created namespace %s, in which the lock, the inventory and the history of its Kustomizations are kept\n", namespace)
	}
	if err != nil {
		return nil, err
	}
	if more {
		again, err := t.plan(ctx, a, client, req)
		if err != nil {
			return nil, err
		}
		if err := stale(result.Plan.Moved(again.Plan)); err != nil {
			return nil, err
		}
		result = again
	}
	lock.For(result.Plan.Digest)
	return result, nil
}

// plan makes the plan of what is to be done.
func (t *task) plan(ctx context.Context, a *app, client *cluster.Client, req planner.Request) (*planner.Result, error) {
	result, err := a.make(ctx, client, req)
	if err == nil && t.reduce != nil {
		err = t.reduce(result)
	}
	return result, err
}

func (r *runFlags) events(out io.Writer, style present.Style, command string) func(report.Event) {
	if r.output == "json" {
		return present.EventsJSON(out)
	}
	_, _ = fmt.Fprintln(out)
	return present.EventsText(out, style, command)
}

// permitted refuses a plan that the user may not run.
func permitted(ctx context.Context, client *cluster.Client, result *planner.Result) error {
	needs := slices.DeleteFunc(access.Of(result.Plan, result.Kustomizations, client.Served), func(n access.Need) bool { return n.Optional })
	missing, err := client.Missing(ctx, needs)
	if err != nil || len(missing) == 0 {
		return err
	}
	lines := []string{"these rights are missing, nothing was written; plan --explain-rbac prints the Roles that are enough:"}
	for _, n := range missing {
		lines = append(lines, "  "+n.String())
	}
	return &codeError{exitBlocked, strings.Join(lines, "\n")}
}

// stale refuses a plan of which something moved.
func stale(moved []string) error {
	if len(moved) == 0 {
		return nil
	}
	return &codeError{exitStale, "the plan is stale, nothing was written. Since it was made these have moved; plan again:\n  " + strings.Join(moved, "\n  ")}
}

// confirm asks whether to apply the plan, unless it writes nothing.
func (r *runFlags) confirm(ctx context.Context, a *app, made *plan.Plan) error {
	if r.yes || !made.Summary.Changes() {
		return nil
	}
	_, _ = fmt.Fprint(a.streams.ErrOut, "\nApply this plan? Only 'yes' is taken for a yes: ")
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.streams.In).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case text := <-answer:
		if text != "yes" {
			return &codeError{exitError, "not confirmed, nothing was written"}
		}
	}
	return nil
}
