package e2e

import (
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// afterWhen is the field that makes a Kustomization depend on pre when an
// expression is true.
func afterWhen(expr string) string {
	return "dependsOn: [{name: pre, readyExpr: \"" + expr + "\"}]"
}

// preAndApplication is a tree of two ConfigMaps, the second when an expression
// is true.
func preAndApplication(expr string) files {
	return files{
		"flux.yaml":          kustomization("pre") + kustomization("application", afterWhen(expr)),
		"pre/a.yaml":         configMap("early", "1"),
		"application/a.yaml": configMap("late", "1"),
	}
}

// TestReadyExprIsTrue of what the run itself has established.
func TestReadyExprIsTrue(t *testing.T) {
	t.Parallel()
	const expr = "dep.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True') && self.spec.path == './application'"
	s := newSpace(t, preAndApplication(expr))
	p := s.plan(1)
	equal(t, "expressions", p.step("application").ReadyExprs, []plan.ReadyExpr{{Kustomization: p.step("pre").Kustomization, Expr: expr}})
	wantText(t, s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml").stdout, "/application (after "+s.ns+"/pre when dep.status.conditions.exists(c, c.type == 'Ready'")
	a := s.apply(0)
	a.order("step-done pre", "step-started application", "object-applied ConfigMap/late")
}

// TestReadyExprIsFalse and nothing lives that could become true.
func TestReadyExprIsFalse(t *testing.T) {
	t.Parallel()
	s := newSpace(t, preAndApplication("dep.spec.path == './elsewhere'"))
	s.write(files{"flux.yaml": preAndApplication("dep.spec.path == './elsewhere'")["flux.yaml"] + kustomization("last", after("application")), "last/a.yaml": configMap("last", "1")})
	a := s.apply(1)
	wantText(t, a.event(report.StepFailed, "application").Message, "dependency "+s.ns+"/pre is not ready, and there is no live Kustomization that could become so: the readyExpr is false: dep.spec.path == './elsewhere'")
	a.at(report.StepSkipped, "last")
	s.absent("ConfigMap/late", "ConfigMap/last")
}

// TestReadyExprBecomesTrue of the live Kustomization.
func TestReadyExprBecomesTrue(t *testing.T) {
	t.Parallel()
	s := newSpace(t, preAndApplication("dep.status.approved == 'yes' || dep.spec.path == './approved'"))
	withFlux(t, s)
	s.create(kustomization("pre", "suspend: true"))
	running := s.startApply()
	running.says("waits for " + s.ns + "/pre: failed to evaluate the CEL expression")
	s.absent("ConfigMap/late")
	s.update("Kustomization/pre", `[{"op": "replace", "path": "/spec/path", "value": "./approved"}]`)
	a := running.applied(0)
	a.order("step-done pre", "step-started application", "object-applied ConfigMap/late", "step-done application")
}

func TestReadyExprStaysFalse(t *testing.T) {
	t.Parallel()
	s := newSpace(t, preAndApplication("dep.spec.path == './elsewhere'"))
	withFlux(t, s)
	s.create(kustomization("pre", "suspend: true"))
	a := s.apply(6, "--timeout=1s")
	wantText(t, a.event(report.StepFailed, "application").Message, "timed out after 1s waiting for Kustomization/"+s.ns+"/pre: the readyExpr is false: dep.spec.path == './elsewhere'")
	s.absent("ConfigMap/late")
}

// TestReadyExprThatIsBroken holds back its step, and what depends on it.
func TestReadyExprThatIsBroken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, expr, want string }{
		{"syntax", "dep.", "Syntax error"},
		{"no boolean", "dep.status.ready", "CEL expression output type mismatch: expected bool, got dyn"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, preAndApplication(tt.expr))
			s.write(files{"flux.yaml": preAndApplication(tt.expr)["flux.yaml"] + kustomization("last", after("application")), "last/a.yaml": configMap("last", "1")})
			p := s.plan(2)
			step := p.step("application")
			equal(t, "reason", step.Problem.Reason, plan.InvalidCELExpression)
			wantText(t, step.Problem.Message, "spec.dependsOn["+s.ns+"/pre].readyExpr: ", tt.want)
			equal(t, "changes", step.Changes, []plan.Change{})
			equal(t, "held back", step.HoldsBack, []object.Key{p.step("last").Kustomization})
			s.run(2, "apply", "-n", "@NS", "-f", "flux.yaml", "--yes")
			s.absent("ConfigMap/early", "ConfigMap/late")
		})
	}
}
