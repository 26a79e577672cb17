package e2e

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// TestNothingIsDeletedIfTheStageIsRefused forbids another Job after the plan was
// made: the server would take every object of the stage but the replacement.
func TestNothingIsDeletedIfTheStageIsRefused(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":    kustomization("pre") + kustomization("app", after("pre"), "force: true"),
		"pre/job.yaml": job("pre", "app:1", "true"),
		"app/all.yaml": job("migrate", "app:1", mark("ran")),
	})
	s.apply(0)
	uid := s.live("Job/migrate").GetUID()
	s.write(files{
		"pre/job.yaml": job("pre2", "app:1", tellStarted+"; "+awaitGo),
		"app/all.yaml": configMap("settings", "1") + job("migrate", "app:2", mark("ran-again")),
	})
	p := s.startApply()
	s.hasStarted()
	s.create("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: full}\nspec: {hard: {count/jobs.batch: \"1\"}}\n")
	s.becomes("ResourceQuota/full", "is in force", inForce)
	s.letGo()
	a := p.applied(1)
	wantText(t, a.event(report.StepFailed, "app").Message, "nothing was deleted or written", "Job/"+s.ns+"/migrate", "exceeded quota")
	equal(t, "UID", s.live("Job/migrate").GetUID(), uid)
	s.absent("ConfigMap/settings")
	equal(t, "marks", s.marks(), []string{"ran"})
}

// TestManyObjects are written side by side, told in their order, and before the
// Job that may read them.
func TestManyObjects(t *testing.T) {
	t.Parallel()
	var manifests strings.Builder
	var want []string
	for i := range 60 {
		manifests.WriteString(configMap(fmt.Sprintf("c%02d", i), "1"))
		want = append(want, fmt.Sprintf("create ConfigMap/c%02d", i))
	}
	s := one(t, manifests.String()+job("migrate", "app:1", "true")+"---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: pdb}\nspec: {minAvailable: 1, selector: {matchLabels: {a: b}}}\n")
	a := s.apply(0)
	equal(t, "written", a.wrote(), append(want, "create PodDisruptionBudget/pdb", "create Job/migrate"))
	equal(t, "inventory", len(s.inventory("app")), 62)
}

// TestSeveralRecreations come one after the other, and after the new Job.
func TestSeveralRecreations(t *testing.T) {
	t.Parallel()
	s := one(t, job("a", "app:1", "true")+job("c", "app:1", "true"), "force: true")
	s.apply(0)
	s.write(files{"app/all.yaml": job("a", "app:2", "true") + job("b", "app:1", "true") + job("c", "app:2", "true")})
	a := s.apply(0)
	a.order("object-applied Job/b", "object-deleted Job/a", "object-applied Job/a", "object-deleted Job/c", "object-applied Job/c")
}

// TestJobThatSomebodyCreatedSinceThePlan is left alone.
func TestJobThatSomebodyCreatedSinceThePlan(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":    kustomization("pre") + kustomization("app", after("pre")),
		"pre/job.yaml": job("pre", "app:1", tellStarted+"; "+awaitGo),
		"app/all.yaml": job("migrate", "app:1", mark("ran")),
	})
	p := s.startApply()
	s.hasStarted()
	s.create(job("migrate", "app:1", "true", "suspend: true"))
	s.letGo()
	a := p.applied(1)
	wantText(t, a.event(report.StepFailed, "app").Message, "Job/"+s.ns+"/migrate was created since the plan was made", "plan again")
	if suspended, _, _ := unstructured.NestedBool(s.live("Job/migrate").Object, "spec", "suspend"); !suspended {
		t.Error("the Job was written")
	}
}
