package cmd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"
	"k8s.io/kubectl/pkg/util/term"

	"github.com/fluxjob/kubectl-fluxjob/pkg/execute"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/planner"
	"github.com/fluxjob/kubectl-fluxjob/pkg/present"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// defaultParallelism is how many Kustomizations kustomize-controller works on
// at once (--concurrent).
const defaultParallelism = 4

// applyCommand are the flags of apply, as typed.
type applyCommand struct {
	planFlags
	yes         bool
	output      string
	wait        string
	logs        string
	timeout     time.Duration
	parallelism int
	failFast    bool
	dryRun      string
}

func newApply(a *app) *cobra.Command {
	p := &applyCommand{}
	c := &cobra.Command{
		Use:   "apply [KUSTOMIZATION...] -f FILE",
		Short: "Apply Kustomizations in dependency order and wait on each Job",
		Long: templates.LongDesc(`
			Apply Kustomizations in dependency order and wait on each Job.

			The plan is made, shown and confirmed. A Kustomization is applied when all that
			it depends on is done: applied, its Jobs complete, and healthy where spec.wait or
			spec.healthChecks ask for it. What depends on a failed one is held back. A plan
			in which something is blocked is not applied at all.`) + "\n\n " + applyExitHelp,
		Example: templates.Examples(`
			# Show the plan, ask, and run it
			kubectl fluxjob apply -f clusters/prod/apps.yaml

			# In a pipeline, with every line that the Jobs write
			kubectl fluxjob apply -f clusters/prod -R --yes --logs=all

			# Ask the server for every write whether it would take it
			kubectl fluxjob apply -f clusters/prod -R --dry-run=server`),
		RunE: func(c *cobra.Command, args []string) error {
			return p.run(c.Context(), a, args)
		},
	}
	p.add(c.Flags())
	flags := c.Flags()
	flags.BoolVarP(&p.yes, "yes", "y", false, "Do not ask. Required without a terminal.")
	flags.StringVarP(&p.output, "output", "o", "text", "Format of what happens: text, or json for one event a line.")
	flags.StringVar(&p.wait, "wait", string(execute.WaitJobs), "What a Kustomization waits for: jobs (every Job, and what spec.wait and spec.healthChecks ask for), flux (only the latter) or all (every object).")
	flags.StringVar(&p.logs, "logs", string(execute.LogsFailed), "Which logs to show: failed (the last lines of a failed Job), all (every line of every Job) or none.")
	flags.DurationVar(&p.timeout, "timeout", 0, "How long to wait for each Kustomization. By default as Flux: spec.timeout, else spec.interval less 30s, and never less than 30s.")
	flags.BoolVar(&p.failFast, "fail-fast", false, "Fail a Kustomization at once when the pods of a Job cannot start: the image cannot be pulled, something that a container refers to is missing, no node fits, or no pod may be created. The Job stays as it is.")
	flags.StringVar(&p.dryRun, "dry-run", "none", "none, or server: run the steps with every write as a server-side dry-run, and wait for nothing. Nothing is written and nothing is asked.")
	flags.IntVar(&p.parallelism, "parallelism", defaultParallelism, "How many Kustomizations to apply at once.")
	return c
}

// options checks the flags and turns them into those of a run.
func (p *applyCommand) options() (execute.Options, error) {
	opts := execute.Options{Wait: execute.Wait(p.wait), Logs: execute.LogMode(p.logs), Timeout: p.timeout, Parallelism: p.parallelism, FailFast: p.failFast, DryRun: p.dryRun == "server"}
	switch opts.Wait {
	case execute.WaitJobs, execute.WaitFlux, execute.WaitAll:
	default:
		return opts, usagef("--wait %q: use jobs, flux or all", p.wait)
	}
	switch opts.Logs {
	case execute.LogsFailed, execute.LogsAll, execute.LogsNone:
	default:
		return opts, usagef("--logs %q: use failed, all or none", p.logs)
	}
	switch {
	case p.output != "text" && p.output != "json":
		return opts, usagef("-o %q: use text or json", p.output)
	case p.dryRun != "none" && p.dryRun != "server":
		return opts, usagef("--dry-run=%s: use none or server", p.dryRun)
	case p.parallelism < 1:
		return opts, usagef("--parallelism %d: at least 1", p.parallelism)
	case p.timeout < 0:
		return opts, usagef("--timeout %s: not negative", p.timeout)
	}
	return opts, nil
}

func (p *applyCommand) run(ctx context.Context, a *app, names []string) error {
	opts, err := p.options()
	if err != nil {
		return err
	}
	// With events on stdout, the plan for people goes to stderr.
	planOut := a.streams.Out
	if p.output == "json" {
		planOut = a.streams.ErrOut
	}
	style, err := p.style(a, planOut)
	if err != nil {
		return err
	}
	asks := term.TTY{In: a.streams.In}.IsTerminalIn()
	if !p.yes && !opts.DryRun && (!asks || len(p.filenames) > 0 && p.filenames[0] == "-") {
		return usagef("apply asks before it writes, and standard input is no terminal to answer on: add --yes")
	}
	result, client, err := p.make(ctx, a, names)
	if err != nil {
		return err
	}
	print, err := present.Plan("table")
	if err != nil {
		return err
	}
	if err := print(planOut, result, style); err != nil {
		return err
	}
	if err := refusal(result.Plan); err != nil {
		return err
	}
	if !opts.DryRun {
		if err := p.confirm(ctx, a, result.Plan); err != nil {
			return err
		}
	}
	opts.Mask, opts.Kustomizations = result.Mask, result.Kustomizations
	opts.Emit = p.events(a.streams.Out, style, result)
	return reportExit(execute.Run(ctx, client, result.Plan, result.Desired, opts))
}

func (p *applyCommand) events(out io.Writer, style present.Style, _ *planner.Result) func(report.Event) {
	if p.output == "json" {
		return present.EventsJSON(out)
	}
	_, _ = fmt.Fprintln(out)
	return present.EventsText(out, style)
}

// confirm asks whether to apply the plan, unless it writes nothing.
func (p *applyCommand) confirm(ctx context.Context, a *app, made *plan.Plan) error {
	if p.yes || !made.Summary.Changes() {
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
