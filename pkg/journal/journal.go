// Package journal writes down in the cluster what a run does, so that a later
// one can go on after it was killed, and people can see what there was.
package journal

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fluxjob/kubectl-fluxjob/pkg/execute"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// Store keeps runs, those of one namespace's Kustomizations together.
type Store interface {
	History(ctx context.Context, namespace string) ([]report.Run, error)
	SaveRun(ctx context.Context, namespace string, run report.Run, before []report.Run) error
}

// saveTimeout bounds one record.
const saveTimeout = 30 * time.Second

// Journal is the record of one run. Its methods may be called side by side.
type Journal struct {
	store Store
	now   func() time.Time
	pages map[string]*page
}

// page is the record of the run in one namespace.
type page struct {
	before []report.Run

	mu  sync.Mutex
	run report.Run
	// written says that there is something to tell of.
	written bool
	// edits counts what was noted, and saved how much of that is stored.
	edits, saved int

	// saving is held by who stores the page.
	saving chan struct{}
}

// Open begins the record of a run of the plan. A run that neither writes nor
// goes on with one before leaves no record.
func Open(ctx context.Context, store Store, run report.Run, p *plan.Plan) (*Journal, error) {
	j := &Journal{store: store, now: time.Now, pages: map[string]*page{}}
	run.Started, run.Plan = j.now(), p.Digest
	for i := range p.Steps {
		s := &p.Steps[i]
		namespace := s.Kustomization.Namespace
		if j.pages[namespace] == nil {
			before, err := store.History(ctx, namespace)
			if err != nil {
				return nil, err
			}
			j.pages[namespace] = &page{run: run, before: before, saving: make(chan struct{}, 1), written: len(before) > 0 && before[0].Outcome != report.Done}
		}
		page := j.pages[namespace]
		page.run.Kustomizations = append(page.run.Kustomizations, s.Kustomization)
		for k := range s.Changes {
			page.written = page.written || s.Changes[k].Action.Writes()
		}
	}
	for namespace, page := range j.pages {
		if err := j.save(ctx, namespace, page, page.edit(func() {})); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// save stores the page as it is now. Who comes while it is being stored is
// served, together with all who wait, by one store after it.
func (j *Journal) save(ctx context.Context, namespace string, p *page, edit int) error {
	p.saving <- struct{}{}
	defer func() { <-p.saving }()
	p.mu.Lock()
	run, edits, stored := p.run, p.edits, p.saved >= edit || !p.written
	run.Jobs = slices.Clone(run.Jobs)
	p.mu.Unlock()
	if stored {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	if err := j.store.SaveRun(ctx, namespace, run, p.before); err != nil {
		return err
	}
	p.saved = edits
	return nil
}

// Intend implements execute.Journal, as do Started and Ended.
func (j *Journal) Intend(ctx context.Context, run execute.JobRun) error {
	return j.note(ctx, run, func(r *report.JobRun) {
		*r = report.JobRun{Object: run.Job, Desired: run.Desired, Began: j.now(), Before: run.Before}
	})
}

// Started writes down that the Job is there.
func (j *Journal) Started(ctx context.Context, run execute.JobRun) error {
	return j.note(ctx, run, func(r *report.JobRun) { r.UID = run.UID })
}

// Ended writes down how the Job ended. Of one whose end was not seen it is
// written down that there was such a Job.
func (j *Journal) Ended(ctx context.Context, run execute.JobRun, outcome execute.JobOutcome) error {
	return j.note(ctx, run, func(r *report.JobRun) {
		r.UID = run.UID
		switch outcome {
		case execute.JobComplete:
			r.Outcome = report.Done
		case execute.JobFailed:
			r.Outcome = report.Failed
		case execute.JobUnknown:
		}
	})
}

// note edits the entry of the Job in that form and saves the page.
func (j *Journal) note(ctx context.Context, run execute.JobRun, edit func(*report.JobRun)) error {
	p := j.pages[run.Step.Namespace]
	number := p.edit(func() {
		p.written = true
		for i := range p.run.Jobs {
			if r := &p.run.Jobs[i]; r.Object.ID() == run.Job.ID() && r.Desired == run.Desired {
				edit(r)
				return
			}
		}
		p.run.Jobs = append(p.run.Jobs, report.JobRun{Object: run.Job, Desired: run.Desired, Began: j.now()})
		edit(&p.run.Jobs[len(p.run.Jobs)-1])
	})
	return j.save(ctx, run.Step.Namespace, p, number)
}

// edit changes the page and returns the number of the change.
func (p *page) edit(change func()) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.edits++
	return p.edits
}

// Close writes down how the run ended.
func (j *Journal) Close(ctx context.Context, outcome report.Outcome) error {
	for namespace, p := range j.pages {
		number := p.edit(func() { p.run.Ended, p.run.Outcome = new(j.now()), outcome })
		if err := j.save(ctx, namespace, p, number); err != nil {
			return err
		}
	}
	return nil
}
