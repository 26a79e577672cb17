package cmd

import (
	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/fluxjob/kubectl-fluxjob/pkg/execute"
	"github.com/fluxjob/kubectl-fluxjob/pkg/planner"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// rerunCommand are the flags of rerun, as typed.
type rerunCommand struct {
	planFlags
	runFlags
}

func newRerun(a *app) *cobra.Command {
	p := &rerunCommand{}
	c := &cobra.Command{
		Use:   "rerun JOB... -f FILE",
		Short: "Run Jobs again, as their Kustomizations render them",
		Long: templates.LongDesc(`
			Run Jobs again, as their Kustomizations render them.

			A Job is named by NAME or NAMESPACE/NAME. It is deleted if it exists, created as
			its Kustomization renders it now, and waited for; its logs are shown. Nothing else
			of the Kustomization is written, and what it depends on is not looked at.`) + "\n\n " + applyExitHelp,
		Example: templates.Examples(`
			# Run a migration again that failed
			kubectl fluxjob rerun migrate -f clusters/prod/apps.yaml`),
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, jobs []string) error {
			opts, err := p.options()
			if err != nil {
				return err
			}
			asked, err := p.typed(a, nil)
			if err != nil {
				return err
			}
			asked.Replace = append(asked.Replace, jobs...)
			only := func(result *planner.Result) error { return result.Plan.Only(result.Requested) }
			return p.perform(c.Context(), a, &p.planFlags, task{command: report.Rerun, asked: asked, reduce: only, opts: opts})
		},
	}
	p.planFlags.add(c.Flags())
	p.runFlags.add(c.Flags(), execute.LogsAll)
	return c
}
