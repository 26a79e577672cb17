package e2e

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestApplyWithoutATerminal is refused before anything is read or written.
func TestApplyWithoutATerminal(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1"))
	r := s.run(2, "apply", "-n", "@NS", "-f", "flux.yaml")
	wantText(t, r.stderr, "--yes", "no terminal")
	equal(t, "stdout", r.stdout, "")
	s.absent("ConfigMap/a", "ConfigMap/fluxjob-inventory-app")
}

// TestApplyShowsThePlanFirst and then what happens.
func TestApplyShowsThePlanFirst(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1"))
	r := s.run(0, "apply", "-n", "@NS", "-f", "flux.yaml", "-y")
	wantText(t, r.stdout, "Plan: 1 to create. No Job will run.", "ConfigMap/"+s.ns+"/a created", s.ns+"/app: done after", "apply done after")
	wantNoText(t, r.stdout+r.stderr, "\x1b")
	equal(t, "stderr", r.stderr, "")
}

// TestApplyAsJSON keeps stdout for the events.
func TestApplyAsJSON(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1"))
	a := s.apply(0)
	wantText(t, a.stderr, "Plan: 1 to create. No Job will run.")
	for i, e := range a.events {
		if e.Time.IsZero() {
			t.Errorf("event %d has no time", i)
		}
	}
	equal(t, "order", a.wrote(), []string{"create ConfigMap/a"})
	a.order("run-started ", "step-started app", "object-applied ConfigMap/a", "step-done app", "run-done ")
}

// TestApplyNothing writes nothing, not even the inventory again.
func TestApplyNothing(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1"))
	s.apply(0)
	before := s.versions(s.ns, "ConfigMap/a", "ConfigMap/fluxjob-inventory-app")
	equal(t, "written", new(s.apply(0)).wrote(), []string{})
	equal(t, "versions", s.versions(s.ns, "ConfigMap/a", "ConfigMap/fluxjob-inventory-app"), before)
}

// TestPlanWritesNothing looks at everything in the namespace.
func TestPlanWritesNothing(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1")+job("migrate", "app:1", "true")+secret("s", "value")+deployment("d", "app:1"))
	for _, format := range []string{"table", "diff", "json"} {
		s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "-o", format)
	}
	s.absent("ConfigMap/a", "Job/migrate", "Secret/s", "Deployment/d", "ConfigMap/fluxjob-inventory-app")
	list, err := s.in("Pod", s.ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) > 0 {
		t.Errorf("want no pods, got %v %v", list, err)
	}
}
