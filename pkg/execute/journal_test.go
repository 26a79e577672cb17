package execute

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// journal writes down what it is told.
type journal struct {
	t       *testing.T
	mu      sync.Mutex
	entries []string
	// beside returns the requests made so far.
	beside          func() []string
	intend, started error
}

func (j *journal) note(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, text)
}

// Intend notes that a Job is about to be created.
func (j *journal) Intend(_ context.Context, run JobRun) error {
	if run.UID != "" || run.Desired == "" || run.Step != key("app") {
		j.t.Errorf("the intent is %v", run)
	}
	if j.beside != nil && len(j.beside()) > 0 {
		j.t.Errorf("the intent comes after %v", j.beside())
	}
	j.note("intend " + run.Job.Name)
	return j.intend
}

// Started notes that it was.
func (j *journal) Started(_ context.Context, run JobRun) error {
	j.note("started " + run.Job.Name + " " + run.UID)
	return j.started
}

// Ended notes how it ended.
func (j *journal) Ended(_ context.Context, run JobRun, outcome JobOutcome) error {
	j.note("ended " + run.Job.Name + " " + run.UID + " " + string(outcome))
	return nil
}

func TestJournal(t *testing.T) {
	job := named("Job", "migrate")
	play(t, "of a new Job", func(s *scene) {
		j := &journal{t: s.t, beside: func() []string { return s.made("apply", "delete") }}
		s.opts.Journal = j
		s.only(thing(job, "1"))
		s.ends(report.Done)
		same(s.t, "journal", j.entries, []string{"intend migrate", "started migrate uid-1", "ended migrate uid-1 complete"})
	})
	play(t, "of a recreation that fails", func(s *scene) {
		j := &journal{t: s.t, beside: func() []string { return s.made("apply", "delete") }}
		s.opts.Journal = j
		s.exists(thing(job, "1"))
		s.jobs["migrate"] = jobScript{end: "Failed"}
		s.step("app", s.recreates(thing(job, "2")))
		s.ends(report.Failed)
		same(s.t, "journal", j.entries, []string{"intend migrate", "started migrate uid-1", "ended migrate uid-1 failed"})
	})
	play(t, "of a Job that vanishes", func(s *scene) {
		j := &journal{t: s.t}
		s.opts.Journal = j
		s.only(thing(job, "1"))
		s.jobs["migrate"] = jobScript{end: "never"}
		s.on = func(e report.Event) {
			if e.Type == report.JobStarted {
				s.vanish(job, e.UID)
			}
		}
		s.ends(report.Failed)
		same(s.t, "journal", j.entries, []string{"intend migrate", "started migrate uid-1", "ended migrate uid-1 unknown"})
	})
	play(t, "of other objects is empty", func(s *scene) {
		j := &journal{t: s.t}
		s.opts.Journal = j
		s.step("app", s.creates(thing(configRef, "1")))
		s.ends(report.Done)
		same(s.t, "journal", j.entries, nil)
	})
	for _, action := range []plan.Action{plan.Create, plan.Recreate} {
		play(t, "that cannot be written keeps a Job from being written: "+string(action), func(s *scene) {
			s.opts.Journal = &journal{t: s.t, intend: errors.New("no space left")}
			if action == plan.Recreate {
				s.exists(thing(job, "1"))
			}
			s.step("app", s.change(thing(job, "2"), action))
			r := s.ends(report.Failed)
			says(s.t, r.Steps[0].Message, "Job/shop/migrate was left as it is", "no space left")
			same(s.t, "writes", s.made("apply", "delete"), nil)
		})
	}
	play(t, "that cannot be written afterwards is told", func(s *scene) {
		s.opts.Journal = &journal{t: s.t, started: errors.New("no space left")}
		s.only(thing(job, "1"))
		s.ends(report.Done)
		same(s.t, "notices", s.told(report.Notice), []string{"notice Job/migrate this could not be recorded: no space left"})
	})
	play(t, "of a Job that goes on after an interrupt has no end", func(s *scene) {
		j := &journal{t: s.t}
		s.opts.Journal = j
		s.jobs["migrate"] = jobScript{runs: time.Hour}
		s.only(thing(job, "1"))
		s.outcome(s.run(s.interruptAt("watch Pod/uid-1", nil)), report.Interrupted)
		same(s.t, "journal", j.entries, []string{"intend migrate", "started migrate uid-1"})
	})
}
