package execute

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
)

// trial takes writes and does them as server-side dry-runs.
type trial struct{ cluster Cluster }

// Apply is the dry-run of applying u.
func (t trial) Apply(ctx context.Context, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	return t.cluster.DryRun(ctx, u)
}

// TakeOver returns live as it would be, without a request.
func (trial) TakeOver(_ context.Context, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	taken, err := cluster.TakenOver(live)
	if taken == nil {
		return live, err
	}
	return taken, err
}
