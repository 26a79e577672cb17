package e2e

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// TestChildrenWithoutFlux goes through Kustomizations that are rendered by
// another one, on a cluster that has never heard of Flux: they are steps all the
// same, and what depends on one that waits waits for those that it renders. It
// does not run in parallel, for the reason of TestWithoutFlux.
func TestChildrenWithoutFlux(t *testing.T) {
	if fluxIsDefined.Load() {
		t.Skip("with -count, a test of the round before has defined Flux's kind")
	}
	s := newSpace(t, files{
		"flux.yaml":              kustomization("root", "path: ./clusters", "wait: true") + kustomization("app", after("root")),
		"clusters/settings.yaml": configMap("settings", "1"),
		"clusters/db.yaml":       kustomization("db"),
		"db/job.yaml":            job("migrate", "db:1", "sleep 1; "+mark("db")),
		"app/job.yaml":           job("report", "app:1", mark("app")),
	})
	if _, err := s.in("Kustomization", s.ns).List(t.Context(), metav1.ListOptions{}); !errors.IsNotFound(err) {
		t.Fatalf("the cluster serves Kustomizations: %v", err)
	}
	p := s.plan(3)
	equal(t, "steps", p.names(), []string{"root", "db", "app"})
	p.want("Kustomization/db", plan.Skip, plan.PlannedAsStep)
	db := p.step("db")
	equal(t, "parent", *db.Parent, s.keysOf("root")[0])
	app := p.step("app")
	equal(t, "after", app.After, s.keysOf("db", "root"))
	wantText(t, s.run(0, "plan", "-n", s.ns, "-f", "flux.yaml").stdout, "Kustomization "+s.ns+"/db (rendered by "+s.ns+"/root)")
	s.apply(0)
	equal(t, "marks", s.marks(), []string{"db", "app"})
	s.plan(0)

	s.remove("clusters/db.yaml")
	p = s.plan(1)
	db = p.step("db")
	equal(t, "removed", db.Removed, true)
	p.want("Job/migrate", plan.Delete, plan.Pruned)
	s.apply(0)
	s.absent("Job/migrate", "ConfigMap/fluxjob-inventory-db")
	s.plan(0)
	equal(t, "marks", s.marks(), []string{"db", "app"})
}

// TestRecurseFalse leaves the Kustomizations alone that a Kustomization renders,
// and says so.
func TestRecurseFalse(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":        kustomization("root", "path: ./clusters"),
		"clusters/db.yaml": kustomization("db"),
		"db/job.yaml":      job("migrate", "db:1", "true"),
	})
	withFlux(t, s)
	p := s.plan(1, "--recurse=false")
	equal(t, "steps", p.names(), []string{"root"})
	equal(t, "warnings", []string{p.Warnings[0].Rule}, []string{"child-not-planned"})
}

// TestANewChildIsLeftToFlux where Flux would reconcile it from its own source as
// soon as it exists; one that is suspended is applied.
func TestANewChildIsLeftToFlux(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":        kustomization("root", "path: ./clusters"),
		"clusters/db.yaml": kustomization("db"),
		"db/job.yaml":      job("migrate", "db:1", mark("db")),
	})
	withFlux(t, s)
	s.plan(3)
	r := s.run(4, "apply", "-n", s.ns, "-f", "flux.yaml", "--yes")
	wantText(t, r.stderr, s.ns+"/db", "spec.suspend")
	s.absent("Kustomization/db", "Job/migrate")

	s.write(files{"clusters/db.yaml": kustomization("db", "suspend: true")})
	p := s.plan(3)
	p.want("Kustomization/db", plan.Create, plan.NotFound)
	s.apply(0)
	equal(t, "marks", s.marks(), []string{"db"})
	s.live("Kustomization/db")
	s.absent("ConfigMap/fluxjob-inventory-db")
}

// TestChildrenOfAnotherNamespaceAndSource are planned from the tree of their own
// source, wherever they live.
func TestChildrenOfAnotherNamespaceAndSource(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":             kustomization("root", "path: ./clusters", "targetNamespace:"),
		"clusters/team.yaml":    placed(kustomization("team", "path: ./deploy", "sourceRef: {kind: OCIRepository, name: team, namespace: sources}"), "@NS-team"),
		"../team/deploy/a.yaml": configMap("a", "1"),
	})
	withFlux(t, s)
	s.create(namespace("@NS-team"))
	removeNamespace(s, s.ns+"-team")
	p := s.plan(1, "--local-source", "repo=.", "--local-source", "OCIRepository/sources/team=../team")
	team := p.Steps[1]
	equal(t, "Kustomization", team.Kustomization, object.Key{Namespace: s.ns + "-team", Name: "team"})
	equal(t, "source", team.Source.Kind+"/"+team.Source.Namespace+"/"+team.Source.Name, "OCIRepository/sources/team")
	equal(t, "objects", len(team.Changes), 1)
	p.want("ConfigMap/a", plan.Create, plan.NotFound)
}
