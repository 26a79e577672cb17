// Package present writes plans, events and reports for people and machines. It
// only reads them.
package present

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/planner"
)

// Style says how text is shown.
type Style struct {
	Color bool
	// Width is that of the terminal in columns; 0 cuts nothing off.
	Width int
	// ShowUnchanged lists unchanged objects one by one.
	ShowUnchanged bool
}

// PlanPrinter writes a plan in one format.
type PlanPrinter func(w io.Writer, result *planner.Result, style Style) error

// planFormats are the formats of plan.
var planFormats = map[string]PlanPrinter{
	"table": planTable,
	"diff":  planDiff,
	"json":  planJSON,
}

// PlanFormats lists the names of the formats of plan.
func PlanFormats() []string {
	var names []string
	for name := range planFormats {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Plan returns the printer of a format.
func Plan(format string) (PlanPrinter, error) {
	if p, found := planFormats[format]; found {
		return p, nil
	}
	return nil, fmt.Errorf("unknown output format %q, use one of %s", format, strings.Join(PlanFormats(), ", "))
}

func planJSON(w io.Writer, result *planner.Result, _ Style) error {
	return plan.Encode(w, result.Plan)
}

// Symbol returns the mark of an action, as terraform has them.
func Symbol(a plan.Action) string {
	switch a {
	case plan.Create:
		return "+"
	case plan.Update:
		return "~"
	case plan.Recreate:
		return "-/+"
	case plan.Delete:
		return "-"
	case plan.Unchanged:
		return "="
	case plan.Skip:
		return "."
	case plan.Blocked:
		return "!"
	case plan.Unknown:
		return "?"
	}
	return "?"
}

// Mark says in words what a change means for its Job; empty where there is
// nothing to say.
func Mark(c *plan.Change) string {
	switch {
	case c.Job == nil:
		return ""
	case c.Job.WillRun && c.Reason.Code == plan.RemovedAfterRun:
		return "will run again (was removed)"
	case c.Job.WillRun:
		return "will run"
	case c.Job.Suspended:
		return "suspended"
	case c.Job.Last == plan.Failed && (c.Action == plan.Unchanged || c.Action == plan.Update):
		return "failed, stays failed"
	case c.Job.Last == plan.Running && c.Action == plan.Unchanged:
		return "still running"
	}
	return ""
}
