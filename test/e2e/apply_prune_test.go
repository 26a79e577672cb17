package e2e

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// TestPruneFalseKeeps what is no longer rendered.
func TestPruneFalseKeeps(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{"flux.yaml": kustomization("app", "prune: false"), "app/a.yaml": configMap("a", "1"), "app/b.yaml": configMap("b", "1")})
	s.apply(0)
	s.remove("app/b.yaml")
	p := s.plan(0)
	equal(t, "summary", p.Summary, plan.Summary{Unchanged: 1})
	s.apply(0)
	s.live("ConfigMap/b")
}

// TestInventoryNamespaceIsCreated where the Kustomization's own does not exist.
func TestInventoryNamespaceIsCreated(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1"))
	flux := s.ns + "-flux"
	removeNamespace(s, flux)
	s.run(0, "plan", "-n", flux, "-f", "flux.yaml")
	if _, err := s.in("Namespace", "").Get(t.Context(), flux, metav1.GetOptions{}); err == nil {
		t.Fatal("a plan has created the namespace")
	}
	r := s.run(0, "apply", "-n", flux, "-f", "flux.yaml", "--yes")
	wantText(t, r.stderr, "created namespace "+flux)
	s.liveIn(flux, "ConfigMap/fluxjob-inventory-app")
	s.live("ConfigMap/a")
	s.write(files{"app/all.yaml": configMap("b", "1")})
	r = s.run(0, "apply", "-n", flux, "-f", "flux.yaml", "--yes")
	wantText(t, r.stdout, "ConfigMap/"+s.ns+"/a deleted")
	s.absent("ConfigMap/a")
}

// TestMovedObjectIsNotPruned goes from one Kustomization to another.
func TestMovedObjectIsNotPruned(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":  kustomization("a") + kustomization("b"),
		"a/one.yaml": configMap("one", "1"), "a/moves.yaml": configMap("moves", "1"), "b/two.yaml": configMap("two", "1"),
	})
	s.apply(0)
	uid := s.live("ConfigMap/moves").GetUID()
	s.remove("a/moves.yaml")
	s.write(files{"b/moves.yaml": configMap("moves", "1")})
	p := s.plan(1)
	equal(t, "summary", p.Summary, plan.Summary{Update: 1, Unchanged: 2, Skip: 1})
	s.apply(0)
	u := s.live("ConfigMap/moves")
	equal(t, "UID", u.GetUID(), uid)
	equal(t, "labels", u.GetLabels(), owner(s.ns, "b"))
	s.plan(0)
	equal(t, "inventory", s.inventory("a"), []string{s.ns + "_one__ConfigMap"})
}

// fluxLives is a space with the Kustomization "app" as it lives in a cluster with Flux, with an
// inventory that names the ConfigMaps a and old.
func fluxLives(t *testing.T, suspended bool) *space {
	t.Helper()
	s := one(t, configMap("a", "1")+configMap("old", "1"))
	withFlux(t, s)
	s.apply(0)
	s.delete("ConfigMap/fluxjob-inventory-app")
	state := "suspend: false"
	if suspended {
		state = "suspend: true"
	}
	s.create(kustomization("app", state))
	s.updateStatus("Kustomization/app", `[{"op": "add", "path": "/status", "value": {"inventory": {"entries": [{"id": "@NS_a__ConfigMap", "v": "v1"}, {"id": "@NS_old__ConfigMap", "v": "v1"}]}}}]`)
	s.write(files{"app/all.yaml": configMap("a", "2")})
	return s
}

func TestSuspendedKustomizationOfFlux(t *testing.T) {
	t.Parallel()
	s := fluxLives(t, true)
	p := s.plan(1)
	p.want("ConfigMap/a", plan.Update, plan.Changed)
	p.want("ConfigMap/old", plan.Delete, plan.Pruned)
	equal(t, "inventory", p.step("app").Inventory.Kept, plan.KeptByFlux)
	a := s.apply(0)
	equal(t, "written", a.wrote(), []string{"update ConfigMap/a", "delete ConfigMap/old"})
	s.absent("ConfigMap/old", "ConfigMap/fluxjob-inventory-app")
	equal(t, "data", text(s.live("ConfigMap/a"), "data", "key"), "2")
}

func TestReconciledKustomizationOfFlux(t *testing.T) {
	t.Parallel()
	s := fluxLives(t, false)
	before := s.versions(s.ns, "ConfigMap/a", "ConfigMap/old", "Kustomization/app")
	p := s.plan(1)
	p.want("ConfigMap/a", plan.Update, plan.Changed)
	p.want("ConfigMap/old", plan.Delete, plan.Pruned)
	a := s.apply(4)
	wantText(t, a.stderr, "Flux reconciles", "flux suspend kustomization app -n "+s.ns)
	equal(t, "versions", s.versions(s.ns, "ConfigMap/a", "ConfigMap/old", "Kustomization/app"), before)
	s.absent("ConfigMap/fluxjob-inventory-app")
}

// TestPruneOfAnObjectThatIsGone has nothing to do.
func TestPruneOfAnObjectThatIsGone(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{"flux.yaml": kustomization("app"), "app/a.yaml": configMap("a", "1"), "app/b.yaml": configMap("b", "1")})
	s.apply(0)
	s.remove("app/b.yaml")
	s.delete("ConfigMap/b")
	s.plan(0)
	a := s.apply(0)
	a.never(report.ObjectDeleted, "ConfigMap/b")
	equal(t, "inventory", s.inventory("app"), []string{s.ns + "_a__ConfigMap"})
}
