package execute

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/health"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// vanished is a cluster from which an object has gone before anybody watched.
type vanished struct{ Cluster }

// Get finds nothing.
func (vanished) Get(_ context.Context, ref object.Ref) (*unstructured.Unstructured, error) {
	return nil, apierrors.NewNotFound(schema.GroupResource{Group: ref.Group, Resource: "jobs"}, ref.Name)
}

// Watch has nothing to tell.
func (vanished) Watch(context.Context, object.Ref) (<-chan cluster.Seen, error) {
	return make(chan cluster.Seen), nil
}

func TestAJobThatWentBeforeItWasWatched(t *testing.T) {
	for name, tt := range map[string]struct{ ttl, waits bool }{
		"its TTL may have removed it": {ttl: true},
		"nothing may have removed it": {waits: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				reader, err := health.NewReader(plan.Wait{})
				if err != nil {
					t.Fatal(err)
				}
				s := &stepRun{run: &run{cluster: vanished{}}, health: reader}
				err = s.healthy(ctx, target{ref: jobRef, object: written(jobRef), absentIsDone: tt.ttl})
				if _, waits := errors.AsType[*errWaiting](err); waits != tt.waits || err != nil && !waits {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}
