package e2e

import (
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// TestDryRun says all that apply would do, asks nobody, and writes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")))
	s.write(files{"pre/more.yaml": configMap("changes", "1") + configMap("goes", "1")})
	s.apply(0)
	s.settled(s.ns, "application")
	refs := []string{"Job/migrate", "ConfigMap/changes", "ConfigMap/goes", "Deployment/application", "ConfigMap/fluxjob-inventory-pre", "ConfigMap/fluxjob-inventory-application"}
	before := s.versions(s.ns, refs...)
	s.write(files{
		"pre/job.yaml": job("migrate", "app:2", mark("ran")), "pre/more.yaml": configMap("changes", "2") + job("new", "app:1", mark("ran")),
		"application/app.yaml": deployment("application", "app:2"),
	})
	p := s.start(nil, "apply", "-n", "@NS", "-f", "flux.yaml", "-o", "json", "--dry-run=server")
	a := p.applied(0)
	equal(t, "written", a.wrote(), []string{
		"update ConfigMap/changes", "create Job/new", "recreate Job/migrate", "delete ConfigMap/goes", "update Deployment/application",
	})
	a.order("object-deleted Job/migrate", "object-applied Job/migrate", "step-done pre", "step-started application")
	for _, e := range a.events {
		if !e.DryRun {
			t.Errorf("the event %s is not marked", e.Type)
		}
	}
	a.never(report.JobStarted, "Job/migrate")
	equal(t, "versions", s.versions(s.ns, refs...), before)
	s.absent("Job/new")
	equal(t, "marks", s.marks(), []string{"ran"})

	r := s.run(0, "apply", "-n", "@NS", "-f", "flux.yaml", "--dry-run=server")
	wantText(t, r.stdout, "Job/"+s.ns+"/migrate deleted (server dry run)", "Job/"+s.ns+"/migrate recreated (server dry run)", "apply (server dry run) done after")
}

// TestDryRunOfTheFirstApply says what can be tried only later: what is in a
// namespace, or of a kind, that comes with the plan.
func TestDryRunOfTheFirstApply(t *testing.T) {
	t.Parallel()
	s := one(t, namespace("@NS-new")+placed(configMap("a", "1"), "@NS-new")+placed(job("migrate", "app:1", "true"), "@NS-new")+widgets+widget, "targetNamespace:")
	a := s.apply(0, "--dry-run=server")
	for ref, why := range map[string]string{"ConfigMap/a": "its namespace comes with this plan", "Job/migrate": "its namespace comes with this plan", "Widget/big": "its kind comes with this plan"} {
		wantText(t, a.event(report.Notice, ref).Message, "not tried", why)
		a.never(report.ObjectApplied, ref)
	}
	a.at(report.ObjectApplied, "Namespace/"+s.ns+"-new")
	s.absent("Namespace/" + s.ns + "-new")
	s.absent("ConfigMap/fluxjob-inventory-app")
}

// TestDryRunThatIsBlocked ends as apply would.
func TestDryRunThatIsBlocked(t *testing.T) {
	t.Parallel()
	s := one(t, job("migrate", "app:1", "true"))
	s.apply(0)
	s.write(files{"app/all.yaml": job("migrate", "app:2", "true")})
	wantText(t, s.apply(4, "--dry-run=server").stderr, "blocked")
}
