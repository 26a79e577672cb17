package cmd

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/fluxjob/kubectl-fluxjob/pkg/execute"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// defaultParallelism is how many Kustomizations kustomize-controller works on
// at once (--concurrent).
const defaultParallelism = 4

// applyCommand are the flags of apply, as typed.
type applyCommand struct {
	planFlags
	runFlags
	saved       string
	wait        string
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
			t, err := p.task(a, args)
			if err != nil {
				return err
			}
			return p.perform(c.Context(), a, &p.planFlags, t)
		},
	}
	flags := c.Flags()
	p.planFlags.add(flags)
	p.runFlags.add(flags, execute.LogsFailed)
	flags.StringVar(&p.saved, "plan", "", "Run exactly the plan that plan --out saved in this file, or refuse it if anything moved since.")
	flags.StringVar(&p.wait, "wait", string(execute.WaitJobs), "What a Kustomization waits for: jobs (every Job, and what spec.wait and spec.healthChecks ask for), flux (only the latter) or all (every object).")
	flags.BoolVar(&p.failFast, "fail-fast", false, "Fail a Kustomization at once when the pods of a Job cannot start: the image cannot be pulled, something that a container refers to is missing, no node fits, or no pod may be created. The Job stays as it is.")
	flags.StringVar(&p.dryRun, "dry-run", "none", "none, or server: run the steps with every write as a server-side dry-run, and wait for nothing. Nothing is written and nothing is asked.")
	flags.IntVar(&p.parallelism, "parallelism", defaultParallelism, "How many Kustomizations to apply at once.")
	return c
}

// task checks the flags and says what there is to do.
func (p *applyCommand) task(a *app, names []string) (task, error) {
	opts, err := p.options()
	if err != nil {
		return task{}, err
	}
	opts.Wait, opts.Parallelism, opts.FailFast, opts.DryRun = execute.Wait(p.wait), p.parallelism, p.failFast, p.dryRun == "server"
	switch opts.Wait {
	case execute.WaitJobs, execute.WaitFlux, execute.WaitAll:
	default:
		return task{}, usagef("--wait %q: use jobs, flux or all", p.wait)
	}
	switch {
	case p.dryRun != "none" && p.dryRun != "server":
		return task{}, usagef("--dry-run=%s: use none or server", p.dryRun)
	case p.parallelism < 1:
		return task{}, usagef("--parallelism %d: at least 1", p.parallelism)
	}
	asked, saved, err := p.asked(a, names)
	return task{command: report.Apply, asked: asked, saved: saved, opts: opts}, err
}

// asked returns what is to be planned: what was typed, or what a saved plan was
// made for.
func (p *applyCommand) asked(a *app, names []string) (*plan.Request, *plan.Plan, error) {
	if p.saved == "" {
		asked, err := p.typed(a, names)
		return asked, nil, err
	}
	if len(p.filenames)+len(p.localSources)+len(p.replace)+len(names) > 0 {
		return nil, nil, usagef("--plan %s says what is applied: leave out -f, --local-source, --replace and names", p.saved)
	}
	saved, err := plan.Load(p.saved)
	if err != nil {
		return nil, nil, err
	}
	if saved.Request == nil || len(saved.Request.Filenames) == 0 {
		return nil, nil, fmt.Errorf("%s does not say what it was made for: save it with plan --out", p.saved)
	}
	return saved.Request, saved, nil
}
