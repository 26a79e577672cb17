package execute

import (
	"context"
	"fmt"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// Journal is told what becomes of the Jobs of a run, so that a later run knows
// of one that was killed. Its methods are called from several goroutines, repeat
// by themselves what can be repeated, and are not called in a dry-run.
type Journal interface {
	// Intend is called before a Job is created, or deleted to be created again.
	// If it fails, neither is done, and the step fails.
	Intend(ctx context.Context, run JobRun) error
	// Started is called when the new Job is there.
	Started(ctx context.Context, run JobRun) error
	// Ended is called when the end of a Job was seen, also of one that an earlier
	// run has started, or when there is no end to be seen any more.
	Ended(ctx context.Context, run JobRun, outcome JobOutcome) error
}

// JobRun is one run of a Job.
type JobRun struct {
	Step object.Key
	Job  object.Ref
	// Desired is the digest of the rendered Job.
	Desired string
	// UID is that of the Job that runs; Intend does not know it.
	UID string
	// Before is the UID of the Job that it takes the place of, "" if there is none.
	Before string
}

// JobOutcome is how a Job ended.
type JobOutcome string

// The outcomes of a Job.
const (
	JobComplete JobOutcome = "complete"
	JobFailed   JobOutcome = "failed"
	JobUnknown  JobOutcome = "unknown" // it vanished before its end was seen
)

// intend records that the Job is about to be created.
func (s *stepRun) intend(ctx context.Context, c *plan.Change) error {
	if s.opts.Journal == nil || !c.Object.IsJob() {
		return nil
	}
	if err := s.opts.Journal.Intend(ctx, s.jobRun(c, "")); err != nil {
		return fmt.Errorf("%s was left as it is: that it is about to run could not be recorded: %w", c.Object, err)
	}
	return nil
}

// started records that the Job is there.
func (s *stepRun) started(ctx context.Context, c *plan.Change, uid string) {
	if s.opts.Journal == nil || !c.Object.IsJob() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stageTimeout)
	defer cancel()
	s.unrecorded(c, uid, s.opts.Journal.Started(ctx, s.jobRun(c, uid)))
}

// over records how the Job ended.
func (s *stepRun) over(ctx context.Context, c *plan.Change, uid string, outcome JobOutcome) {
	if s.opts.Journal == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stageTimeout)
	defer cancel()
	s.unrecorded(c, uid, s.opts.Journal.Ended(ctx, s.jobRun(c, uid), outcome))
}

func (s *stepRun) jobRun(c *plan.Change, uid string) JobRun {
	run := JobRun{Step: s.step.Kustomization, Job: c.Object, Desired: c.Desired, UID: uid}
	if c.Action == plan.Recreate {
		run.Before = c.Live.UID
	}
	return run
}

func (s *stepRun) unrecorded(c *plan.Change, uid string, err error) {
	if err != nil {
		s.emit(report.Event{Type: report.Notice, Object: &c.Object, UID: uid, Message: "this could not be recorded: " + err.Error()})
	}
}
