package e2e

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// healthBy makes a Kustomization wait, and its ConfigMaps healthy by expressions.
func healthBy(exprs string) string {
	return "wait: true\n  healthCheckExprs: [{apiVersion: v1, kind: ConfigMap, " + exprs + "}]"
}

// TestHealthByExpression waits for what is healthy only later; what depends on
// it waits too.
func TestHealthByExpression(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":          kustomization("pre", healthBy("current: data.ready == 'yes'")) + kustomization("application", after("pre")),
		"pre/a.yaml":         configMap("settings", "1"),
		"application/a.yaml": configMap("late", "1"),
	})
	running := s.startApply()
	s.becomes("ConfigMap/settings", "exists", func(*unstructured.Unstructured) bool { return true })
	s.absent("ConfigMap/late")
	s.update("ConfigMap/settings", `[{"op": "add", "path": "/data/ready", "value": "yes"}]`)
	a := running.applied(0)
	a.order("object-applied ConfigMap/settings", "step-done pre", "object-applied ConfigMap/late")
}

func TestHealthByExpressionFails(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("settings", "1"), healthBy("failed: data.key == '1', current: 'true'"))
	a := s.apply(1)
	wantText(t, a.event(report.StepFailed, "app").Message, "/settings failed: the expression failed of spec.healthCheckExprs is true")
}

// TestHealthByExpressionThatAsksForAMissingField says so when the time is over.
func TestHealthByExpressionThatAsksForAMissingField(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("settings", "1"), healthBy("current: data.ready == 'yes'"))
	a := s.apply(6, "--timeout=1s")
	wantText(t, a.event(report.StepFailed, "app").Message, "timed out after 1s waiting for ConfigMap/", "/settings: failed to evaluate the CEL expression 'data.ready == 'yes'': no such key: ready")
}

func TestHealthByExpressionThatCannotBeParsed(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("settings", "1"), healthBy("current: data."))
	p := s.plan(2)
	equal(t, "reason", p.step("app").Problem.Reason, plan.InvalidCELExpression)
	equal(t, "changes", p.step("app").Changes, []plan.Change{})
}
