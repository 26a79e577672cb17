package e2e

import (
	"os"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestSavedPlanIsRun as it was saved, from another process that is told nothing
// else.
func TestSavedPlanIsRun(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1")+secret("s", "correct-horse-battery")+job("migrate", "app:1", mark("ran")))
	shown := s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "--out", "saved.plan")
	wantText(t, shown.stdout, "Plan: 3 to create.")
	file := filepath.Join(s.dir, "saved.plan")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "mode", info.Mode(), os.FileMode(0o600))
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wantNoText(t, string(data), "correct-horse-battery", "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5")
	r := s.run(0, "apply", "--plan", "saved.plan", "--yes")
	wantText(t, r.stdout, "apply done after")
	equal(t, "marks", s.marks(), []string{"ran"})
	wantText(t, s.run(3, "apply", "--plan", "saved.plan", "--yes").stderr, "the plan is stale")
	equal(t, "marks after the second time", s.marks(), []string{"ran"})
}

// TestSavedPlanIsStale when anything that it says has moved; nothing is written
// then.
func TestSavedPlanIsStale(t *testing.T) {
	t.Parallel()
	patch := func(s *space, ref, kind, name string) {
		_, err := s.in(kind, s.ns).Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"annotations":{"by":"somebody"}}}`), metav1.PatchOptions{})
		if err != nil {
			t.Fatalf("patch %s: %v", ref, err)
		}
	}
	tests := []struct {
		name string
		move func(s *space)
		say  string
	}{
		{"the tree renders an object otherwise", func(s *space) { s.replace("app/all.yaml", `"2"`, `"3"`) }, "ConfigMap/@NS/a: the tree renders it otherwise"},
		{"the tree has one object more", func(s *space) { s.write(files{"app/more.yaml": configMap("more", "1")}) }, "ConfigMap/@NS/more: it was no part of the plan, now it would be: create"},
		{"the tree has one object less", func(s *space) { s.replace("app/all.yaml", "name: new", "name: other") }, "ConfigMap/@NS/new: it is no longer part of the plan"},
		{"an object that is to be updated changed", func(s *space) { patch(s, "a", "ConfigMap", "a") }, "ConfigMap/@NS/a: it changed in the cluster (resourceVersion "},
		{"an object that is to be created is there", func(s *space) { s.create(configMap("new", "1")) }, "ConfigMap/@NS/new: it did not exist, now it does"},
		{"an object that is to be updated is gone", func(s *space) { s.delete("ConfigMap/a") }, "ConfigMap/@NS/a: it existed, now it does not"},
		{"an object was made anew", func(s *space) { s.delete("ConfigMap/same"); s.create(configMap("same", "1")) }, "ConfigMap/@NS/same: it was deleted and created again since"},
		{"a Job was made anew", func(s *space) { s.delete("Job/migrate") }, "Job/@NS/migrate: it existed, now it does not"},
		{"the Kustomization waits otherwise", func(s *space) { s.replace("flux.yaml", "interval: 1m", "wait: true\n  interval: 1m") }, "@NS/app: its spec"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := one(t, configMap("a", "1")+configMap("same", "1")+job("migrate", "app:1", mark("ran")))
			s.apply(0)
			s.replace("app/all.yaml", `"1"`, `"2"`)
			s.replace("app/all.yaml", `data: {key: "2"}`+"\n---\napiVersion: batch", `data: {key: "1"}`+"\n"+configMap("new", "1")+"---\napiVersion: batch")
			s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "--out", "saved.plan")
			tt.move(s)
			before := s.versions(s.ns, "ConfigMap/fluxjob-inventory-app")
			r := s.run(3, "apply", "--plan", "saved.plan", "--yes")
			wantText(t, r.stderr, "the plan is stale, nothing was written", s.expand(tt.say))
			equal(t, "stdout", r.stdout, "")
			equal(t, "inventory", s.versions(s.ns, "ConfigMap/fluxjob-inventory-app"), before)
			equal(t, "marks", s.marks(), []string{"ran"})
		})
	}
}

// TestSavedPlanOutlivesAChangeOfStatus of what it does not write.
func TestSavedPlanOutlivesAChangeOfStatus(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1")+configMap("same", "1"))
	s.apply(0)
	s.replace("app/all.yaml", "name: a}\ndata: {key: \"1\"}", "name: a}\ndata: {key: \"2\"}")
	s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "--out", "saved.plan")
	if _, err := s.in("ConfigMap", s.ns).Patch(t.Context(), "same", types.MergePatchType, []byte(`{"metadata":{"annotations":{"by":"somebody"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	s.run(0, "apply", "--plan", "saved.plan", "--yes")
}

// TestSavedPlanThatIsNone is told from one that is.
func TestSavedPlanThatIsNone(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1"))
	s.write(files{"none": "apiVersion: v1\n", "old": `{"apiVersion":"fluxjob.dev/v0","kind":"Plan","steps":[]}`})
	wantText(t, s.run(2, "apply", "--plan", "none", "--yes").stderr, "none: it is no plan")
	wantText(t, s.run(2, "apply", "--plan", "old", "--yes").stderr, "old: its format is fluxjob.dev/v0", "make the plan again")
	wantText(t, s.run(2, "apply", "--plan", "missing", "--yes").stderr, "missing: no such file")
	wantText(t, s.run(2, "apply", "--plan", "none", "-f", "flux.yaml", "--yes").stderr, "leave out -f")
	s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "--out", "saved.plan")
	s.replace("saved.plan", `"action": "create"`, `"action": "skip"`)
	wantText(t, s.run(2, "apply", "--plan", "saved.plan", "--yes").stderr, "its steps are not those that it was made with")
	s.absent("ConfigMap/a")
}
