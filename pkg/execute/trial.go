package execute

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

// trial takes writes and does them as server-side dry-runs.
type trial struct{ cluster Cluster }

// Delete is the dry-run of deleting the object.
func (t trial) Delete(ctx context.Context, ref object.Ref, uid string, propagation metav1.DeletionPropagation) error {
	return t.cluster.DryRunDelete(ctx, ref, uid, propagation)
}

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
