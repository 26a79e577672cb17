package e2e

import (
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

func TestSkipByAnnotationOfTheManifest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ key, value string }{{reconcileAnnotation, "disabled"}, {ssaAnnotation, "Ignore"}} {
		t.Run(tt.key, func(t *testing.T) {
			t.Parallel()
			s := one(t, annotate(configMap("ours", "1"), tt.key, tt.value)+annotate(job("migrate", "app:1", mark("ran")), tt.key, tt.value))
			p := s.plan(0)
			c := p.want("ConfigMap/ours", plan.Skip, plan.Annotation)
			equal(t, "detail", c.Reason.Detail, tt.key+": "+tt.value)
			c = p.want("Job/migrate", plan.Skip, plan.Annotation)
			equal(t, "job", c.Job, &plan.Job{})
			s.apply(0)
			s.absent("ConfigMap/ours", "Job/migrate")
		})
	}
}

// TestSkipByAnnotationInTheCluster leaves alone what somebody marked there.
func TestSkipByAnnotationInTheCluster(t *testing.T) {
	t.Parallel()
	s := one(t, job("migrate", "app:2", mark("ran")), "force: true")
	s.create(annotate(job("migrate", "app:1", "true"), reconcileAnnotation, "disabled"))
	uid := s.becomes("Job/migrate", "is complete", condition("Complete")).GetUID()
	p := s.plan(0)
	c := p.want("Job/migrate", plan.Skip, plan.Annotation)
	equal(t, "job", c.Job, &plan.Job{Last: plan.Complete})
	s.apply(0)
	equal(t, "UID", s.live("Job/migrate").GetUID(), uid)
	equal(t, "marks", len(s.marks()), 0)
}

func TestSkipPruneDisabled(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":     kustomization("app"),
		"app/kept.yaml": configMap("kept", "1"),
		"app/old.yaml":  annotate(configMap("precious", "1"), pruneAnnotation, "disabled") + configMap("old", "1"),
	})
	s.apply(0)
	s.remove("app/old.yaml")
	p := s.plan(1)
	c := p.want("ConfigMap/precious", plan.Skip, plan.Annotation)
	equal(t, "detail", c.Reason.Detail, pruneAnnotation+": disabled")
	p.want("ConfigMap/old", plan.Delete, plan.Pruned)
	s.apply(0)
	s.live("ConfigMap/precious")
	s.absent("ConfigMap/old")
}

// TestSkipPruneOfAnotherOwner keeps what belongs to another Kustomization by
// now.
func TestSkipPruneOfAnotherOwner(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{"flux.yaml": kustomization("app"), "app/a.yaml": configMap("a", "1"), "app/b.yaml": configMap("b", "1")})
	s.apply(0)
	s.remove("app/b.yaml")
	s.update("ConfigMap/b", `[{"op": "replace", "path": "/metadata/labels/kustomize.toolkit.fluxcd.io~1name", "value": "other"}]`)
	p := s.plan(0)
	p.want("ConfigMap/b", plan.Skip, plan.Ownership)
	s.apply(0)
	s.live("ConfigMap/b")
}

func TestSkipExists(t *testing.T) {
	t.Parallel()
	s := one(t, annotate(configMap("once", "1"), ssaAnnotation, "IfNotPresent"))
	p := s.plan(1)
	p.want("ConfigMap/once", plan.Create, plan.NotFound)
	s.apply(0)
	s.replace("app/all.yaml", `"1"`, `"2"`)
	p = s.plan(0)
	p.want("ConfigMap/once", plan.Skip, plan.Exists)
	s.apply(0)
	equal(t, "data", text(s.live("ConfigMap/once"), "data", "key"), "1")
}
