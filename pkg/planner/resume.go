package planner

import (
	"context"
	"fmt"
	"time"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// resume looks up what an unfinished run left of the Jobs that are to be
// created: one that it has run already, and that its TTL removed, is not run a
// second time. Jobs that are asked for by name are.
func (p *Planner) resume(ctx context.Context, steps []*step, requested map[string]bool) error {
	histories := map[string][]report.Run{}
	for _, s := range steps {
		for i := range s.items {
			c := &s.items[i].Change
			if c.Job == nil || c.Action != plan.Create || requested[c.Object.ID()] {
				continue
			}
			runs, known := histories[s.key.Namespace]
			if !known {
				var err error
				if runs, err = p.Client.History(ctx, s.key.Namespace); err != nil {
					s.fail(plan.InventoryFailed, err.Error())
					break
				}
				histories[s.key.Namespace] = runs
			}
			try := report.LastTry(runs, s.key, c.Object, c.Desired)
			if try == nil {
				continue
			}
			if err := p.began(ctx, try); err != nil {
				s.fail(plan.InventoryFailed, fmt.Sprintf("whether %s has run: %s", c.Object, err))
				break
			}
			s.items[i].After = s.items[i].Before
			tried(c, try)
		}
	}
	return ctx.Err()
}

// began fills in whether there was a Job, where the run did not live to know.
func (p *Planner) began(ctx context.Context, try *report.JobRun) (err error) {
	if try.UID == "" {
		try.UID, err = p.Client.JobBegan(ctx, try.Object, try.Began, try.Before)
	}
	return err
}

// tried decides on a Job that is to be created, and that an unfinished apply has
// tried before.
func tried(c *plan.Change, try *report.JobRun) {
	if try.UID == "" {
		return // It was never created.
	}
	c.Reason = plan.Reason{Code: plan.RanBefore}
	began := try.Began.UTC().Format(time.RFC3339)
	switch try.Outcome {
	case report.Done:
		c.Action = plan.Skip
		c.Reason.Detail = fmt.Sprintf("it has run for an apply that is not finished yet (began %s, completed), and was removed since", began)
	case report.Failed:
		c.Action = plan.Blocked
		c.Reason.Detail = fmt.Sprintf("it has run (began %s, failed), and was removed since; to run it again: kubectl fluxjob rerun %s", began, c.Object.Key())
	case "", report.Skipped, report.TimedOut, report.Interrupted:
		c.Action = plan.Blocked
		c.Reason.Detail = fmt.Sprintf("it began at %s and was gone before its end was seen, so that nobody knows what it did; to run it again: kubectl fluxjob rerun %s", began, c.Object.Key())
	}
	c.Fields = []plan.Field{}
	c.Job.WillRun, c.Job.WaitFor = false, ""
}
