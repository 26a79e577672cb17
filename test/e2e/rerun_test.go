package e2e

import (
	"testing"
)

// TestRerun recreates the Job alone, as the tree renders it, and shows its log.
func TestRerun(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")+"; echo said something"))
	s.apply(0)
	before := s.live("Job/migrate").GetUID()
	s.replace("application/app.yaml", "app:1", "app:2")
	r := s.run(0, "rerun", "migrate", "-n", "@NS", "-f", "flux.yaml", "--yes")
	wantText(t, r.stdout, "-/+  Job/"+s.ns+"/migrate", "said something", "rerun done after")
	wantNoText(t, r.stdout, "Deployment")
	if s.live("Job/migrate").GetUID() == before {
		t.Error("it is still the old Job")
	}
	equal(t, "marks", s.marks(), []string{"ran", "ran"})
	equal(t, "image", image(s.live("Deployment/application")), "app:1")
	equal(t, "inventory", s.inventory("pre"), []string{s.ns + "_migrate_batch_Job"})
}

// TestRerunOfAFailedJob shows its log and fails as well, if it does.
func TestRerunOfAFailedJob(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")+"; exit 3"))
	s.apply(1)
	wantText(t, s.run(1, "rerun", "migrate", "-n", "@NS", "-f", "flux.yaml", "--yes").stdout, "exit code 3")
	s.replace("pre/job.yaml", "exit 3", "true")
	s.run(0, "rerun", "migrate", "-n", "@NS", "-f", "flux.yaml", "--yes")
	s.apply(0)
	equal(t, "marks", s.marks(), []string{"ran", "ran", "ran"})
}

// TestRerunOfWhatThereIsNot is a mistake.
func TestRerunOfWhatThereIsNot(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")))
	wantText(t, s.run(2, "rerun", "other", "-n", "@NS", "-f", "flux.yaml", "--yes").stderr, "other: none of the Kustomizations renders such a Job")
	wantText(t, s.run(2, "rerun", "migrate", "-n", "@NS", "-f", "flux.yaml").stderr, "rerun asks before it writes", "--yes")
	wantText(t, s.run(2, "rerun", "-n", "@NS", "-f", "flux.yaml").stderr, "requires at least 1 arg")
	s.absent("Job/migrate")
}
