package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// chain is a tree in which c waits for b and b for a; d stands alone.
func chain() files {
	return files{
		"clusters/a.yaml":      kustomization("a"),
		"clusters/b.yaml":      kustomization("b", after("a")) + configMap("passed-over", "1"),
		"clusters/deep/c.yaml": kustomization("c", after("b")),
		"clusters/deep/d.yml":  kustomization("d"),
		"clusters/README.md":   "kind: Kustomization\n",
		"a/a.yaml":             configMap("a", "1"),
		"b/b.yaml":             configMap("b", "1"),
		"c/c.yaml":             configMap("c", "1"),
		"d/d.yaml":             configMap("d", "1"),
	}
}

func TestInputs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"a file", []string{"-f=clusters/a.yaml"}, []string{"a"}},
		{"several files", []string{"-f=clusters/b.yaml", "-f=clusters/a.yaml"}, []string{"a", "b"}},
		{"files with commas between", []string{"-f=clusters/b.yaml,clusters/a.yaml"}, []string{"a", "b"}},
		{"a folder", []string{"-f=clusters"}, []string{"a", "b"}},
		{"a folder with all below", []string{"-f=clusters", "-R"}, []string{"a", "d", "b", "c"}},
		{"a name brings what it depends on", []string{"-f=clusters", "-R", "c"}, []string{"a", "b", "c"}},
		{"a name with its namespace", []string{"-f=clusters", "-R", "@NS/b"}, []string{"a", "b"}},
		{"several names", []string{"-f=clusters", "-R", "a", "d"}, []string{"a", "d"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, chain())
			p := s.plan(1, tt.args...)
			equal(t, "steps", p.names(), tt.want)
			equal(t, "summary", p.Summary, plan.Summary{Create: len(tt.want)})
			for i, name := range tt.want {
				equal(t, "Kustomization", p.Steps[i].Kustomization, object.Key{Namespace: s.ns, Name: name})
			}
		})
	}
}

func TestInputFromStdin(t *testing.T) {
	t.Parallel()
	s := newSpace(t, chain())
	p := s.planFrom(strings.NewReader(s.expand(kustomization("a")+configMap("other", "1")+kustomization("d"))), 1, "-f", "-")
	equal(t, "steps", p.names(), []string{"a", "d"})
	equal(t, "tree", p.step("a").Source.LocalDir, s.dir)
}

func TestWavesAndDependencies(t *testing.T) {
	t.Parallel()
	s := newSpace(t, chain())
	p := s.plan(1, "-f=clusters", "-R")
	for name, wave := range map[string]int{"a": 0, "d": 0, "b": 1, "c": 2} {
		equal(t, "wave of "+name, p.step(name).Wave, wave)
	}
	equal(t, "dependencies", p.step("c").DependsOn, s.keysOf("b"))
	equal(t, "dependencies", p.step("a").DependsOn, []object.Key{})
}

func TestAPIVersions(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1", "v1beta2", "v1beta1"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, files{
				"flux.yaml":  strings.Replace(kustomization("app", `patches: [{target: {kind: ConfigMap}, patch: '[{"op": "add", "path": "/data/more", "value": "2"}]'}]`), "/v1\n", "/"+version+"\n", 1),
				"app/a.yaml": configMap("a", "1"),
			})
			s.apply(0)
			equal(t, "data", text(s.live("ConfigMap/a"), "data", "more"), "2")
		})
	}
}

// TestFieldsOfOldAPIVersions renders what only v1beta1 and v1beta2 have.
func TestFieldsOfOldAPIVersions(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":  strings.Replace(kustomization("app", `patchesStrategicMerge: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {more: "2"}}]`, "validation: client"), "/v1\n", "/v1beta2\n", 1),
		"app/a.yaml": configMap("a", "1"),
	})
	s.apply(0)
	equal(t, "data", text(s.live("ConfigMap/a"), "data", "more"), "2")
}

// TestInputMistakes are told with the place of the mistake, and there is no
// plan.
func TestInputMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		flux string
		args []string
		says []string
	}{
		{"a cycle", kustomization("a", after("c")) + kustomization("b", after("a")) + kustomization("c", after("b")), nil, []string{"@NS/a", "@NS/b", "@NS/c", "cycle"}},
		{"an unknown name", kustomization("a"), []string{"other"}, []string{`no Kustomization "other"`, "@NS/a"}},
		{"YAML that is none", configMap("x", "1") + "---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a\n", nil, []string{"flux.yaml:7: not valid YAML"}},
		{"an unknown field", kustomization("a", "foorce: true"), nil, []string{"flux.yaml:", `unknown field "spec.foorce"`}},
		{"an unknown API version", strings.Replace(kustomization("a"), "/v1\n", "/v7\n", 1), nil, []string{"flux.yaml:", "v7", "v1beta2"}},
		{"a Kustomization twice", kustomization("a") + kustomization("a"), nil, []string{"@NS/a is defined twice", "flux.yaml:2", "flux.yaml:12"}},
		{"no Kustomization", configMap("x", "1"), nil, []string{"no Flux Kustomization", "flux.yaml"}},
		{"no source", kustomization("a", "sourceRef: {kind: GitRepository}"), nil, []string{"spec.sourceRef.name is missing"}},
		{"a file that is not there", "", []string{"-f=other.yaml"}, []string{"other.yaml", "no such file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, files{"flux.yaml": tt.flux, "a/a.yaml": configMap("a", "1"), "b/b.yaml": configMap("b", "1"), "c/c.yaml": configMap("c", "1")})
			for _, command := range []string{"plan", "apply"} {
				args := s.arguments(command, "--color", "never", "--show-unchanged", tt.args)
				if command == "apply" {
					args = append(args, "--yes")
				}
				r := s.run(2, args...)
				equal(t, "stdout", r.stdout, "")
				for _, say := range tt.says {
					wantText(t, r.stderr, s.expand(say))
				}
			}
			s.absent("ConfigMap/a", "ConfigMap/b", "ConfigMap/c")
		})
	}
}

func TestMissingDependency(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":  kustomization("a", after("gone")) + kustomization("b", after("a")) + kustomization("c"),
		"a/a.yaml":   configMap("a", "1"),
		"b/b.yaml":   configMap("b", "1"),
		"c/all.yaml": configMap("c", "1"),
	})
	p := s.plan(2)
	p.problem("a", plan.DependencyNotReady, s.ns+"/gone", "not found")
	equal(t, "held back", p.step("a").HoldsBack, s.keysOf("b"))
	equal(t, "complete", p.Complete, false)
	p.want("ConfigMap/c", plan.Create, plan.NotFound)
	s.apply(2)
	s.absent("ConfigMap/c")
}

func TestWithoutFilename(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	r := s.run(2, "plan")
	wantText(t, r.stderr, "-f FILE")
}

// sources is a tree with the Kustomizations outside of the trees that they are
// rendered from, each of which holds another value.
func sources() files {
	return files{
		"flux.yaml": kustomization("app") + kustomization("other", "path: ./app", "namePrefix: other-", "sourceRef: {kind: OCIRepository, name: repo, namespace: registry}") +
			kustomization("third", "path: ./app", "namePrefix: third-", "sourceRef: {kind: Bucket, name: files}"),
		"one/app/a.yaml":   configMap("a", "one"),
		"two/app/a.yaml":   configMap("a", "two"),
		"three/app/a.yaml": configMap("a", "three"),
	}
}

func TestLocalSources(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		sources []string
		want    map[string]string
	}{
		{"one for all", []string{"one"}, map[string]string{"app": "one", "other": "one", "third": "one"}},
		{"by name", []string{"repo=one", "files=two"}, map[string]string{"app": "one", "other": "one", "third": "two"}},
		{"by name, and one for the rest", []string{"repo=one", "three"}, map[string]string{"app": "one", "other": "one", "third": "three"}},
		{"by namespace", []string{"@NS/repo=one", "registry/repo=two", "three"}, map[string]string{"app": "one", "other": "two", "third": "three"}},
		{"by kind", []string{"GitRepository/@NS/repo=one", "OCIRepository/registry/repo=two", "Bucket/@NS/files=three"}, map[string]string{"app": "one", "other": "two", "third": "three"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, sources())
			var args []string
			for _, source := range tt.sources {
				args = append(args, "--local-source", source)
			}
			p := s.plan(1, args...)
			for step, tree := range tt.want {
				equal(t, "tree of "+step, p.step(step).Source.LocalDir, filepath.Join(s.dir, tree))
			}
			p.want("ConfigMap/other-a", plan.Create, plan.NotFound)
		})
	}
}

func TestSourceWithoutATree(t *testing.T) {
	t.Parallel()
	s := newSpace(t, sources())
	p := s.plan(2, "--local-source", "repo=one")
	p.problem("third", plan.ArtifactFailed, "Bucket/"+s.ns+"/files", "--local-source "+s.ns+"/files=DIR")
	p.want("ConfigMap/a", plan.Create, plan.NotFound)
	equal(t, "problem", p.step("app").Problem, nil)
}

func TestLocalSourceMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ value, says string }{
		{"repo=absent", "absent"},
		{"=one", "[KIND/][NAMESPACE/]NAME=DIR"},
		{"a/b/c/d=one", "[KIND/][NAMESPACE/]NAME=DIR"},
		{"flux.yaml", "not a directory"},
	} {
		t.Run(tt.value, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, sources())
			r := s.run(2, "plan", "-n", "@NS", "-f", "flux.yaml", "--local-source", tt.value)
			wantText(t, r.stderr, "--local-source "+tt.value, tt.says)
			equal(t, "stdout", r.stdout, "")
		})
	}
}

// TestSourceIsTheGitWorkTree renders from the top of the work tree, though the
// path exists in the file's folder too.
func TestSourceIsTheGitWorkTree(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"clusters/prod/flux.yaml":  kustomization("app"),
		"clusters/prod/app/a.yaml": configMap("wrong", "1"),
		"app/a.yaml":               configMap("right", "1"),
	})
	git := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", s.dir, "-c", "user.name=e2e", "-c", "user.email=e2e@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+s.home, "GIT_CONFIG_NOSYSTEM=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	git("init", "-q", "-b", "main")
	git("add", ".")
	git("commit", "-q", "-m", "all")
	p := s.plan(1, "-f=clusters/prod")
	p.want("ConfigMap/right", plan.Create, plan.NotFound)
	source := p.step("app").Source
	equal(t, "tree", source.LocalDir, s.dir)
	wantText(t, source.Revision, "main@sha1:")
	wantNoText(t, source.Revision, "uncommitted")
	s.write(files{"app/b.yaml": configMap("b", "1")})
	p = s.plan(1, "-f=clusters/prod")
	wantText(t, p.step("app").Source.Revision, "main@sha1:", "+uncommitted")
	table := s.run(0, "plan", "-n", "@NS", "-f", "clusters/prod").stdout
	wantText(t, table, "Source of every Kustomization: "+s.dir+" at main@sha1:")
}

func TestSourceIsTheFolderOfTheFile(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{"deep/flux.yaml": kustomization("app"), "deep/app/a.yaml": configMap("right", "1"), "app/a.yaml": configMap("wrong", "1")})
	p := s.plan(1, "-f=deep/flux.yaml")
	p.want("ConfigMap/right", plan.Create, plan.NotFound)
	equal(t, "tree", p.step("app").Source.LocalDir, filepath.Join(s.dir, "deep"))
}

// TestSourceIsTheNearestParent takes the first folder in which the path of
// every Kustomization exists.
func TestSourceIsTheNearestParent(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"clusters/prod/flux.yaml": kustomization("app") + kustomization("web"),
		"clusters/app/a.yaml":     configMap("wrong", "1"),
		"app/a.yaml":              configMap("right", "1"),
		"web/a.yaml":              configMap("web", "1"),
	})
	p := s.plan(1, "-f=clusters/prod")
	p.want("ConfigMap/right", plan.Create, plan.NotFound)
	equal(t, "tree", p.step("app").Source.LocalDir, s.dir)
}
