package execute

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/health"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// stageTimeout is how long the controller waits for the definitions of a stage
// to become usable before it begins the next stage (fluxcd/pkg/ssa
// DefaultApplyOptions).
const stageTimeout = time.Minute

var (
	// errTimeout marks an error that says what was waited for in vain.
	errTimeout = errors.New("timed out")
	// errInterrupted marks an error that says where an interrupt found a step.
	errInterrupted = errors.New("interrupted")
)

// stepRun is one step under way.
type stepRun struct {
	*run
	step *plan.Step
	// health reads what spec.wait and spec.healthChecks ask for.
	health health.Reader
	// applied holds the state of every object that this step wrote, by ID.
	applied map[string]*unstructured.Unstructured
	// gone lists the objects that this step deleted for good, by ID.
	gone map[string]bool
	// jobs are the watches that were opened before anything was written.
	jobs map[string]*sight
}

// step runs one step to its end.
func (r *run) step(ctx context.Context, s *plan.Step) report.Step {
	start := time.Now()
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	sr := &stepRun{run: r, step: s, applied: map[string]*unstructured.Unstructured{}, gone: map[string]bool{}, jobs: map[string]*sight{}}
	sr.emit(report.Event{Type: report.StepStarted})
	err := sr.execute(ctx, watching)
	end := report.Step{Kustomization: s.Kustomization, Outcome: report.Done, Seconds: since(start)}
	if err == nil {
		sr.emit(report.Event{Type: report.StepDone, Seconds: end.Seconds})
		return end
	}
	end.Message = r.opts.Mask.Text(err.Error())
	switch {
	case errors.Is(err, errTimeout):
		end.Outcome = report.TimedOut
	case errors.Is(err, errInterrupted):
		end.Outcome = report.Interrupted
	default:
		end.Outcome = report.Failed
	}
	sr.emit(report.Event{Type: report.StepFailed, Message: end.Message, Seconds: end.Seconds})
	return end
}

// emit sends an event of this step.
func (s *stepRun) emit(e report.Event) {
	e.Time, e.Kustomization, e.Message = time.Now(), &s.step.Kustomization, s.opts.Mask.Text(e.Message)
	s.events <- e
}

// execute applies, prunes, records and waits, in the controller's order.
// watching outlives ctx, so that a recreation can be finished after an
// interrupt.
func (s *stepRun) execute(ctx, watching context.Context) (err error) {
	if s.health, err = health.NewReader(s.step.Wait); err != nil {
		return fmt.Errorf("spec.healthCheckExprs: %w", err)
	}
	if s.opts.DryRun {
		if err := s.apply(ctx); err != nil {
			return err
		}
		return s.prune(ctx)
	}
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	if err := s.watchJobs(ctx, watching); err != nil {
		return err
	}
	err = s.apply(ctx)
	if err == nil {
		err = s.prune(ctx)
	}
	// What was written is recorded even if the step failed half-way.
	if saveErr := s.record(context.WithoutCancel(ctx), err == nil); err == nil {
		err = saveErr
	}
	if err != nil {
		return err
	}
	return s.wait(ctx)
}

// watchJobs begins to watch every Job of the step before anything is written,
// so that no state of theirs is missed, however short. The watches outlive ctx;
// its end only ends the attempt to open them.
func (s *stepRun) watchJobs(ctx, watching context.Context) error {
	opening, cancel := context.WithCancel(watching)
	stop := context.AfterFunc(ctx, cancel)
	var jobs []*plan.Change
	for i := range s.step.Changes {
		if c := &s.step.Changes[i]; c.Job != nil && (s.follows(c) || c.Action == plan.Recreate || c.Action == plan.Create && s.hasTTL(c)) {
			jobs = append(jobs, c)
		}
	}
	type opened struct {
		seen <-chan cluster.Seen
		err  error
	}
	var failed error
	inOrder(jobs, writesAtOnce, func(c *plan.Change) opened {
		seen, err := s.cluster.Watch(opening, c.Object)
		return opened{seen, err}
	}, func(c *plan.Change, o opened) {
		s.jobs[c.Object.ID()] = &sight{seen: o.seen}
		if failed == nil {
			failed = o.err
		}
	})
	if !stop() {
		return fmt.Errorf("%w before anything was applied", interrupted(ctx))
	}
	return failed
}

// record saves the inventory, unless the live Flux object holds it.
func (s *stepRun) record(ctx context.Context, complete bool) error {
	if s.step.Inventory.Kept != plan.KeptByPlugin {
		return nil
	}
	inventory := plan.Inventory{Entries: s.inventory(complete), DeletionPolicy: s.step.Inventory.DeletionPolicy}
	if sameEntries(inventory.Entries, s.step.Inventory.Entries) && !s.step.Inventory.Outdated {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stageTimeout)
	defer cancel()
	created := false
	err := persist(ctx, again, func(ctx context.Context) error {
		made, err := s.cluster.SaveInventory(ctx, s.step.Kustomization, inventory)
		created = created || made
		return err
	})
	if created {
		s.emit(report.Event{Type: report.Notice, Message: fmt.Sprintf(
			"created namespace %s, in which the inventory of Kustomization %s is kept", s.step.Kustomization.Namespace, s.step.Kustomization.Name)})
	}
	return err
}

// inventory returns what there is of this step's objects now. After a complete
// run it is what the step renders, and what it could not prune; the controller
// also forgets what it may not prune. After a failed one it is what was there
// before and what was written since.
func (s *stepRun) inventory(complete bool) []plan.Entry {
	entries := []plan.Entry{}
	known := map[string]bool{}
	add := func(ref object.Ref) {
		if id := ref.ID(); !known[id] && !s.gone[id] {
			known[id] = true
			entries = append(entries, plan.Entry{ID: id, Version: ref.Version})
		}
	}
	for i := range s.step.Changes {
		c := &s.step.Changes[i]
		rendered := c.Desired != ""
		if rendered && (complete || s.applied[c.Object.ID()] != nil) {
			add(c.Object)
		}
	}
	if !complete {
		for _, e := range s.step.Inventory.Entries {
			if ref, err := object.ParseID(e.ID, e.Version); err == nil {
				add(ref)
			}
		}
	}
	return entries
}

func sameEntries(a, b []plan.Entry) bool {
	if len(a) != len(b) {
		return false
	}
	in := map[plan.Entry]bool{}
	for _, e := range a {
		in[e] = true
	}
	for _, e := range b {
		if !in[e] {
			return false
		}
	}
	return true
}
