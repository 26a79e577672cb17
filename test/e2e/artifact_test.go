package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// TestWhatTheArtifactLeavesOut plans a tree as source-controller would pack it.
func TestWhatTheArtifactLeavesOut(t *testing.T) {
	t.Parallel()
	const fleet = "---\napiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: repo}\nspec: {url: https://example.com/repo.git, interval: 1m, ignore: '/app/b.yaml'}\n"
	for _, tt := range []struct {
		name string
		tree files
		// created are the ConfigMaps that the artifact brings.
		created []string
	}{
		{"a symbolic link", files{}, []string{"a", "b"}},
		{"what .sourceignore names", files{".sourceignore": "b.yaml\n"}, []string{"a"}},
		{"what spec.ignore of a source names that is read", files{"flux.yaml": kustomization("app") + fleet}, []string{"a"}},
		{"what Git ignores", files{".gitignore": "/app/b.yaml\n"}, []string{"a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, files{"flux.yaml": kustomization("app"), "app/a.yaml": configMap("a", "1"), "app/b.yaml": configMap("b", "1"), "other/c.yaml": configMap("c", "1")})
			s.write(tt.tree)
			if err := os.Symlink("../other", filepath.Join(s.dir, "app/link")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../other/c.yaml", filepath.Join(s.dir, "app/link.yaml")); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), "git", "-C", s.dir, "init", "-q").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			p := s.plan(1)
			for _, name := range tt.created {
				p.want("ConfigMap/"+name, plan.Create, plan.NotFound)
			}
			equal(t, "summary", p.Summary, plan.Summary{Create: len(tt.created)})
		})
	}
}

// TestWhatTheArtifactLeavesOutIsMissed names the file that is needed, and the
// rule that leaves it out.
func TestWhatTheArtifactLeavesOutIsMissed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		tree   files
		reason string
		says   string
	}{
		{"a resource", files{".sourceignore": "# not yet\nb.yaml\n", "app/kustomization.yaml": "resources: [b.yaml]\n"}, plan.BuildFailed, "app/b.yaml: the artifact leaves it out (.sourceignore:2:b.yaml)"},
		{"a base", files{"app/kustomization.yaml": "resources: [../link]\n"}, plan.BuildFailed, "link: the artifact leaves it out (link is a symbolic link)"},
		{"a file of a generator", files{"app/kustomization.yaml": "configMapGenerator: [{name: logo, files: [logo.png]}]\n", "app/logo.png": "x"}, plan.BuildFailed, "app/logo.png: the artifact leaves it out (the default excludes:*.png)"},
		{"the path", files{"flux.yaml": kustomization("app", "path: ./link")}, plan.ArtifactFailed, "link (link is a symbolic link)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, files{"flux.yaml": kustomization("app"), "app/b.yaml": configMap("b", "1")})
			s.write(tt.tree)
			if err := os.Symlink("app", filepath.Join(s.dir, "link")); err != nil {
				t.Fatal(err)
			}
			p := s.plan(2)
			p.problem("app", tt.reason, tt.says)
		})
	}
}

// TestRenderedSource plans a child by the rules of the source that its parent
// renders.
func TestRenderedSource(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":          kustomization("root", "path: ./clusters"),
		"clusters/app.yaml":  kustomization("app"),
		"clusters/repo.yaml": "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: repo}\nspec: {url: https://example.com/repo.git, interval: 1m, ignore: b.yaml}\n",
		"app/a.yaml":         configMap("a", "1"),
		"app/b.yaml":         configMap("b", "1"),
	})
	p := s.plan(4) // this cluster serves no GitRepository
	equal(t, "changes", len(p.step("app").Changes), 1)
	p.want("ConfigMap/a", plan.Create, plan.NotFound)
}
