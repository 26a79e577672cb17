package e2e

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// TestWithoutFlux plans, applies and prunes on a cluster that has never heard of
// Flux. It does not run in parallel: later tests define Flux's kind.
func TestWithoutFlux(t *testing.T) {
	if fluxIsDefined.Load() {
		t.Skip("with -count, a test of the round before has defined Flux's kind")
	}
	s := newSpace(t, files{"flux.yaml": kustomization("app"), "app/a.yaml": configMap("a", "1"), "app/b.yaml": configMap("b", "1") + job("migrate", "app:1", mark("ran"))})
	if _, err := s.in("Kustomization", s.ns).List(t.Context(), metav1.ListOptions{}); !errors.IsNotFound(err) {
		t.Fatalf("the cluster serves Kustomizations: %v", err)
	}
	p := s.plan(3)
	equal(t, "inventory", p.step("app").Inventory, plan.Inventory{Kept: plan.KeptByPlugin, Prune: true, DeletionPolicy: plan.DeleteAll})
	s.apply(0)
	s.plan(0)
	equal(t, "inventory", s.inventory("app"), []string{s.ns + "_a__ConfigMap", s.ns + "_b__ConfigMap", s.ns + "_migrate_batch_Job"})
	s.remove("app/b.yaml")
	s.apply(0)
	s.absent("ConfigMap/b", "Job/migrate")
	equal(t, "marks", s.marks(), []string{"ran"})
}
