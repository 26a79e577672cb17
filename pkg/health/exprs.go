package health

import (
	"context"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling/engine"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// Reader reads objects as kustomize-controller does for one Kustomization: by
// the expressions of spec.healthCheckExprs where there are any for the kind, and
// otherwise as Flux does. The zero Reader has no expressions.
type Reader struct {
	exprs engine.StatusReader
	// jobs says that the expressions are asked about Jobs too.
	jobs bool
}

// NewReader parses the expressions of a Kustomization. It answers the
// controller's error if one cannot be parsed or two are for the same kind.
func NewReader(w plan.Wait) (Reader, error) {
	if len(w.HealthCheckExprs) == 0 {
		return Reader{}, nil
	}
	checks := make([]kustomize.CustomHealthCheck, len(w.HealthCheckExprs))
	for i, e := range w.HealthCheckExprs {
		checks[i] = kustomize.CustomHealthCheck{
			APIVersion: e.APIVersion, Kind: e.Kind,
			HealthCheckExpressions: kustomize.HealthCheckExpressions{Current: e.Current, InProgress: e.InProgress, Failed: e.Failed},
		}
	}
	make, err := cel.NewStatusReader(checks)
	if err != nil {
		return Reader{}, err
	}
	// The mapper serves to look objects up, and they are given here.
	return Reader{exprs: make(nil), jobs: w.ExprsForJobs}, nil
}

// DecidesJobs says whether the expressions decide on the health of Jobs.
func (r Reader) DecidesJobs() bool {
	return r.exprs != nil && r.jobs && r.exprs.Supports(schema.GroupKind{Group: "batch", Kind: "Job"})
}

// Read says where the object stands. An expression that cannot be evaluated, as
// a field is missing that it asks for, does not end the wait.
func (r Reader) Read(ctx context.Context, u *unstructured.Unstructured) State {
	ref := object.RefOf(u)
	if r.exprs == nil || !r.exprs.Supports(ref.GVK().GroupKind()) || ref.IsJob() && !r.jobs {
		return Flux(u)
	}
	read, err := r.exprs.ReadStatusForObject(ctx, nil, u)
	if err == nil {
		err = read.Error
	}
	if err != nil {
		return State{Progressing, err.Error()}
	}
	state := stateOf(read.Status, read.Message)
	switch state.Phase {
	case Failed:
		state.Message = "the expression failed of spec.healthCheckExprs is true"
	case Progressing:
		state.Message = "not current by spec.healthCheckExprs"
	case Done, Suspended:
	}
	return state
}
