package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// TestRendering applies a tree and looks at what the cluster holds then.
func TestRendering(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		spec []string
		tree files
		// live holds the value of data.key of the ConfigMaps that are created.
		live map[string]string
	}{
		{
			name: "a folder without a kustomization.yaml, and all below it",
			tree: files{"app/a.yaml": configMap("a", "1"), "app/deep/b.yml": configMap("b", "2"), "app/notes.txt": "no manifest"},
			live: map[string]string{"a": "1", "b": "2"},
		},
		{
			name: "a kustomization.yaml of the tree",
			tree: files{"app/kustomization.yaml": "resources: [a.yaml]\nnameSuffix: -x\n", "app/a.yaml": configMap("a", "1"), "app/b.yaml": configMap("b", "2")},
			live: map[string]string{"a-x": "1"},
		},
		{
			name: "a base beside the folder",
			tree: files{"app/kustomization.yaml": "resources: [../base]\n", "base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": configMap("a", "1")},
			live: map[string]string{"a": "1"},
		},
		{
			name: "patches, by strategic merge and as JSON patch",
			spec: []string{`patches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {key: patched}}'}, {target: {name: b}, patch: '[{"op": "replace", "path": "/data/key", "value": "json"}]'}]`},
			tree: files{"app/a.yaml": configMap("a", "1") + configMap("b", "2")},
			live: map[string]string{"a": "patched", "b": "json"},
		},
		{
			name: "components",
			spec: []string{"components: [../extra]"},
			tree: files{"app/a.yaml": configMap("a", "1"), "extra/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [b.yaml]\n", "extra/b.yaml": configMap("b", "2")},
			live: map[string]string{"a": "1", "b": "2"},
		},
		{
			name: "namePrefix and nameSuffix",
			spec: []string{"namePrefix: pre-", "nameSuffix: -post"},
			tree: files{"app/a.yaml": configMap("a", "1")},
			live: map[string]string{"pre-a-post": "1"},
		},
		{
			name: "substitute, with defaults",
			spec: []string{`postBuild: {substitute: {one: "1"}}`},
			tree: files{"app/a.yaml": configMap("a", "${one}-${two:=2}")},
			live: map[string]string{"a": "1-2"},
		},
		{
			name: "substituteFrom, the later over the earlier, and substitute over all",
			spec: []string{`postBuild: {substitute: {three: inline}, substituteFrom: [{kind: ConfigMap, name: vars}, {kind: Secret, name: vars}, {kind: ConfigMap, name: absent, optional: true}]}`},
			tree: files{"app/a.yaml": configMap("a", "${one}-${two}-${three}")},
			live: map[string]string{"a": "map-secret-inline"},
		},
		{
			name: "no substitution where none is asked for",
			tree: files{"app/a.yaml": configMap("a", "${one}")},
			live: map[string]string{"a": "${one}"},
		},
		{
			name: "no substitution where the object refuses it",
			spec: []string{`postBuild: {substitute: {one: "1"}}`},
			tree: files{"app/a.yaml": annotate(configMap("a", "${one}"), "kustomize.toolkit.fluxcd.io/substitute", "disabled")},
			live: map[string]string{"a": "${one}"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, tt.tree)
			s.write(files{"flux.yaml": kustomization("app", tt.spec...)})
			s.create("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars}\ndata: {one: map, two: map}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: vars}\nstringData: {two: secret, three: secret}\n")
			p := s.plan(1)
			equal(t, "summary", p.Summary, plan.Summary{Create: len(tt.live)})
			s.apply(0)
			for name, value := range tt.live {
				u := s.live("ConfigMap/" + name)
				equal(t, "data of "+name, text(u, "data", "key"), value)
				equal(t, "labels of "+name, u.GetLabels(), owner(s.ns, "app"))
			}
			s.plan(0)
		})
	}
}

func TestRenderingImages(t *testing.T) {
	t.Parallel()
	s := one(t, job("migrate", "app:1", "true"), "images: [{name: app, newName: registry/app, newTag: '2'}]")
	s.apply(0)
	equal(t, "image", image(s.live("Job/migrate")), "registry/app:2")
}

func TestRenderingTargetNamespace(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1")+placed(configMap("b", "1"), "elsewhere"))
	p := s.plan(1)
	for _, name := range []string{"a", "b"} {
		equal(t, "namespace", p.change("ConfigMap/"+name).Object, object.Ref{Version: "v1", Kind: "ConfigMap", Namespace: s.ns, Name: name})
	}
}

func TestRenderingCommonMetadata(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1"), "commonMetadata: {labels: {team: data}, annotations: {note: yes please}}")
	s.apply(0)
	u := s.live("ConfigMap/a")
	want := owner(s.ns, "app")
	want["team"] = "data"
	equal(t, "labels", u.GetLabels(), want)
	equal(t, "annotations", u.GetAnnotations(), map[string]string{"note": "yes please"})
}

// TestObjectsWithoutANamespace are planned where kubectl would put them, with
// a word about Flux.
func TestObjectsWithoutANamespace(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("homeless-@NS", "1"), "targetNamespace:")
	p := s.plan(1)
	equal(t, "namespace", p.change("ConfigMap/homeless-"+s.ns).Object.Namespace, "default")
	wantText(t, p.stderr, "without a namespace", "spec.targetNamespace")
	if len(p.Warnings) != 1 || p.Warnings[0].Rule != "namespace-missing" {
		t.Errorf("want the warning namespace-missing, got %+v", p.Warnings)
	}
}

// TestRenderingFailures breaks a tree that was applied: nothing is pruned for
// it, and the rest is planned.
func TestRenderingFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		broken files
		reason string
		says   []string
	}{
		{
			"a variable that nothing sets",
			files{"flux.yaml": kustomization("app", "postBuild: {substitute: {other: x}}") + kustomization("web"), "app/a.yaml": configMap("a", "${missing}")},
			plan.BuildFailed,
			[]string{"missing", "ConfigMap"},
		},
		{
			"a source of variables that is not there",
			files{"flux.yaml": kustomization("app", "postBuild: {substituteFrom: [{kind: Secret, name: absent}]}") + kustomization("web")},
			plan.BuildFailed,
			[]string{"Secret/absent", "not found"},
		},
		{
			"a path that does not exist",
			files{"flux.yaml": kustomization("app", "path: ./gone") + kustomization("web")},
			plan.ArtifactFailed,
			[]string{"path not found", "./gone"},
		},
		{
			"a path that leaves the tree",
			files{"flux.yaml": kustomization("app", "path: ../../../../../../../../etc") + kustomization("web")},
			plan.ArtifactFailed,
			[]string{"path not found"},
		},
		{
			"a manifest that is no YAML",
			files{"app/a.yaml": "kind: ConfigMap\n  name: [\n"},
			plan.BuildFailed,
			[]string{"a.yaml"},
		},
		{
			"a base outside of the tree",
			files{"app/kustomization.yaml": "resources: [../../../../../../../../etc]\n"},
			plan.BuildFailed,
			[]string{"etc"},
		},
		{
			"a file that kustomization.yaml names and that is not there",
			files{"app/kustomization.yaml": "resources: [gone.yaml]\n"},
			plan.BuildFailed,
			[]string{"gone.yaml"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, files{
				"flux.yaml":  kustomization("app") + kustomization("web"),
				"app/a.yaml": configMap("a", "1"),
				"web/b.yaml": configMap("b", "1"),
			})
			s.apply(0)
			s.write(tt.broken)
			s.replace("web/b.yaml", `"1"`, `"2"`)
			p := s.plan(2, "--local-source", ".")
			p.problem("app", tt.reason, tt.says...)
			equal(t, "changes of the broken one", len(p.step("app").Changes), 0)
			p.want("ConfigMap/b", plan.Update, plan.Changed)
			equal(t, "summary", p.Summary, plan.Summary{Update: 1})
			equal(t, "complete", p.Complete, false)
			table := s.run(2, "plan", "-n", "@NS", "-f", "flux.yaml", "--local-source", ".").stdout
			wantText(t, table, tt.reason, "This plan is not complete", "Held: Kustomization "+s.ns+"/app")
			before := s.versions(s.ns, "ConfigMap/a", "ConfigMap/b")
			s.apply(2, "--local-source", ".")
			equal(t, "versions", s.versions(s.ns, "ConfigMap/a", "ConfigMap/b"), before)
		})
	}
}

// TestTheTreeIsNotTouched compares every file and folder before and after.
func TestTheTreeIsNotTouched(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":              kustomization("app", `patches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {key: patched}}'}]`) + kustomization("web", "namePrefix: x-"),
		"app/a.yaml":             configMap("a", "1"),
		"web/kustomization.yaml": "# ours\nresources: [b.yaml]\n",
		"web/b.yaml":             configMap("b", "1"),
	})
	before := snapshot(t, s.dir)
	s.plan(1)
	s.apply(0)
	equal(t, "tree", snapshot(t, s.dir), before)
}

func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			all[path] = "folder"
			return err
		}
		data, err := os.ReadFile(path)
		all[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestOneBadObject leaves the rest of the plan as it is.
func TestOneBadObject(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":  kustomization("app") + kustomization("web", after("app")),
		"app/a.yaml": job("bad", "app:1", "true", "parallelism: -1") + configMap("a", "1"),
		"web/b.yaml": configMap("b", "1"),
	})
	p := s.plan(4)
	p.want("Job/bad", plan.Blocked, plan.Invalid)
	p.want("ConfigMap/a", plan.Create, plan.NotFound)
	p.want("ConfigMap/b", plan.Create, plan.NotFound)
	equal(t, "summary", p.Summary, plan.Summary{Create: 2, Blocked: 1})
	equal(t, "complete", p.Complete, true)
	equal(t, "applyable", p.Applyable, false)
	equal(t, "held back", p.step("app").HoldsBack, s.keysOf("web"))
}
