package planner

import (
	"errors"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/render"
)

// family is a world that was read, with the names of the Kustomizations that
// each of its Kustomizations renders, as documents of read.
func family(t *testing.T, documents []string, renders map[string][]string) (w *world, read map[object.Key]*manifest.Kustomization, done map[object.Key]*rendering) {
	t.Helper()
	read, done = map[object.Key]*manifest.Kustomization{}, map[object.Key]*rendering{}
	for _, k := range readAll(t, documents) {
		read[k.Key()] = k
	}
	render := func(w *world) {
		for key, k := range w.known {
			if done[key] != nil && done[key].k == k {
				continue
			}
			done[key] = &rendering{k: k}
			for _, child := range readAll(t, renders[key.Name]) {
				done[key].Objects = append(done[key].Objects, child.Raw)
			}
		}
	}
	w = &world{known: read}
	for range 5 {
		render(w)
		w = w.grow(read, done)
	}
	return w, read, done
}

func readAll(t *testing.T, documents []string) []*manifest.Kustomization {
	t.Helper()
	if len(documents) == 0 {
		return nil
	}
	return read(t, documents...)
}

func TestGrow(t *testing.T) {
	tests := []struct {
		name      string
		documents []string
		renders   map[string][]string
		// want has a line "KEY < PARENT path", of those that are known.
		want []string
	}{
		{"nothing is rendered", []string{"a: {}"}, nil, []string{"flux-system/a ./a"}},
		{"children and their children", []string{"root: {}"}, map[string][]string{"root": {"a: {}", "apps/b: {}"}, "a": {"c: {}"}}, []string{
			"apps/b < flux-system/root ./b", "flux-system/a < flux-system/root ./a", "flux-system/c < flux-system/a ./c", "flux-system/root ./root",
		}},
		{
			"what is rendered takes the place of what was read",
			[]string{"root: {}", "a: {}"},
			map[string][]string{"root": {"a: {path: ./other}"}},
			[]string{"flux-system/a < flux-system/root ./other", "flux-system/root ./root"},
		},
		{"a root that renders itself", []string{"root: {}"}, map[string][]string{"root": {"root: {path: ./other}", "a: {}"}}, []string{"flux-system/a < flux-system/root ./a", "flux-system/root ./root"}},
		{
			"the first of two parents",
			[]string{"p: {}", "q: {}"},
			map[string][]string{"p": {"a: {path: ./first}"}, "q": {"a: {path: ./second}"}},
			[]string{"flux-system/a < flux-system/p ./first", "flux-system/p ./p", "flux-system/q ./q"},
		},
		{
			"none is its own ancestor",
			[]string{"a: {}"},
			map[string][]string{"a": {"b: {}"}, "b": {"c: {}"}, "c": {"a: {path: ./other}"}},
			[]string{"flux-system/a ./a", "flux-system/b < flux-system/a ./b", "flux-system/c < flux-system/b ./c"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, _, _ := family(t, tt.documents, tt.renders)
			var got []string
			for _, key := range w.keys() {
				line := key.String()
				if parent, has := w.parents[key]; has {
					line += " < " + parent.String()
				}
				got = append(got, line+" "+w.known[key].Spec.Path)
			}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestGrowKeepsWhatStaysTheSame(t *testing.T) {
	w, read, _ := family(t, []string{"root: {}", "a: {}"}, map[string][]string{"root": {"a: {}"}})
	if w.known[key("a")] != read[key("a")] {
		t.Error("the Kustomization would be rendered again, though its spec is that of its file")
	}
}

func TestGrowPassesOverWhatTheParentSkips(t *testing.T) {
	child := read(t, "a: {path: ./other}")[0]
	child.Raw.SetAnnotations(map[string]string{"kustomize.toolkit.fluxcd.io/reconcile": "disabled"})
	root := read(t, "root: {}")[0]
	w := &world{known: map[object.Key]*manifest.Kustomization{key("root"): root}}
	next := w.grow(w.known, map[object.Key]*rendering{key("root"): {k: root, Rendered: render.Rendered{Objects: []*unstructured.Unstructured{child.Raw}}}})
	if len(next.known) != 1 {
		t.Errorf("got %v", next.known)
	}
}

func TestGrowPassesOverWhatCouldNotBeDecrypted(t *testing.T) {
	child := read(t, "a: {path: ./other}")[0].Raw
	root := read(t, "root: {}")[0]
	w := &world{known: map[object.Key]*manifest.Kustomization{key("root"): root}}
	rendered := render.Rendered{Objects: []*unstructured.Unstructured{child}, Encrypted: map[*unstructured.Unstructured]string{child: "no key"}}
	next := w.grow(w.known, map[object.Key]*rendering{key("root"): {k: root, Rendered: rendered}})
	if len(next.known) != 1 {
		t.Errorf("got %v", next.known)
	}
}

func TestGrowTellsOfAKustomizationThatCannotBeRead(t *testing.T) {
	root := read(t, "root: {}")[0]
	done := map[object.Key]*rendering{key("root"): {k: root, Rendered: render.Rendered{
		Objects: objects(t, "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, namespace: apps}\nspec: {paht: ./a, interval: 1m, sourceRef: {kind: GitRepository, name: x}}\n"),
	}}}
	w := &world{known: map[object.Key]*manifest.Kustomization{key("root"): root}}
	w.grow(w.known, done)
	want := &plan.Problem{Reason: plan.BuildFailed, Message: `it renders Kustomization apps/a: unknown field "spec.paht"`}
	if d := gocmp.Diff(want, done[key("root")].problem); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestMembers(t *testing.T) {
	w, _, _ := family(t, []string{"root: {}", "infra: {}", "other: {}"}, map[string][]string{
		"root":  {"app: {dependsOn: [{name: db}]}", "db: {dependsOn: [{name: infra}]}", "aside: {}"},
		"infra": {"certs: {}"},
	})
	tests := []struct {
		name  string
		names []string
		want  string
	}{
		{"all of them", nil, "app aside certs db infra other root"},
		{"what the chosen one renders, and what these depend on", []string{"root"}, "app aside certs db infra root"},
		{"a child, with what it depends on and what that renders, but not its parent", []string{"app"}, "app certs db infra"},
		{"one alone", []string{"other"}, "other"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, k := range w.members(tt.names) {
				got = append(got, k.Name)
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
}

func TestAfter(t *testing.T) {
	tests := []struct {
		name      string
		documents []string
		renders   map[string][]string
		of        string
		want      string
	}{
		{"what it depends on", []string{"a: {dependsOn: [{name: b}]}", "b: {}"}, nil, "a", "b"},
		{"its parent", []string{"root: {}"}, map[string][]string{"root": {"a: {}"}}, "a", "root"},
		{"its parent and what it depends on", []string{"root: {}"}, map[string][]string{"root": {"a: {dependsOn: [{name: b}]}", "b: {}"}}, "a", "b root"},
		{"not the children of what it depends on", []string{"a: {dependsOn: [{name: b}]}", "b: {}"}, map[string][]string{"b": {"c: {}"}}, "a", "b"},
		{"the children that what it depends on waits for", []string{"a: {dependsOn: [{name: b}]}", "b: {wait: true}"}, map[string][]string{"b": {"c: {wait: true}"}, "c": {"d: {}"}}, "a", "b c d"},
		{
			"those of them that are among its health checks",
			[]string{"a: {dependsOn: [{name: b}]}", "b: {healthChecks: [{apiVersion: kustomize.toolkit.fluxcd.io/v1, kind: Kustomization, name: c, namespace: flux-system}]}"},
			map[string][]string{"b": {"c: {}", "d: {}"}},
			"a", "b c",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, _, _ := family(t, tt.documents, tt.renders)
			var got []string
			for _, k := range w.after()[key(tt.of)] {
				got = append(got, k.Name)
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
}

func TestAChildOfWhatWaitsForItCannotDependOnIt(t *testing.T) {
	w, _, done := family(t, []string{"root: {wait: true}"}, map[string][]string{"root": {"a: {dependsOn: [{name: root}]}", "b: {}"}})
	steps, _, err := w.arrange(nil, done)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a": "dependency 'flux-system/root' renders it and waits for it: neither can ever be ready"}
	got := map[string]string{}
	for _, s := range steps {
		if s.plan.Problem != nil {
			got[s.key.Name] = s.plan.Problem.Message
		}
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestVariables(t *testing.T) {
	done := map[object.Key]*rendering{
		key("a"): {Rendered: render.Rendered{Objects: objects(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: flux-system}\ndata: {a: '1'}\n---\n"+
			"apiVersion: v1\nkind: Secret\nmetadata: {name: vars, namespace: flux-system}\ndata: {b: Mg==}\n---\n"+
			"apiVersion: v1\nkind: Secret\nmetadata: {name: broken, namespace: flux-system}\ndata: {b: '%'}\n---\n"+jobYAML)}},
		key("b"): {Rendered: render.Rendered{Objects: objects(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: vars, namespace: flux-system}\ndata: {a: second}\n")}},
		key("c"): {Rendered: render.Rendered{Objects: objects(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: apart, namespace: flux-system}\n")}},
	}
	config, secret := varsRef("ConfigMap", key("vars")), varsRef("Secret", key("vars"))
	held := variables([]object.Key{key("a"), key("b"), key("not-rendered")}, done)
	want := map[object.Ref]map[string]string{config: {"a": "1"}, secret: {"b": "2"}}
	if d := gocmp.Diff(want, held); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	k := read(t, "x: {postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}, {kind: ConfigMap, name: elsewhere}]}}")[0]
	if d := gocmp.Diff(map[object.Ref]map[string]string{config: {"a": "1"}}, usedBy(k, held)); d != "" {
		t.Errorf("used (-want +got):\n%s", d)
	}
}

func TestVariablesThatCouldNotBeDecryptedAreNotThoseOfTheCluster(t *testing.T) {
	o := objects(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: vars, namespace: flux-system}\ndata: {b: aaaa}\n")
	done := map[object.Key]*rendering{key("a"): {Rendered: render.Rendered{Objects: o, Encrypted: map[*unstructured.Unstructured]string{o[0]: "no key"}}}}
	held := variables([]object.Key{key("a")}, done)
	_, err := treeFirst{held, nil}.Data(t.Context(), "Secret", key("vars"))
	if !errors.Is(err, render.ErrEncrypted) {
		t.Errorf("got error %v, want %v", err, render.ErrEncrypted)
	}
}

func TestWhatMayStillBeRenderedIsNotStale(t *testing.T) {
	o := objects(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: \"db-?\", namespace: shop}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: plain, namespace: shop}\n")
	s := &step{objects: o, encrypted: map[*unstructured.Unstructured]string{o[0]: "no key"}}
	for name, want := range map[string]string{"db-2f27ht29m7": "its name may still be rendered: no key", "plain-2f27ht29m7": ""} {
		if got := s.mayBe(object.Ref{Version: "v1", Kind: "Secret", Namespace: "shop", Name: name}); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestClaims(t *testing.T) {
	steps := []*step{{key: key("a"), objects: objects(t, jobYAML)}, {key: key("b"), objects: objects(t, jobYAML+"---\n"+namespaceYAML)}}
	job := object.RefOf(steps[0].objects[0])
	want := []plan.Warning{{Rule: "claimed-twice", Object: &job, Message: "Job/shop/migrate is rendered by flux-system/a, flux-system/b: each takes it from the other whenever it is reconciled"}}
	if d := gocmp.Diff(want, claims(steps)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestRemovedStep(t *testing.T) {
	entries := []plan.Entry{{ID: "shop_a__ConfigMap", Version: "v1"}}
	parent := &step{key: key("root"), plan: plan.Step{Wave: 1}}
	tests := []struct {
		name     string
		recorded plan.Inventory
		removed  bool
	}{
		{"what Flux keeps", plan.Inventory{Kept: plan.KeptByFlux, Reconciled: true, Entries: entries, DeletionPolicy: plan.DeleteAll}, true},
		{"what Flux keeps and waits for", plan.Inventory{Kept: plan.KeptByFlux, Reconciled: true, Entries: entries, DeletionPolicy: "WaitForTermination"}, true},
		{"what is kept beside", plan.Inventory{Kept: plan.KeptByPlugin, Entries: entries, DeletionPolicy: plan.DeleteAll}, true},
		{"an orphan stays", plan.Inventory{Kept: plan.KeptByFlux, Reconciled: true, Entries: entries, DeletionPolicy: plan.Orphan}, false},
		{"what a suspended one has applied stays", plan.Inventory{Kept: plan.KeptByFlux, Entries: entries, DeletionPolicy: plan.DeleteAll}, false},
		{"nothing was applied", plan.Inventory{Kept: plan.KeptByFlux, Reconciled: true, DeletionPolicy: plan.DeleteAll}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := removedStep(key("a"), parent, tt.recorded)
			if (s != nil) != tt.removed {
				t.Fatalf("got %+v", s)
			}
			if s != nil && (s.plan.Wave != 2 || !s.plan.Removed || s.plan.Inventory.Reconciled || !s.plan.Inventory.Prune) {
				t.Errorf("got %+v", s.plan)
			}
		})
	}
}
