package execute

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/diff"
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
	jobs map[string]<-chan cluster.Seen
}

// step runs one step to its end.
func (r *run) step(ctx context.Context, s *plan.Step) report.Step {
	start := time.Now()
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	sr := &stepRun{run: r, step: s, applied: map[string]*unstructured.Unstructured{}, gone: map[string]bool{}, jobs: map[string]<-chan cluster.Seen{}}
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
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	if err := s.watchJobs(watching); err != nil {
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
// so that no state of theirs is missed, however short.
func (s *stepRun) watchJobs(ctx context.Context) error {
	for i := range s.step.Changes {
		c := &s.step.Changes[i]
		if c.Job == nil || (c.Action != plan.Recreate && !s.follows(c)) {
			continue
		}
		seen, err := s.cluster.Watch(ctx, c.Object)
		if err != nil {
			return err
		}
		s.jobs[c.Object.ID()] = seen
	}
	return nil
}

func (s *stepRun) apply(ctx context.Context) error {
	for i := range s.step.Changes {
		c := &s.step.Changes[i]
		if i > 0 && s.step.Changes[i-1].Stage != c.Stage {
			if err := s.settle(ctx, s.step.Changes[i-1].Stage); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w before %s was applied", errInterrupted, c.Object)
		}
		var err error
		switch c.Action {
		case plan.Create:
			err = s.create(ctx, c)
		case plan.Update:
			err = s.update(ctx, c)
		case plan.Recreate:
			err = s.recreate(ctx, c)
		case plan.Delete, plan.Unchanged, plan.Skip:
		case plan.Blocked, plan.Unknown:
			err = fmt.Errorf("%s is %s: %s", c.Object, c.Action, c.Reason.Detail)
		}
		if err != nil {
			return err
		}
	}
	return s.settle(ctx, s.lastStage())
}

// lastStage is the stage of the last object that is not to be pruned. Another
// step may need the definitions of it.
func (s *stepRun) lastStage() int {
	stage := 0
	for i := range s.step.Changes {
		stage = max(stage, s.step.Changes[i].Stage)
	}
	return stage
}

// settle waits until the cluster and class definitions that a stage wrote can
// be used.
func (s *stepRun) settle(ctx context.Context, stage int) error {
	if stage != 1 && stage != 2 {
		return nil
	}
	var targets []target
	for i := range s.step.Changes {
		if c := &s.step.Changes[i]; c.Stage == stage && s.applied[c.Object.ID()] != nil {
			targets = append(targets, target{ref: c.Object, object: s.applied[c.Object.ID()]})
		}
	}
	if len(targets) == 0 {
		return nil
	}
	return s.waitFor(ctx, targets, stageTimeout)
}

func (s *stepRun) create(ctx context.Context, c *plan.Change) error {
	desired, err := s.want(c)
	if err != nil {
		return err
	}
	return s.write(ctx, c, desired)
}

func (s *stepRun) write(ctx context.Context, c *plan.Change, desired *unstructured.Unstructured) error {
	now, err := s.cluster.Apply(ctx, desired)
	if c.Reason.Code == plan.AfterCRD && notServed(err) {
		now, err = s.writeWhenServed(ctx, desired)
	}
	if err != nil {
		return s.refused("apply", c.Object, err)
	}
	s.wrote(c, now)
	return nil
}

// writeWhenServed applies an object of a kind that came or changed with this
// plan. The API server begins to serve it so a moment after its definition is
// established.
func (s *stepRun) writeWhenServed(ctx context.Context, desired *unstructured.Unstructured) (now *unstructured.Unstructured, last error) {
	backoff := wait.Backoff{Duration: 20 * time.Millisecond, Factor: 2, Cap: time.Second, Steps: 20}
	err := wait.ExponentialBackoffWithContext(ctx, backoff, func(ctx context.Context) (bool, error) {
		s.cluster.Refresh()
		now, last = s.cluster.Apply(ctx, desired)
		return !notServed(last), nil
	})
	if last == nil {
		last = err
	}
	return now, last
}

// notServed says whether err can be about a kind, or a new form of it, that the
// API server does not know yet.
func notServed(err error) bool {
	return err != nil && (meta.IsNoMatchError(err) || apierrors.IsNotFound(err) || apierrors.IsInvalid(err) || strings.Contains(err.Error(), "field not declared in schema"))
}

// want returns the rendered object that the plan speaks of.
func (s *stepRun) want(c *plan.Change) (*unstructured.Unstructured, error) {
	desired := s.desired[c.Desired]
	if desired == nil {
		return nil, fmt.Errorf("%s: the rendered object %s is not at hand", c.Object, c.Desired)
	}
	return desired, nil
}

func (s *stepRun) wrote(c *plan.Change, now *unstructured.Unstructured) {
	s.applied[c.Object.ID()] = now
	s.emit(report.Event{Type: report.ObjectApplied, Object: &c.Object, Action: c.Action, UID: string(now.GetUID())})
}

// update takes over what belongs to other tools, where the controller does, and
// applies. It writes only to the object that the plan saw, and leaves alone what
// the plan ignores.
func (s *stepRun) update(ctx context.Context, c *plan.Change) error {
	desired, err := s.want(c)
	if err != nil {
		return err
	}
	live, err := s.cluster.Get(ctx, c.Object)
	if err != nil {
		return s.refused("update", c.Object, err)
	}
	if string(live.GetUID()) != c.Live.UID {
		return replaced(c)
	}
	var dryRun *unstructured.Unstructured
	if len(c.Ignored) > 0 {
		if dryRun, err = s.cluster.DryRun(ctx, desired); err != nil {
			return s.refused("update", c.Object, err)
		}
	}
	if diff.TakesOver(desired, live) {
		if live, err = s.cluster.TakeOver(ctx, live); err != nil {
			return s.refused("take over", c.Object, err)
		}
	}
	if dryRun != nil {
		if desired, err = diff.Payload(desired, live, dryRun, c.Ignored); err != nil {
			return fmt.Errorf("update %s: spec.ignore: %w", c.Object, err)
		}
	}
	return s.write(ctx, c, desired)
}

// refused says what the server answered, in its words but without the objects
// and secrets that it may quote. An interrupt stays recognisable.
func (s *stepRun) refused(doing string, ref object.Ref, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: it is unknown whether this took effect: %s %s", errInterrupted, doing, ref)
	}
	return fmt.Errorf("%s %s: %s", doing, ref, diff.Explain(ref, err, s.opts.Mask))
}

func replaced(c *plan.Change) error {
	return fmt.Errorf("%s is not the object that was planned for any more: plan again", c.Object)
}

// recreate deletes the object that the plan saw, waits until it and its pods
// are gone, and creates the new one. Once it has begun it is not interrupted:
// an object that was deleted is created again first.
func (s *stepRun) recreate(ctx context.Context, c *plan.Change) error {
	desired, err := s.want(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout()+stageTimeout)
	defer cancel()
	seen := s.jobs[c.Object.ID()]
	if seen == nil {
		if seen, err = s.cluster.Watch(ctx, c.Object); err != nil {
			return err
		}
	}
	err = s.cluster.Delete(ctx, c.Object, c.Live.UID, metav1.DeletePropagationForeground)
	switch {
	case apierrors.IsNotFound(err):
	case apierrors.IsConflict(err):
		return replaced(c)
	case err != nil:
		return s.refused("delete", c.Object, err)
	default:
		if err := gone(ctx, seen, c); err != nil {
			return err
		}
		s.emit(report.Event{Type: report.ObjectDeleted, Object: &c.Object, Action: plan.Recreate, UID: c.Live.UID})
	}
	now, err := s.createAnew(ctx, desired)
	if err != nil {
		return fmt.Errorf("%s was deleted and could not be created again, run apply once more: %w", c.Object, s.refused("create", c.Object, err))
	}
	s.wrote(c, now)
	return nil
}

// gone waits until the watched object with the planned UID is deleted.
func gone(ctx context.Context, seen <-chan cluster.Seen, c *plan.Change) error {
	var last *unstructured.Unstructured
	for {
		select {
		case now := <-seen:
			switch {
			case now.Err != nil:
				return now.Err
			case now.Deleted && string(now.Object.GetUID()) == c.Live.UID:
				return nil
			}
			last = now.Object
		case <-ctx.Done():
			why := ""
			if last != nil && len(last.GetFinalizers()) > 0 {
				why = fmt.Sprintf(" (finalizers: %v)", last.GetFinalizers())
			}
			return fmt.Errorf("%s is still being deleted%s: %w", c.Object, why, errTimeout)
		}
	}
}

// createAnew applies an object whose predecessor was just deleted. It tries again
// while the server cannot answer, because giving up would lose the object.
func (s *stepRun) createAnew(ctx context.Context, desired *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	var now *unstructured.Unstructured
	var last error
	backoff := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Cap: 5 * time.Second, Steps: 20, Jitter: 0.1}
	err := wait.ExponentialBackoffWithContext(ctx, backoff, func(ctx context.Context) (bool, error) {
		now, last = s.cluster.Apply(ctx, desired)
		if last != nil && (apierrors.IsInvalid(last) || apierrors.IsForbidden(last) || apierrors.IsBadRequest(last)) {
			return false, last
		}
		return last == nil, nil
	})
	if err != nil && last != nil {
		return nil, last
	}
	return now, err
}

// prune deletes what the step no longer renders. Like the controller, it goes
// on after an error and does not wait.
func (s *stepRun) prune(ctx context.Context) error {
	var errs []error
	for i := range s.step.Changes {
		c := &s.step.Changes[i]
		if c.Action != plan.Delete {
			continue
		}
		if ctx.Err() != nil {
			return errors.Join(append(errs, fmt.Errorf("%w before %s was deleted", errInterrupted, c.Object))...)
		}
		err := s.cluster.Delete(ctx, c.Object, c.Live.UID, metav1.DeletePropagationBackground)
		switch {
		case apierrors.IsConflict(err):
			errs = append(errs, replaced(c))
		case err != nil && !apierrors.IsNotFound(err):
			errs = append(errs, s.refused("delete", c.Object, err))
		default:
			s.gone[c.Object.ID()] = true
			s.emit(report.Event{Type: report.ObjectDeleted, Object: &c.Object, Action: plan.Delete, UID: c.Live.UID})
		}
	}
	return errors.Join(errs...)
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
	created, err := s.cluster.SaveInventory(ctx, s.step.Kustomization, inventory)
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
