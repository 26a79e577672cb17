package e2e

import (
	"slices"
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// release is a tree of a Job before a Deployment.
func release(script string) files {
	return files{
		"flux.yaml":            kustomization("pre", "force: true") + kustomization("application", after("pre")),
		"pre/job.yaml":         job("migrate", "app:1", script),
		"application/app.yaml": deployment("application", "app:1"),
	}
}

// TestApplicationIsWrittenAfterTheJob reads the order off the cluster's own
// timestamps, and off the events.
func TestApplicationIsWrittenAfterTheJob(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release("sleep 1; "+mark("ran")))
	a := s.apply(0)
	a.order("run-started ", "step-started pre", "object-applied Job/migrate", "job-started Job/migrate", "job-complete Job/migrate", "step-done pre",
		"step-started application", "object-applied Deployment/application", "step-done application", "run-done ")
	completed := text(s.live("Job/migrate"), "status", "completionTime")
	s.notBefore(text(s.live("Deployment/application"), "metadata", "creationTimestamp"), completed)
	s.notBefore(s.writtenAt(s.ns, "Deployment/application"), completed)
	equal(t, "outcome", a.event(report.RunDone, "").Message, string(report.Done))

	t.Log("the same for a change")
	s.settled(s.ns, "application")
	s.replace("pre/job.yaml", "app:1", "app:2")
	s.replace("application/app.yaml", "app:1", "app:2")
	a = s.apply(0)
	a.order("object-deleted Job/migrate", "object-applied Job/migrate", "job-complete Job/migrate", "object-applied Deployment/application")
	s.notBefore(s.writtenAt(s.ns, "Deployment/application"), text(s.live("Job/migrate"), "status", "completionTime"))
	equal(t, "marks", s.marks(), []string{"ran", "ran"})
}

// TestIndependentStepsRunSideBySide has two Jobs of which each waits for the
// other: they end only if both run at once.
func TestIndependentStepsRunSideBySide(t *testing.T) {
	t.Parallel()
	meets := func(me, other string) string {
		return "touch @OUT/" + me + "; until [ -e @OUT/" + other + " ]; do sleep 0.1; done"
	}
	s := newSpace(t, files{
		"flux.yaml":  kustomization("a") + kustomization("b"),
		"a/job.yaml": job("a", "app:1", meets("a", "b")),
		"b/job.yaml": job("b", "app:1", meets("b", "a")),
	})
	a := s.apply(0)
	for _, name := range []string{"a", "b"} {
		a.at(report.JobComplete, "Job/"+name)
		a.at(report.StepDone, name)
	}
}

func TestParallelismOfOne(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":  kustomization("a") + kustomization("b") + kustomization("c"),
		"a/job.yaml": job("a", "app:1", mark("start")+"; sleep 0.3; "+mark("end")),
		"b/job.yaml": job("b", "app:1", mark("start")+"; sleep 0.3; "+mark("end")),
		"c/job.yaml": job("c", "app:1", mark("start")+"; sleep 0.3; "+mark("end")),
	})
	a := s.apply(0, "--parallelism", "1")
	a.order("step-started a", "step-done a", "step-started b", "step-done b", "step-started c", "step-done c")
	equal(t, "marks", s.marks(), []string{"start", "end", "start", "end", "start", "end"})
}

// TestOrderInsideAKustomization is the controller's, whatever the files are
// called.
func TestOrderInsideAKustomization(t *testing.T) {
	t.Parallel()
	s := one(t, job("a-job", "app:1", "true")+deployment("b-deployment", "app:1")+configMap("c-map", "1")+secret("d-secret", "value")+"---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: e-account}\n")
	a := s.apply(0)
	equal(t, "written", a.wrote(), []string{
		"create ServiceAccount/e-account", "create ConfigMap/c-map", "create Secret/d-secret", "create Deployment/b-deployment", "create Job/a-job",
	})
}

// TestFailedStepHoldsBackItsDependents and lets independent ones go on.
func TestFailedStepHoldsBackItsDependents(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":          kustomization("pre") + kustomization("application", after("pre")) + kustomization("report", after("application")) + kustomization("other") + kustomization("more", after("other")),
		"pre/job.yaml":       job("migrate", "app:1", "echo no such table; exit 3"),
		"application/b.yaml": configMap("application", "1"),
		"report/c.yaml":      configMap("report", "1"),
		"other/job.yaml":     job("other", "app:1", mark("other")),
		"more/more.yaml":     configMap("more", "1"),
	})
	a := s.apply(1)
	a.order("job-failed Job/migrate", "step-failed pre", "step-skipped application", "step-skipped report")
	wantText(t, a.event(report.StepSkipped, "application").Message, "depends on "+s.ns+"/pre", "failed")
	wantText(t, a.event(report.StepSkipped, "report").Message, "depends on "+s.ns+"/application", "skipped")
	a.order("job-complete Job/other", "step-done other", "object-applied ConfigMap/more", "step-done more")
	a.never(report.StepStarted, "application")
	equal(t, "outcome", a.event(report.RunDone, "").Message, string(report.Failed))
	s.absent("ConfigMap/application", "ConfigMap/report")
	s.live("ConfigMap/more")
}

// TestFailedJobLeavesTheApplicationAlone is the promise of the whole program.
func TestFailedJobLeavesTheApplicationAlone(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release("true"))
	s.apply(0)
	s.settled(s.ns, "application")
	before := s.versions(s.ns, "Deployment/application")
	s.write(files{"pre/job.yaml": job("migrate", "app:2", "exit 3"), "application/app.yaml": deployment("application", "app:2")})
	a := s.apply(1)
	a.order("job-failed Job/migrate", "step-failed pre", "step-skipped application")
	equal(t, "version", s.versions(s.ns, "Deployment/application"), before)
	equal(t, "image", image(s.live("Deployment/application")), "app:1")
}

// TestWhatAFailedStepWroteIsKnown keeps what was written before the failure in
// the inventory, so that it is pruned later.
func TestWhatAFailedStepWroteIsKnown(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("first", "1")+job("migrate", "app:1", "exit 3"))
	s.apply(1)
	equal(t, "inventory", s.inventory("app"), []string{s.ns + "_first__ConfigMap", s.ns + "_migrate_batch_Job"})
	s.write(files{"app/all.yaml": configMap("second", "1")})
	s.apply(0)
	s.absent("ConfigMap/first", "Job/migrate")
	equal(t, "inventory", s.inventory("app"), []string{s.ns + "_second__ConfigMap"})
}

// TestWhatAHalfWrittenStepWroteIsKnown forbids Jobs after the plan was made, so
// that the step fails while it writes.
func TestWhatAHalfWrittenStepWroteIsKnown(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":    kustomization("pre") + kustomization("app", after("pre")),
		"pre/job.yaml": job("pre", "app:1", tellStarted+"; "+awaitGo),
		"app/all.yaml": configMap("first", "1") + job("second", "app:1", mark("second")),
	})
	p := s.startApply()
	s.hasStarted()
	s.create("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none}\nspec: {hard: {count/jobs.batch: \"0\"}}\n")
	s.becomes("ResourceQuota/none", "is in force", inForce)
	s.letGo()
	a := p.applied(1)
	a.order("step-done pre", "object-applied ConfigMap/first", "step-failed app")
	a.never(report.ObjectApplied, "Job/second")
	wantText(t, a.event(report.StepFailed, "app").Message, "Job/"+s.ns+"/second", "exceeded quota")
	equal(t, "inventory", s.inventory("app"), []string{s.ns + "_first__ConfigMap"})
	equal(t, "marks", slices.Contains(s.marks(), "second"), false)
}
