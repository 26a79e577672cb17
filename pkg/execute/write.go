package execute

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fluxjob/kubectl-fluxjob/pkg/diff"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

const (
	// writesAtOnce is how many objects of a step are written side by side.
	writesAtOnce = 16
	// podPoll is the pause between two looks at the pods of a deleted Job.
	podPoll = 250 * time.Millisecond
	// shortTTL is a TTL after which a Job may be gone before it is known whether
	// it was created.
	shortTTL = 10 * time.Minute
)

// apply brings the objects of the step to what the plan says, one stage of the
// controller's after the other.
func (s *stepRun) apply(ctx context.Context) error {
	for _, stage := range stages(s.step.Changes) {
		for _, c := range stage {
			if c.Action == plan.Blocked || c.Action == plan.Unknown {
				return fmt.Errorf("%s is %s: %s", c.Object, c.Action, c.Reason.Detail)
			}
		}
		if err := s.proveStage(ctx, stage); err != nil {
			return err
		}
		for _, batch := range batches(stage) {
			if err := s.writeBatch(ctx, batch); err != nil {
				return err
			}
		}
		if err := s.settle(ctx, stage[0].Stage); err != nil {
			return err
		}
	}
	return nil
}

// stages cuts what is applied into the controller's stages; deletes have none.
func stages(changes []plan.Change) [][]*plan.Change {
	var all [][]*plan.Change
	for i := range changes {
		c := &changes[i]
		if c.Stage == 0 {
			continue
		}
		if n := len(all); n == 0 || all[n-1][0].Stage != c.Stage {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], c)
	}
	return all
}

// batches cuts a stage into what is written side by side: the objects of one
// kind. The kinds keep the controller's order, as a RoleBinding may need its
// Role, but Jobs come after all that they may read. Only the admission webhooks
// come later still, as they do for the controller: what serves them may not be up.
func batches(stage []*plan.Change) [][]*plan.Change {
	var first, jobs, last []*plan.Change
	for _, c := range stage {
		switch {
		case c.Object.IsJob():
			jobs = append(jobs, c)
		case c.Object.Kind == "MutatingWebhookConfiguration", c.Object.Kind == "ValidatingWebhookConfiguration":
			last = append(last, c)
		default:
			first = append(first, c)
		}
	}
	var all [][]*plan.Change
	for _, changes := range [][]*plan.Change{first, jobs, last} {
		for i, c := range changes {
			if i == 0 || changes[i-1].Object.Kind != c.Object.Kind || changes[i-1].Object.Group != c.Object.Group {
				all = append(all, nil)
			}
			all[len(all)-1] = append(all[len(all)-1], c)
		}
	}
	return all
}

// inOrder calls do for all items, at most so many at once, and then take for
// each result, one after the other and in the order of the items.
func inOrder[T, R any](items []T, atOnce int, do func(T) R, take func(T, R)) {
	results := make([]chan R, len(items))
	for i := range results {
		results[i] = make(chan R, 1)
	}
	var group errgroup.Group
	group.SetLimit(atOnce)
	go func() {
		for i, item := range items {
			group.Go(func() error {
				results[i] <- do(item)
				return nil
			})
		}
	}()
	for i, item := range items {
		take(item, <-results[i])
	}
}

// proveStage makes sure that the server takes every object of a stage as it is
// now, if anything of the stage is deleted to be created again.
func (s *stepRun) proveStage(ctx context.Context, stage []*plan.Change) error {
	deletes := false
	for _, c := range stage {
		deletes = deletes || c.Action == plan.Recreate
	}
	if !deletes || s.opts.DryRun { // which asks for each object anyway
		return nil
	}
	var refused []error
	inOrder(stage, writesAtOnce, func(c *plan.Change) error {
		switch c.Action {
		case plan.Create, plan.Update:
			_, err := s.put(ctx, trial{s.cluster}, c)
			return err
		case plan.Recreate:
			return s.proveReplacement(ctx, c)
		case plan.Delete, plan.Unchanged, plan.Skip, plan.Blocked, plan.Unknown:
		}
		return nil
	}, func(_ *plan.Change, err error) { refused = collect(refused, err) })
	if len(refused) > 0 {
		return fmt.Errorf("nothing was deleted or written: the dry-run that goes before a deletion failed: %w", errors.Join(refused...))
	}
	return nil
}

// proveReplacement makes sure that the server would create the object anew.
func (s *stepRun) proveReplacement(ctx context.Context, c *plan.Change) error {
	desired, err := s.want(c)
	if err != nil {
		return err
	}
	replacement := diff.Replacement(desired)
	if replacement == nil {
		return nil
	}
	err = persist(ctx, again, func(ctx context.Context) error {
		_, err := s.cluster.DryRun(ctx, replacement)
		return err
	})
	if err != nil {
		return s.refused("recreate", c.Object, err)
	}
	return nil
}

// writeBatch writes objects side by side, and then recreates what is to be
// recreated one after the other.
func (s *stepRun) writeBatch(ctx context.Context, batch []*plan.Change) error {
	var beside, alone []*plan.Change
	for _, c := range batch {
		switch c.Action {
		case plan.Create, plan.Update:
			beside = append(beside, c)
		case plan.Recreate:
			alone = append(alone, c)
		case plan.Delete, plan.Unchanged, plan.Skip, plan.Blocked, plan.Unknown:
		}
	}
	if err := s.writeBeside(ctx, beside); err != nil {
		return err
	}
	for _, c := range alone {
		now, err := s.recreate(ctx, c)
		if err != nil {
			return err
		}
		s.wrote(c, now)
	}
	return nil
}

// writeBeside creates and updates objects side by side. After an error it begins
// no more, and ends when all that were begun have an end.
func (s *stepRun) writeBeside(ctx context.Context, changes []*plan.Change) error {
	type written struct {
		tried bool
		now   *unstructured.Unstructured
		err   error
	}
	var failed atomic.Bool
	var errs []error
	inOrder(changes, writesAtOnce, func(c *plan.Change) (w written) {
		if failed.Load() {
			return w
		}
		if ctx.Err() != nil {
			w.err = fmt.Errorf("%w before %s was applied", interrupted(ctx), c.Object)
		} else {
			w.tried = true
			w.now, w.err = s.put(ctx, s.writer(), c)
		}
		if w.err != nil {
			failed.Store(true)
		}
		return w
	}, func(c *plan.Change, w written) {
		switch {
		case w.now != nil:
			s.wrote(c, w.now)
		case w.tried && w.err == nil:
			s.emit(report.Event{Type: report.Notice, Object: &c.Object, Message: "not tried, " + c.Reason.Detail})
		}
		errs = collect(errs, w.err)
	})
	return errors.Join(errs...)
}

// collect adds an error; an interrupt is told once.
func collect(errs []error, err error) []error {
	if err == nil || len(errs) > 0 && errors.Is(err, errInterrupted) {
		return errs
	}
	return append(errs, err)
}

// settle waits until the cluster and class definitions that a stage wrote can
// be used.
func (s *stepRun) settle(ctx context.Context, stage int) error {
	if stage != 1 && stage != 2 || s.opts.DryRun {
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

// writer is where changes are written to.
func (s *stepRun) writer() objects {
	if s.opts.DryRun {
		return trial{s.cluster}
	}
	return s.cluster
}

// objects is where a change can be written to.
type objects interface {
	Apply(ctx context.Context, u *unstructured.Unstructured) (*unstructured.Unstructured, error)
	TakeOver(ctx context.Context, live *unstructured.Unstructured) (*unstructured.Unstructured, error)
	Delete(ctx context.Context, ref object.Ref, uid string, propagation metav1.DeletionPropagation) error
}

// put creates or updates one object. In a dry-run it returns none for an object
// that can be tried only when another one is there.
func (s *stepRun) put(ctx context.Context, to objects, c *plan.Change) (now *unstructured.Unstructured, err error) {
	desired, err := s.want(c)
	if err != nil {
		return nil, err
	}
	if c.Action == plan.Update {
		err = persist(ctx, s.repeated(c), func(ctx context.Context) error {
			now, err = s.update(ctx, to, c, desired)
			return err
		})
	} else {
		now, err = s.create(ctx, to, c, desired)
	}
	switch {
	case s.opts.DryRun && comesFirst(c, err):
		return nil, nil
	case err != nil:
		return nil, s.refused("apply", c.Object, err)
	}
	return now, nil
}

// comesFirst says whether err is of a namespace or a kind that comes with the plan.
func comesFirst(c *plan.Change, err error) bool {
	return c.Reason.Code == plan.AfterNamespace && apierrors.IsNotFound(err) || c.Reason.Code == plan.AfterCRD && notServed(err)
}

// create writes an object that was not there when the plan was made.
func (s *stepRun) create(ctx context.Context, to objects, c *plan.Change, desired *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if !c.Object.IsJob() {
		return s.place(ctx, to, c, desired, s.repeated(c))
	}
	if err := s.absent(ctx, c); err != nil {
		return nil, err
	}
	if _, dry := to.(trial); dry {
		return s.place(ctx, to, c, desired, s.repeated(c))
	}
	if err := s.intend(ctx, c); err != nil {
		return nil, settled{err}
	}
	now, err := s.place(ctx, to, c, desired, s.repeated(c))
	if err == nil {
		s.started(ctx, c, string(now.GetUID()))
	}
	return now, err
}

// repeated says of which errors a write is repeated. The API server begins to
// serve a kind that comes or changes with this plan a moment after its definition
// is established.
func (s *stepRun) repeated(c *plan.Change) func(error) bool {
	return func(err error) bool {
		if c.Reason.Code == plan.AfterCRD && notServed(err) && !s.opts.DryRun {
			s.cluster.Refresh()
			return true
		}
		return again(err)
	}
}

// absent makes sure that nobody has created a Job since the plan was made.
func (s *stepRun) absent(ctx context.Context, c *plan.Change) error {
	return persist(ctx, again, func(ctx context.Context) error {
		_, err := s.cluster.Get(ctx, c.Object)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err == nil:
			return settled{fmt.Errorf("%s was created since the plan was made: plan again", c.Object)}
		}
		return err
	})
}

// place applies an object that does not exist, and does so again if the answer
// is lost: nothing comes of that if the object is there. A Job that may have run
// and been removed in the meantime is looked for first, so that it does not run
// twice.
func (s *stepRun) place(ctx context.Context, to objects, c *plan.Change, desired *unstructured.Unstructured, repeat func(error) bool) (*unstructured.Unstructured, error) {
	before := ""
	if c.Live != nil {
		before = c.Live.UID
	}
	var now *unstructured.Unstructured
	_, dry := to.(trial)
	lost := false
	err := persist(ctx, repeat, func(ctx context.Context) (err error) {
		if seen := s.jobs[c.Object.ID()]; lost && seen != nil && vanishes(desired) {
			if now = seen.appeared(ctx, before); now != nil {
				return nil
			}
		}
		now, err = to.Apply(ctx, desired)
		lost = lost || !dry && tookEffect(err)
		return err
	})
	return now, err
}

// vanishes says whether a Job is removed soon after its end.
func vanishes(job *unstructured.Unstructured) bool {
	ttl, found, _ := unstructured.NestedInt64(job.Object, "spec", "ttlSecondsAfterFinished")
	return found && time.Duration(ttl)*time.Second < shortTTL
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
	uid := string(now.GetUID())
	if s.opts.DryRun && c.Action != plan.Update {
		uid = "" // of nothing
	}
	s.emit(report.Event{Type: report.ObjectApplied, Object: &c.Object, Action: c.Action, UID: uid})
}

// update takes over what belongs to other tools, where the controller does, and
// applies. It writes only to the object that the plan saw, and leaves alone what
// the plan ignores. It reads what it goes by, so that it can be repeated.
func (s *stepRun) update(ctx context.Context, to objects, c *plan.Change, desired *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	live, err := s.cluster.Get(ctx, c.Object)
	if err != nil {
		return nil, err
	}
	if string(live.GetUID()) != c.Live.UID {
		return nil, replaced(c)
	}
	var dryRun *unstructured.Unstructured
	if len(c.Ignored) > 0 {
		if dryRun, err = s.cluster.DryRun(ctx, desired); err != nil {
			return nil, err
		}
	}
	if diff.TakesOver(desired, live) {
		if live, err = to.TakeOver(ctx, live); err != nil {
			return nil, err
		}
	}
	if dryRun != nil {
		if desired, err = diff.Payload(desired, live, dryRun, c.Ignored); err != nil {
			return nil, settled{fmt.Errorf("update %s: spec.ignore: %w", c.Object, err)}
		}
	}
	return to.Apply(ctx, desired)
}

// refused says what the server answered, in its words but without the objects
// and secrets that it may quote. An interrupt stays recognisable, as does what
// is no answer of the server's.
func (s *stepRun) refused(doing string, ref object.Ref, err error) error {
	if errors.Is(err, errInterrupted) {
		return fmt.Errorf("%w: %s %s", err, doing, ref)
	}
	if own, is := errors.AsType[settled](err); is {
		return errors.New(s.opts.Mask.Text(own.Error()))
	}
	return fmt.Errorf("%s %s: %s", doing, ref, diff.Explain(ref, err, s.opts.Mask))
}

func replaced(c *plan.Change) error {
	return settled{fmt.Errorf("%s is not the object that was planned for any more: plan again", c.Object)}
}

// recreate deletes the object that the plan saw, waits until it and its pods
// are gone, and creates the new one. Once it has begun it is not interrupted:
// an object that was deleted is created again first.
func (s *stepRun) recreate(ctx context.Context, c *plan.Change) (*unstructured.Unstructured, error) {
	desired, err := s.want(c)
	if err != nil {
		return nil, err
	}
	// Recreations before this one may have taken long.
	if err := s.proveReplacement(ctx, c); err != nil {
		return nil, err
	}
	if s.opts.DryRun {
		if _, err := s.delete(ctx, c, metav1.DeletePropagationForeground); err != nil && !apierrors.IsNotFound(err) {
			return nil, s.refused("delete", c.Object, err)
		}
		s.emit(report.Event{Type: report.ObjectDeleted, Object: &c.Object, Action: plan.Recreate, UID: c.Live.UID})
		return desired, nil
	}
	if err := s.intend(ctx, c); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w before %s was deleted", interrupted(ctx), c.Object)
	}
	deleting, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout()+stageTimeout)
	defer cancel()
	if err := s.clear(deleting, c); err != nil {
		return nil, err
	}
	creating, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout()+stageTimeout)
	defer cancel()
	refusable := time.Now().Add(patience)
	now, err := s.place(creating, s.cluster, c, desired, func(err error) bool {
		// The server has taken the object a moment ago: giving up would lose it.
		return time.Now().Before(refusable) || again(err)
	})
	if err != nil {
		return nil, lostObject(c, s.refused("create", c.Object, err))
	}
	s.started(ctx, c, string(now.GetUID()))
	return now, nil
}

// clear deletes the object that the plan saw, and waits until it and its pods
// are gone.
func (s *stepRun) clear(ctx context.Context, c *plan.Change) error {
	seen := s.jobs[c.Object.ID()]
	if seen == nil {
		states, err := s.cluster.Watch(ctx, c.Object)
		if err != nil {
			return err
		}
		seen = &sight{seen: states}
	}
	lost, err := s.delete(ctx, c, metav1.DeletePropagationForeground)
	switch {
	case err == nil:
		if err := gone(ctx, seen, c); err != nil {
			return err
		}
	case !apierrors.IsNotFound(err):
		return s.refused("delete", c.Object, err)
	}
	if err == nil || lost {
		s.emit(report.Event{Type: report.ObjectDeleted, Object: &c.Object, Action: plan.Recreate, UID: c.Live.UID})
	}
	if err := s.vacated(ctx, c); err != nil {
		return lostObject(c, err)
	}
	return nil
}

func lostObject(c *plan.Change, err error) error {
	return fmt.Errorf("%s was deleted and could not be created again, run apply once more: %w", c.Object, err)
}

// delete deletes the object that the plan saw, and no other. It says whether the
// answer to an attempt was lost: what is not found may then have been deleted by it.
func (s *stepRun) delete(ctx context.Context, c *plan.Change, propagation metav1.DeletionPropagation) (lost bool, err error) {
	err = persist(ctx, again, func(ctx context.Context) error {
		err := s.writer().Delete(ctx, c.Object, c.Live.UID, propagation)
		if apierrors.IsConflict(err) {
			// The UID is another one, or somebody else wrote at the same time.
			if live, getErr := s.cluster.Get(ctx, c.Object); getErr == nil && string(live.GetUID()) != c.Live.UID {
				return replaced(c)
			}
		}
		lost = lost || tookEffect(err)
		return err
	})
	return lost, err
}

// gone waits until the watched object with the planned UID is deleted.
func gone(ctx context.Context, seen *sight, c *plan.Change) error {
	var last *unstructured.Unstructured
	for {
		now, more := seen.next(ctx)
		switch {
		case !more:
			why := ""
			if last != nil && len(last.GetFinalizers()) > 0 {
				why = fmt.Sprintf(" (finalizers: %v)", last.GetFinalizers())
			}
			return fmt.Errorf("%s is still being deleted%s: %w", c.Object, why, errTimeout)
		case now.Err != nil:
			return now.Err
		case string(now.Object.GetUID()) != c.Live.UID:
			// A watch that was broken may skip the end of the old one.
			return replaced(c)
		case now.Deleted:
			return nil
		}
		last = now.Object
	}
}

// vacated waits until no pod of the Job that the plan saw runs any more. It is
// there for a Job that somebody else has deleted, or whose youngest pod the
// garbage collector had not seen yet.
func (s *stepRun) vacated(ctx context.Context, c *plan.Change) error {
	if !c.Object.IsJob() {
		return nil
	}
	running := ""
	err := wait.PollUntilContextCancel(ctx, podPoll, true, func(ctx context.Context) (bool, error) {
		pods, err := s.cluster.Pods(ctx, c.Object.Namespace, c.Live.UID)
		switch {
		case apierrors.IsForbidden(err):
			s.emit(report.Event{Type: report.Notice, Object: &c.Object, Message: "whether pods of the deleted Job still run cannot be seen: " + err.Error()})
			return true, nil
		case err != nil:
			running = err.Error()
			return false, nil //nolint:nilerr // it is asked again
		}
		running = ""
		for i := range pods {
			if phase := pods[i].Status.Phase; phase != corev1.PodSucceeded && phase != corev1.PodFailed {
				running = "pod " + pods[i].Name + " of the old one still runs"
			}
		}
		return running == "", nil
	})
	if err != nil {
		return fmt.Errorf("%w: %s", errTimeout, running)
	}
	return nil
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
			return errors.Join(append(errs, fmt.Errorf("%w before %s was deleted", interrupted(ctx), c.Object))...)
		}
		if _, err := s.delete(ctx, c, metav1.DeletePropagationBackground); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, s.refused("delete", c.Object, err))
			continue
		}
		s.gone[c.Object.ID()] = true
		s.emit(report.Event{Type: report.ObjectDeleted, Object: &c.Object, Action: plan.Delete, UID: c.Live.UID})
	}
	return errors.Join(errs...)
}
