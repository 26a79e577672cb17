package execute

import (
	"cmp"
	"context"
	"fmt"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/runtime/cel"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/health"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// requeueDependency is how long the controller waits until it asks again
// whether a dependency is ready (--requeue-dependency).
const requeueDependency = 30 * time.Second

// awaitReady waits until what the step says of its dependencies is true.
func (s *stepRun) awaitReady(ctx context.Context) error {
	var targets []target
	for i := range s.step.ReadyExprs {
		e := &s.step.ReadyExprs[i]
		targets = append(targets, target{ref: cluster.KustomizationRef(e.Kustomization), ready: e})
	}
	err := s.waitFor(ctx, targets, s.timeout())
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w before anything was applied", interrupted(ctx))
	}
	return err
}

// satisfied waits until the expression is true of the live dependency. Without
// one nothing changes what it is evaluated on, so that it has to be true at once.
func (s *stepRun) satisfied(ctx context.Context, t target) error {
	expr, err := health.NewReadyExpr(t.ready.Expr)
	if err != nil {
		return err
	}
	dep, err := s.liveKustomization(ctx, t.ready.Kustomization)
	if err != nil {
		return s.ended(ctx, t.ref, "not seen yet", err)
	}
	state, err := s.evaluate(ctx, expr, t.ready, dep)
	if state == "" || err != nil {
		return s.ended(ctx, t.ref, state, err)
	}
	if dep == nil {
		return notReady(t.ready, state)
	}
	s.emit(report.Event{Type: report.Notice, Message: fmt.Sprintf("waits for %s: %s", t.ready.Kustomization, state)})
	seen, err := s.cluster.Watch(ctx, t.ref)
	if err != nil {
		return s.ended(ctx, t.ref, state, err)
	}
	again := time.NewTicker(requeueDependency)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return &errWaiting{t.ref, state}
		case <-again.C: // The expression may ask for what changes in the step's own Kustomization.
		case next := <-seen:
			switch {
			case next.Err != nil:
				return next.Err
			case next.Deleted:
				return notReady(t.ready, "it was deleted")
			}
			dep = next.Object
		}
		if state, err = s.evaluate(ctx, expr, t.ready, dep); state == "" || err != nil {
			return s.ended(ctx, t.ref, state, err)
		}
	}
}

func notReady(e *plan.ReadyExpr, state string) error {
	return fmt.Errorf("dependency %s is not ready, and there is no live Kustomization that could become so: %s", e.Kustomization, state)
}

// evaluate returns "" if the expression is true, and otherwise why it is not.
// dep is the live dependency, nil if there is none.
func (s *stepRun) evaluate(ctx context.Context, expr *cel.Expression, e *plan.ReadyExpr, dep *unstructured.Unstructured) (state string, err error) {
	self, err := s.liveKustomization(ctx, s.step.Kustomization)
	if err != nil {
		return "", err
	}
	dependent, err := variable(self, s.manifest(s.step.Kustomization))
	if err != nil {
		return "", err
	}
	dependency, err := variable(dep, reconciled(s.manifest(e.Kustomization), s.revisions[e.Kustomization]))
	if err != nil {
		return "", err
	}
	// The controller reads the dependency in a way that leaves these out.
	unstructured.RemoveNestedField(dependency, "apiVersion")
	unstructured.RemoveNestedField(dependency, "kind")
	switch ready, err := expr.EvaluateBoolean(ctx, map[string]any{health.Self: dependent, health.Dep: dependency}); {
	case err != nil:
		return err.Error(), nil //nolint:nilerr // the controller, too, asks again later
	case !ready:
		return "the readyExpr is false: " + e.Expr, nil
	}
	return "", nil
}

// liveKustomization returns the live Kustomization, nil if there is none.
func (s *stepRun) liveKustomization(ctx context.Context, key object.Key) (*unstructured.Unstructured, error) {
	ref := cluster.KustomizationRef(key)
	live, err := s.read(ctx, ref)
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return nil, nil
	case err != nil:
		return nil, s.refused("read", ref, err)
	}
	return live, nil
}

// manifest returns a copy of a Kustomization of the plan as it would be when it
// was just created.
func (s *stepRun) manifest(key object.Key) *kustomizev1.Kustomization {
	k := &kustomizev1.Kustomization{}
	if known := s.opts.Kustomizations[key]; known != nil {
		known.DeepCopyInto(k)
	}
	k.APIVersion, k.Kind = kustomizev1.GroupVersion.String(), kustomizev1.KustomizationKind
	k.Generation = 1
	k.Status = kustomizev1.KustomizationStatus{}
	return k
}

// noRevision stands for the revision of a tree that has none, as it is not in
// Git: after a reconciliation the controller always names one.
const noRevision = "local"

// reconciled gives k the status that the controller would give it after what the
// run has done for it: its step is done.
func reconciled(k *kustomizev1.Kustomization, revision string) *kustomizev1.Kustomization {
	revision = cmp.Or(revision, noRevision)
	k.Status.ObservedGeneration = k.Generation
	k.Status.LastAppliedRevision, k.Status.LastAttemptedRevision = revision, revision
	k.Status.Conditions = []metav1.Condition{{
		Type: "Ready", Status: metav1.ConditionTrue, Reason: "ReconciliationSucceeded", Message: "Applied revision: " + revision,
		ObservedGeneration: k.Generation, LastTransitionTime: metav1.Now(),
	}}
	return k
}

// variable returns what an expression sees of the live Kustomization or, if it
// is nil, of the manifest: the fields that the controller's type knows.
func variable(live *unstructured.Unstructured, manifest *kustomizev1.Kustomization) (map[string]any, error) {
	if live != nil {
		manifest = &kustomizev1.Kustomization{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, manifest); err != nil {
			return nil, fmt.Errorf("read Kustomization %s/%s: %w", live.GetNamespace(), live.GetName(), err)
		}
	}
	return runtime.DefaultUnstructuredConverter.ToUnstructured(manifest)
}
