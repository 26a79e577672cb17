package e2e

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// The manifests of Flux's page "Running Jobs", word for word.
const (
	seedPre = `apiVersion: kustomize.toolkit.fluxcd.io/v1beta2
kind: Kustomization
metadata:
  name: pre
spec:
  interval: 1m
  path: ./pre/
  prune: true
  wait: true
  force: true
  sourceRef:
    kind: GitRepository
    name: flux-system
    namespace: flux-system
`
	seedApplication = `apiVersion: kustomize.toolkit.fluxcd.io/v1beta2
kind: Kustomization
metadata:
  name: application
spec:
  interval: 1m
  path: ./application/
  prune: true
  sourceRef:
    kind: GitRepository
    name: flux-system
    namespace: flux-system
  dependsOn:
    - name: pre
`
	seedJob = `apiVersion: batch/v1
kind: Job
metadata:
  name: pre
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: pre
        image: alpine
        command:
          - sh
          - -c
          - |
            echo "starting"
            sleep 10
            echo "complete"
`
)

// TestSeedPage goes through what the page promises, one step after the other.
// Its objects name no namespace, so they are the only ones of all tests in
// "default".
func TestSeedPage(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"clusters/pre.yaml":         seedPre,
		"clusters/application.yaml": seedApplication,
		"pre/job.yaml":              seedJob,
		"application/app.yaml":      deployment("application", "alpine"),
	})
	t.Cleanup(func() { cleanDefault(s, "Job/pre", "Deployment/application") })
	const from = "-f=clusters"
	objects := []string{"Job/pre", "Deployment/application"}

	t.Log("at first both are created, and the application waits for the Job")
	p := s.plan(3, from)
	c := p.want("Job/pre", plan.Create, plan.NotFound)
	equal(t, "the Job's mark", c.Job, &plan.Job{WillRun: true, WaitFor: "complete"})
	p.want("Deployment/application", plan.Create, plan.NotFound)
	equal(t, "steps", p.names(), []string{"pre", "application"})
	a := s.apply(0, from)
	a.order("object-applied Job/pre", "job-started Job/pre", "job-complete Job/pre", "step-done pre", "step-started application", "object-applied Deployment/application", "step-done application")

	t.Log("nothing has changed: nothing is written and no Job runs")
	s.settled(metav1.NamespaceDefault, "application")
	before := s.versions(metav1.NamespaceDefault, objects...)
	p = s.plan(0, from)
	p.want("Job/pre", plan.Unchanged, "")
	p.want("Deployment/application", plan.Unchanged, "")
	equal(t, "Jobs to run", p.Summary.JobsToRun, 0)
	a = s.apply(0, from)
	equal(t, "written", a.wrote(), []string{})
	equal(t, "versions", s.versions(metav1.NamespaceDefault, objects...), before)

	t.Log("a new image on both: the Job runs again, and only then the application changes")
	first := s.liveIn(metav1.NamespaceDefault, "Job/pre").GetUID()
	s.replace("pre/job.yaml", "image: alpine", "image: alpine:2")
	s.replace("application/app.yaml", "image: alpine", "image: alpine:2")
	p = s.plan(3, from)
	c = p.want("Job/pre", plan.Recreate, plan.ImmutableField)
	equal(t, "allowed by", c.Reason.AllowedBy, "spec.force of "+s.ns+"/pre")
	// An image without a tag is always pulled, by default.
	equal(t, "fields", c.Fields, []plan.Field{
		{Path: "spec.template.spec.containers[pre].image", Old: "alpine", New: "alpine:2", ForcesRecreate: true},
		{Path: "spec.template.spec.containers[pre].imagePullPolicy", Old: "Always", New: "IfNotPresent", ForcesRecreate: true},
	})
	p.want("Deployment/application", plan.Update, plan.Changed)
	a = s.apply(0, from)
	a.order("object-deleted Job/pre", "object-applied Job/pre", "job-complete Job/pre", "step-done pre", "object-applied Deployment/application")
	second := s.liveIn(metav1.NamespaceDefault, "Job/pre")
	if second.GetUID() == first || image(second) != "alpine:2" || !condition("Complete")(second) {
		t.Errorf("the Job was not run again: %v", second.Object)
	}
	equal(t, "the application's image", image(s.liveIn(metav1.NamespaceDefault, "Deployment/application")), "alpine:2")
	s.notBefore(s.writtenAt(metav1.NamespaceDefault, "Deployment/application"), text(second, "status", "completionTime"))

	t.Log("the Job fails: the application stays as it is")
	s.settled(metav1.NamespaceDefault, "application")
	before = s.versions(metav1.NamespaceDefault, "Deployment/application")
	s.replace("pre/job.yaml", "sleep 10", "exit 3")
	s.replace("pre/job.yaml", "spec:\n  template", "spec:\n  backoffLimit: 0\n  template")
	s.replace("application/app.yaml", "image: alpine:2", "image: alpine:3")
	p = s.plan(3, from)
	p.want("Job/pre", plan.Recreate, plan.ImmutableField)
	p.want("Deployment/application", plan.Update, plan.Changed)
	a = s.apply(1, from)
	a.order("job-started Job/pre", "job-failed Job/pre", "step-failed pre", "step-skipped application")
	equal(t, "versions", s.versions(metav1.NamespaceDefault, "Deployment/application"), before)

	t.Log("without force, a changed Job blocks: nothing is written")
	before = s.versions(metav1.NamespaceDefault, objects...)
	s.replace("clusters/pre.yaml", "  force: true\n", "")
	s.replace("pre/job.yaml", "exit 3", "true")
	p = s.plan(4, from)
	p.want("Job/pre", plan.Blocked, plan.ImmutableNotForced)
	equal(t, "held back", p.step("pre").HoldsBack, s.keysOf("application"))
	equal(t, "applyable", p.Applyable, false)
	a = s.apply(4, from)
	equal(t, "events", len(a.events), 0)
	equal(t, "versions", s.versions(metav1.NamespaceDefault, objects...), before)
}

// cleanDefault removes what a test left in the namespace "default".
func cleanDefault(s *space, refs ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	background := metav1.DeletePropagationBackground
	for _, ref := range refs {
		kind, name, _ := strings.Cut(ref, "/")
		_ = s.in(kind, metav1.NamespaceDefault).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background})
	}
}
