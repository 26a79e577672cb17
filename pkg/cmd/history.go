package cmd

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/present"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// historyCommand are the flags of history, as typed.
type historyCommand struct {
	output string
	limit  int
}

func newHistory(a *app) *cobra.Command {
	h := &historyCommand{}
	c := &cobra.Command{
		Use:   "history",
		Short: "List the last runs of apply and rerun in this cluster",
		Long: templates.LongDesc(`
			List the last runs of apply and rerun in this cluster: who, when, of which plan,
			and how they ended.

			The runs are those of the Kustomizations of all namespaces, or of the one that -n
			names. The last 20 of a namespace are kept in it, in the ConfigMap fluxjob-history.`),
		Example: templates.Examples(`
			# The last runs
			kubectl fluxjob history

			# All that is known of those in flux-system
			kubectl fluxjob history -n flux-system -o json`),
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return h.run(c.Context(), a, c.Flags().Changed("namespace"))
		},
	}
	c.Flags().StringVarP(&h.output, "output", "o", "table", "Format: table or json.")
	c.Flags().IntVar(&h.limit, "limit", 20, "How many runs to list; 0 lists all.")
	return c
}

func (h *historyCommand) run(ctx context.Context, a *app, one bool) error {
	if h.output != "table" && h.output != "json" {
		return usagef("-o %q: use table or json", h.output)
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	runs, err := h.read(ctx, a, client, one)
	if err != nil {
		return err
	}
	runs = joined(runs)
	if h.limit > 0 && len(runs) > h.limit {
		runs = runs[:h.limit]
	}
	if h.output == "json" {
		encoder := json.NewEncoder(a.streams.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(runs)
	}
	return present.History(a.streams.Out, runs)
}

func (h *historyCommand) read(ctx context.Context, a *app, client *cluster.Client, one bool) ([]report.Run, error) {
	if !one {
		return client.Histories(ctx)
	}
	namespace, err := a.namespace()
	if err != nil {
		return nil, err
	}
	return client.History(ctx, namespace)
}

// joined makes one of the records that a run has in several namespaces.
func joined(pages []report.Run) []report.Run {
	runs := []report.Run{}
	for _, page := range pages {
		i := slices.IndexFunc(runs, func(r report.Run) bool { return r.ID == page.ID })
		if i < 0 {
			runs = append(runs, page)
			continue
		}
		runs[i].Kustomizations = append(runs[i].Kustomizations, page.Kustomizations...)
		runs[i].Jobs = append(runs[i].Jobs, page.Jobs...)
	}
	return runs
}
