package cmd

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/fluxjob/kubectl-fluxjob/pkg/access"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/present"
)

// planCommand are the flags of plan, as typed.
type planCommand struct {
	planFlags
	output   string
	out      string
	exitCode bool
	explain  bool
}

func newPlan(a *app) *cobra.Command {
	p := &planCommand{}
	c := &cobra.Command{
		Use:   "plan [KUSTOMIZATION...] -f FILE",
		Short: "Show what applying Kustomizations would do, and which Jobs will run",
		Long: templates.LongDesc(`
			Show what applying Kustomizations would do, and which Jobs will run.

			The Kustomizations are read from files; names select among them, and what they
			depend on comes along. They are rendered from the Git work tree around the first
			file, and compared with the live cluster by server-side dry-runs. Nothing is
			written.`) + "\n\n " + planExitHelp,
		Example: templates.Examples(`
			# The Kustomizations of one file, rendered from the Git work tree around it
			kubectl fluxjob plan -f clusters/prod/apps.yaml

			# One of them with all that it depends on, from another tree
			kubectl fluxjob plan application -f clusters/prod -R --local-source ../fleet

			# In a pipeline: 0 nothing to do, 1 changes, 3 Jobs will run, 4 blocked
			kubectl fluxjob plan -f clusters/prod -R --exit-code -o json

			# Save the plan, look at it, and run exactly that
			kubectl fluxjob plan -f clusters/prod/apps.yaml --out apps.plan
			kubectl fluxjob apply --plan apps.plan`),
		RunE: func(c *cobra.Command, args []string) error {
			return p.run(c.Context(), a, args)
		},
	}
	p.add(c.Flags())
	c.Flags().StringVarP(&p.output, "output", "o", "table", "Format: "+strings.Join(present.PlanFormats(), ", ")+".")
	c.Flags().StringVar(&p.out, "out", "", "Save the plan to a file, for apply --plan. It holds no secret values, and only you may read it.")
	c.Flags().BoolVar(&p.explain, "explain-rbac", false, "Print the Roles that are enough to make this plan and to apply it, in place of the plan.")
	c.Flags().BoolVar(&p.exitCode, "exit-code", false, "Tell by the exit code what the plan holds.")
	return c
}

func (p *planCommand) run(ctx context.Context, a *app, names []string) error {
	print, err := present.Plan(p.output)
	if err != nil {
		return usagef("-o: %s", err)
	}
	style, err := p.style(a, a.streams.Out)
	if err != nil {
		return err
	}
	asked, err := p.typed(a, names)
	if err != nil {
		return err
	}
	req, err := p.read(a, asked)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	result, err := a.make(ctx, client, req)
	if err != nil {
		return err
	}
	if p.out != "" {
		result.Plan.Request = asked
		if err := plan.Save(p.out, result.Plan); err != nil {
			return err
		}
	}
	if p.explain {
		return access.Roles(a.streams.Out, access.Of(result.Plan, result.Kustomizations, client.Served))
	}
	if err := print(a.streams.Out, result, style); err != nil {
		return err
	}
	return planExit(result.Plan, p.exitCode)
}
