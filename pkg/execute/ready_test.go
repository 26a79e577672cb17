package execute

import (
	"context"
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	gocmp "github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fluxjob/kubectl-fluxjob/pkg/health"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// living is a cluster that holds nothing but some Kustomizations.
type living struct {
	Cluster
	byName map[string]*unstructured.Unstructured
	err    error
}

// Get returns the Kustomization.
func (l living) Get(_ context.Context, ref object.Ref) (*unstructured.Unstructured, error) {
	if live := l.byName[ref.Name]; live != nil {
		return live, nil
	}
	return nil, l.err
}

func TestEvaluateReadyExpr(t *testing.T) {
	notFound := apierrors.NewNotFound(schema.GroupResource{Group: "kustomize.toolkit.fluxcd.io", Resource: "kustomizations"}, "x")
	notServed := &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "kustomize.toolkit.fluxcd.io", Kind: "Kustomization"}}
	live := func(name string, status map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
			"metadata": map[string]any{"name": name, "namespace": "flux-system", "generation": int64(7)},
			"spec":     map[string]any{"interval": "1m", "path": "./live", "unknown": true},
			"status":   status,
		}}
	}
	updated := map[string]any{"lastAppliedRevision": "main@sha1:old", "observedGeneration": int64(6)}
	none := living{err: notFound}
	tests := []struct {
		name    string
		expr    string
		cluster living
		want    string
	}{
		{"both manifests", "self.spec.path == './app' && dep.spec.path == './db' && self.metadata.name == 'app'", none, ""},
		{"a cluster without Flux", "dep.spec.path == './db'", living{err: notServed}, ""},
		{
			"without a live dependency, the status that the run established",
			"dep.status.lastAppliedRevision == 'main@sha1:new' && dep.status.observedGeneration == dep.metadata.generation && " +
				"dep.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True' && c.reason == 'ReconciliationSucceeded')", none, "",
		},
		{"the step itself was never reconciled", "!has(self.status.conditions)", none, ""},
		{"the live dependency", "dep.spec.path == './live' && dep.status.lastAppliedRevision == 'main@sha1:old' && dep.status.observedGeneration < dep.metadata.generation", living{byName: map[string]*unstructured.Unstructured{"db": live("db", updated)}, err: notFound}, ""},
		{"the live Kustomization of the step", "self.spec.path == './live' && dep.spec.path == './db'", living{byName: map[string]*unstructured.Unstructured{"app": live("app", nil)}, err: notFound}, ""},
		{"only what the controller's type knows", "!has(dep.spec.unknown) && has(dep.spec.prune)", living{byName: map[string]*unstructured.Unstructured{"db": live("db", updated)}, err: notFound}, ""},
		{"the kind of the dependency is not there, as for the controller", "!has(dep.kind) && self.kind == 'Kustomization'", none, ""},
		{"false", "dep.spec.path == './app'", none, "the readyExpr is false: dep.spec.path == './app'"},
		{"a field that is missing", "dep.status.nope == 'x'", none, "failed to evaluate the CEL expression 'dep.status.nope == 'x'': no such key: nope"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expr, err := health.NewReadyExpr(tt.expr)
			if err != nil {
				t.Fatal(err)
			}
			manifest := func(name string) *kustomizev1.Kustomization {
				return &kustomizev1.Kustomization{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "flux-system"}, Spec: kustomizev1.KustomizationSpec{Path: "./" + name}}
			}
			s := &stepRun{
				run: &run{
					cluster: tt.cluster, revisions: map[object.Key]string{key("db"): "main@sha1:new"},
					opts: Options{Kustomizations: map[object.Key]*kustomizev1.Kustomization{key("app"): manifest("app"), key("db"): manifest("db")}},
				},
				step: &plan.Step{Kustomization: key("app")},
			}
			dep := tt.cluster.byName["db"]
			got, err := s.evaluate(t.Context(), expr, &plan.ReadyExpr{Kustomization: key("db"), Expr: tt.expr}, dep)
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestReconciledNamesARevision(t *testing.T) {
	for _, revision := range []string{"", "main@sha1:new"} {
		k := reconciled(&kustomizev1.Kustomization{}, revision)
		if k.Status.LastAppliedRevision == "" || k.Status.LastAppliedRevision != k.Status.LastAttemptedRevision {
			t.Errorf("of %q: applied %q, attempted %q", revision, k.Status.LastAppliedRevision, k.Status.LastAttemptedRevision)
		}
	}
}
