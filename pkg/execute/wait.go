package execute

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/health"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// target is one object that is waited for.
type target struct {
	ref object.Ref
	// object is the state known so far, or nil.
	object *unstructured.Unstructured
	// job is set where the Job's own end counts, and not Flux's reading of it.
	job *plan.Change
	// ready is set where the Kustomization ref is waited for until it is ready.
	ready *plan.ReadyExpr
	// absentIsDone says that the object counts as healthy when it is gone, as
	// the controller has it for Jobs with a TTL.
	absentIsDone bool
}

// follows says whether the step waits for the end of this Job itself. Under
// WaitFlux Jobs are read as the controller reads them.
func (s *stepRun) follows(c *plan.Change) bool {
	if c.Job == nil || s.opts.Wait == WaitFlux {
		return false
	}
	switch c.Action {
	case plan.Create, plan.Recreate, plan.Update:
		return true
	case plan.Unchanged:
		// What was complete when the plan was made stays so.
		return c.Job.Last != plan.Complete
	case plan.Delete, plan.Skip, plan.Blocked, plan.Unknown:
	}
	return false
}

func (s *stepRun) timeout() time.Duration {
	if s.opts.Timeout > 0 {
		return s.opts.Timeout
	}
	return time.Duration(s.step.Wait.TimeoutSeconds * float64(time.Second))
}

// wait waits for all that the step owes its dependents.
func (s *stepRun) wait(ctx context.Context) error {
	return s.waitFor(ctx, s.targets(), s.timeout())
}

// targets lists what is waited for: the Jobs, and what spec.wait or
// spec.healthChecks ask for.
func (s *stepRun) targets() []target {
	var targets []target
	followed, ttl := map[string]bool{}, map[string]bool{}
	for i := range s.step.Changes {
		c := &s.step.Changes[i]
		id := c.Object.ID()
		ttl[id] = s.hasTTL(c)
		switch {
		case c.Action == plan.Delete || c.Action == plan.Skip || c.Reason.Code == plan.Pruned:
		case s.follows(c):
			// Expressions about Jobs count as well where the controller asks them.
			followed[id] = !s.health.DecidesJobs()
			targets = append(targets, target{ref: c.Object, object: s.applied[id], job: c})
			if !followed[id] && (s.step.Wait.All || s.opts.Wait == WaitAll) {
				targets = append(targets, target{ref: c.Object, object: s.applied[id], absentIsDone: s.hasTTL(c)})
			}
		case (s.step.Wait.All || s.opts.Wait == WaitAll) && !s.isStep(c.Object):
			followed[id] = true
			targets = append(targets, target{ref: c.Object, object: s.applied[id], absentIsDone: s.hasTTL(c)})
		}
	}
	for _, ref := range s.step.Wait.HealthChecks {
		if !followed[ref.ID()] && !s.isStep(ref) {
			targets = append(targets, target{ref: ref, object: s.applied[ref.ID()], absentIsDone: ttl[ref.ID()]})
		}
	}
	return targets
}

// isStep says whether ref is a Kustomization of the plan: the step's own, which
// the controller does not wait for either, or one whose step what depends on
// this one comes after.
func (s *stepRun) isStep(ref object.Ref) bool {
	// The controller knows itself by kind, namespace and name alone.
	return ref.Kind == "Kustomization" && ref.Key() == s.step.Kustomization || ref.IsKustomization() && s.planned[ref.Key()]
}

func (s *stepRun) hasTTL(c *plan.Change) bool {
	desired := s.desired[c.Desired]
	if desired == nil || c.Job == nil {
		return false
	}
	_, found, _ := unstructured.NestedFieldNoCopy(desired.Object, "spec", "ttlSecondsAfterFinished")
	return found
}

// waitFor waits for all targets at once. The first that fails ends the wait.
func (s *stepRun) waitFor(ctx context.Context, targets []target, timeout time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	errs := make([]error, len(targets))
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() {
			if errs[i] = s.waitForOne(bounded, t); errs[i] != nil && bounded.Err() == nil {
				cancel()
			}
		})
	}
	all.Wait()
	return s.verdict(ctx, errs, timeout)
}

// errWaiting is the error of a target that was still on its way when the wait
// ended.
type errWaiting struct {
	ref   object.Ref
	state string
}

func (e *errWaiting) Error() string { return e.ref.String() + ": " + e.state }

// verdict sums up how a wait ended: by failures, by an interrupt, or by its
// timeout.
func (s *stepRun) verdict(ctx context.Context, errs []error, timeout time.Duration) error {
	var failed []error
	var waiting []string
	for _, err := range errs {
		if still, waits := errors.AsType[*errWaiting](err); waits {
			waiting = append(waiting, still.Error())
		} else if err != nil {
			failed = append(failed, err)
		}
	}
	switch {
	case len(failed) > 0:
		return errors.Join(failed...)
	case len(waiting) == 0:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w; in flight, and going on in the cluster: %s", interrupted(ctx), strings.Join(waiting, "; "))
	}
	return fmt.Errorf("%w after %s waiting for %s; --timeout waits longer", errTimeout, timeout, strings.Join(waiting, "; "))
}

func (s *stepRun) waitForOne(ctx context.Context, t target) error {
	switch {
	case t.ready != nil:
		return s.satisfied(ctx, t)
	case t.job != nil:
		return s.followJob(ctx, t)
	}
	return s.healthy(ctx, t)
}

// healthy waits until the object is healthy by the controller's rules.
func (s *stepRun) healthy(ctx context.Context, t target) error {
	if t.object == nil {
		if live, err := s.cluster.Get(ctx, t.ref); err == nil {
			t.object = live
		}
	}
	state := "not found"
	if t.object != nil {
		now := s.health.Read(ctx, t.object)
		if now.Phase == health.Done {
			return nil
		}
		state = now.Message
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	seen, err := s.watchWhenServed(ctx, t.ref)
	if err != nil {
		return s.ended(ctx, t.ref, state, err)
	}
	if t.absentIsDone {
		// A watch does not tell of what was gone before it began.
		if _, err := s.cluster.Get(ctx, t.ref); apierrors.IsNotFound(err) {
			return nil
		}
	}
	for {
		select {
		case <-ctx.Done():
			return &errWaiting{t.ref, state}
		case next := <-seen:
			switch {
			case next.Err != nil:
				return next.Err
			case next.Deleted && t.absentIsDone:
				return nil
			case next.Deleted:
				state = "not found"
				continue
			}
			now := s.health.Read(ctx, next.Object)
			switch now.Phase {
			case health.Done, health.Suspended:
				return nil
			case health.Failed:
				return fmt.Errorf("%s failed: %s", t.ref, now.Message)
			case health.Progressing:
				state = now.Message
			}
		}
	}
}

// watchWhenServed watches an object whose kind may not be served yet: for the
// controller it is not found until then.
func (s *stepRun) watchWhenServed(ctx context.Context, ref object.Ref) (seen <-chan cluster.Seen, err error) {
	_ = wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		if seen, err = s.cluster.Watch(ctx, ref); meta.IsNoMatchError(err) {
			s.cluster.Refresh()
			return false, nil
		}
		return true, nil
	})
	return seen, err
}

// ended tells an error that the end of ctx caused from one of its own.
func (*stepRun) ended(ctx context.Context, ref object.Ref, state string, err error) error {
	if err != nil && ctx.Err() != nil {
		return &errWaiting{ref, state}
	}
	return err
}
