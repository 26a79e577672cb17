// Package execute runs a plan in dependency order and reports what happens. It
// knows nothing of sources, kustomize or flags: it needs a plan, the rendered
// objects and a cluster.
package execute

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/diff"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// Reader reads objects, and asks what writing them would come to.
type Reader interface {
	Get(ctx context.Context, ref object.Ref) (*unstructured.Unstructured, error)
	DryRun(ctx context.Context, u *unstructured.Unstructured) (*unstructured.Unstructured, error)
	DryRunDelete(ctx context.Context, ref object.Ref, uid string, propagation metav1.DeletionPropagation) error
}

// Writer changes objects.
type Writer interface {
	Apply(ctx context.Context, u *unstructured.Unstructured) (*unstructured.Unstructured, error)
	TakeOver(ctx context.Context, live *unstructured.Unstructured) (*unstructured.Unstructured, error)
	Delete(ctx context.Context, ref object.Ref, uid string, propagation metav1.DeletionPropagation) error
	SaveInventory(ctx context.Context, key object.Key, inv plan.Inventory) (createdNamespace bool, err error)
}

// Watcher follows objects.
type Watcher interface {
	Watch(ctx context.Context, ref object.Ref) (<-chan cluster.Seen, error)
	WatchPods(ctx context.Context, namespace, jobUID string) (<-chan cluster.Seen, error)
	WatchWarnings(ctx context.Context, namespace string) (<-chan cluster.Seen, error)
	Refresh()
}

// Logs reads what the pods of a Job said, and what was said of them.
type Logs interface {
	Pods(ctx context.Context, namespace, jobUID string) ([]corev1.Pod, error)
	Warnings(ctx context.Context, namespace string) ([]corev1.Event, error)
	LogTail(ctx context.Context, pod *corev1.Pod, container string, lines int64) (string, error)
	LogStream(ctx context.Context, namespace, pod, container string) (io.ReadCloser, error)
}

// Cluster is what running a plan asks of the API server.
type Cluster interface {
	Reader
	Writer
	Watcher
	Logs
}

// Wait says what a step waits for after its objects were applied.
type Wait string

// The values of Wait. Each but WaitFlux waits for every Job of the step.
const (
	WaitJobs Wait = "jobs" // and for what spec.wait and spec.healthChecks ask for
	WaitFlux Wait = "flux" // only for what spec.wait and spec.healthChecks ask for
	WaitAll  Wait = "all"  // and for every object of the step
)

// LogMode says which logs are shown.
type LogMode string

// The values of LogMode.
const (
	LogsFailed LogMode = "failed" // the last lines of a failed Job's containers
	LogsAll    LogMode = "all"    // every line of every Job, as it is written
	LogsNone   LogMode = "none"
)

// Options says how to run a plan.
type Options struct {
	Wait Wait
	Logs LogMode
	// DryRun makes every write a server-side dry-run, and waits for nothing.
	DryRun bool
	// Journal is told of the Jobs that are created; nil for none.
	Journal Journal
	// Timeout bounds the wait of each step; 0 takes the Kustomization's own.
	Timeout time.Duration
	// FailFast ends a step as failed when a Job of it does not get on by itself.
	FailFast bool
	// Parallelism bounds how many steps run at once.
	Parallelism int
	// Kustomizations are the manifests of the plan's Kustomizations, for the
	// expressions that say when a dependency is ready.
	Kustomizations map[object.Key]*kustomizev1.Kustomization
	// Mask hides secret values in what is emitted.
	Mask diff.Mask
	// Emit is given every event, from one goroutine.
	Emit func(report.Event)
}

// run is one execution. Workers only read it and send; Run owns all state.
type run struct {
	cluster Cluster
	desired map[string]*unstructured.Unstructured
	// planned are the Kustomizations that are steps of the plan.
	planned map[object.Key]bool
	opts    Options
	// revisions are those of the steps' sources.
	revisions map[object.Key]string
	events    chan report.Event
}

// Run executes an applyable plan. desired holds the rendered objects by their
// digest. When ctx ends, nothing new is written, and what is in flight is brought
// to a state in which no Job is missing; the cause of ctx is told.
func Run(ctx context.Context, c Cluster, p *plan.Plan, desired map[string]*unstructured.Unstructured, opts Options) *report.Report {
	if opts.DryRun {
		emit := opts.Emit
		opts.Journal, opts.Emit = nil, func(e report.Event) {
			e.DryRun = true
			emit(e)
		}
	}
	r := &run{
		cluster: c, desired: desired, planned: map[object.Key]bool{}, opts: opts,
		revisions: map[object.Key]string{}, events: make(chan report.Event),
	}
	for i := range p.Steps {
		r.planned[p.Steps[i].Kustomization] = true
		r.revisions[p.Steps[i].Kustomization] = p.Steps[i].Source.Revision
	}
	start := time.Now()
	opts.Emit(report.Event{Type: report.RunStarted, Time: start, Message: p.Digest})
	steps := r.steps(ctx, p.Steps)
	end := &report.Report{Steps: steps, Outcome: report.Worst(steps), Seconds: since(start)}
	if ctx.Err() != nil && end.Outcome != report.Done {
		end.Outcome = report.Interrupted
	}
	opts.Emit(report.Event{Type: report.RunDone, Time: time.Now(), Message: string(end.Outcome), Seconds: end.Seconds})
	return end
}

// steps starts each step when all that it depends on is done, and returns how
// each ended, in the order of the plan.
func (r *run) steps(ctx context.Context, steps []plan.Step) []report.Step {
	type result struct {
		index int
		step  report.Step
	}
	results := make(chan result)
	ended := make([]*report.Step, len(steps))
	started := make([]bool, len(steps))
	running := 0
	for {
		for i := range steps {
			if started[i] || running >= r.opts.Parallelism || ctx.Err() != nil || !ready(steps, ended, i) {
				continue
			}
			started[i] = true
			running++
			go func() { results <- result{i, r.step(ctx, &steps[i])} }()
		}
		if running == 0 {
			break
		}
		select {
		case e := <-r.events:
			r.opts.Emit(e)
		case done := <-results:
			running--
			ended[done.index] = &done.step
			r.skipDependents(steps, ended)
		}
	}
	all := make([]report.Step, len(steps))
	for i := range steps {
		if ended[i] == nil {
			ended[i] = r.skip(&steps[i], fmt.Sprintf("the run was %s before it began", interrupted(ctx)))
		}
		all[i] = *ended[i]
	}
	return all
}

// ready says whether all that the step depends on is done. Where an expression
// says when a dependency is ready, the controller asks only that. A step of the
// run is waited for nevertheless: the expression may be true of what was there
// before the run, and the step is to find what the run makes of it.
func ready(steps []plan.Step, ended []*report.Step, i int) bool {
	for j := range steps {
		if slices.Contains(steps[i].After, steps[j].Kustomization) && (ended[j] == nil || ended[j].Outcome != report.Done) {
			return false
		}
	}
	return ended[i] == nil
}

// skipDependents ends the steps that wait for one that did not succeed.
func (r *run) skipDependents(steps []plan.Step, ended []*report.Step) {
	for i := range steps {
		for j := range steps {
			if ended[i] == nil && ended[j] != nil && ended[j].Outcome != report.Done && slices.Contains(steps[i].After, steps[j].Kustomization) {
				ended[i] = r.skip(&steps[i], fmt.Sprintf("%s, which %s", relation(&steps[i], steps[j].Kustomization), outcomeText(ended[j].Outcome)))
			}
		}
	}
}

// relation says why the step comes after another one.
func relation(s *plan.Step, other object.Key) string {
	switch {
	case s.Parent != nil && *s.Parent == other:
		return fmt.Sprintf("it is rendered by %s", other)
	case slices.Contains(s.DependsOn, other):
		return fmt.Sprintf("it depends on %s", other)
	}
	return fmt.Sprintf("what it depends on waits for %s", other)
}

func outcomeText(o report.Outcome) string {
	switch o {
	case report.Skipped:
		return "was skipped"
	case report.TimedOut:
		return "timed out"
	case report.Interrupted:
		return "was interrupted"
	case report.Failed, report.Done:
		return string(o)
	}
	return string(o)
}

func (r *run) skip(s *plan.Step, why string) *report.Step {
	r.opts.Emit(report.Event{Type: report.StepSkipped, Time: time.Now(), Kustomization: &s.Kustomization, Message: why})
	return &report.Step{Kustomization: s.Kustomization, Outcome: report.Skipped, Message: why}
}

func since(t time.Time) float64 { return time.Since(t).Round(time.Millisecond).Seconds() }
