package planner

import (
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/diff"
	"github.com/fluxjob/kubectl-fluxjob/pkg/graph"
	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/source"
)

// read returns the Kustomizations of documents that give name and spec alone,
// as "[namespace/]name: spec" with spec in YAML's flow form.
func read(t *testing.T, documents ...string) []*manifest.Kustomization {
	t.Helper()
	var text strings.Builder
	for _, d := range documents {
		name, spec, _ := strings.Cut(d, ": ")
		namespace, short, named := strings.Cut(name, "/")
		if !named {
			namespace, short = "flux-system", name
		}
		spec = strings.TrimSuffix(strings.TrimPrefix(spec, "{"), "}")
		if spec != "" {
			spec = ", " + spec
		}
		if !strings.Contains(spec, "interval:") {
			spec += ", interval: 10m"
		}
		if !strings.Contains(spec, "path:") {
			spec += ", path: ./" + short
		}
		text.WriteString("---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: " + short + ", namespace: " + namespace +
			"}\nspec: {prune: true, sourceRef: {kind: GitRepository, name: fleet}" + spec + "}\n")
	}
	read, err := manifest.Read(manifest.Options{Filenames: []string{manifest.Stdin}, Stdin: strings.NewReader(text.String())})
	if err != nil {
		t.Fatal(err)
	}
	return read.Kustomizations
}

// objects returns the documents of a YAML stream.
func objects(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for doc := range strings.SplitSeq(text, "---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
	return all
}

func key(name string) object.Key { return object.Key{Namespace: "flux-system", Name: name} }

// arrange puts Kustomizations that render nothing into order.
func arrange(ks []*manifest.Kustomization, names ...string) ([]*step, *graph.Graph[object.Key], error) {
	w := &world{known: map[object.Key]*manifest.Kustomization{}}
	done := map[object.Key]*rendering{}
	for _, k := range ks {
		w.known[k.Key()] = k
		done[k.Key()] = &rendering{k: k}
	}
	return w.arrange(names, done)
}

func TestArrange(t *testing.T) {
	fleet := []string{
		"app: {dependsOn: [{name: migrate}]}", "migrate: {dependsOn: [{name: db}, {name: certs, namespace: infra}]}",
		"db: {}", "infra/certs: {}", "other: {}", "apps/app: {}",
	}
	type placed struct {
		Key     string
		Wave    int
		Problem string
	}
	tests := []struct {
		name  string
		ks    []string
		names []string
		want  []placed
	}{
		{
			"all of them, in waves and by name within a wave", fleet, nil,
			[]placed{{"apps/app", 0, ""}, {"flux-system/db", 0, ""}, {"flux-system/other", 0, ""}, {"infra/certs", 0, ""}, {"flux-system/migrate", 1, ""}, {"flux-system/app", 2, ""}},
		},
		{"one with all that it depends on", fleet, []string{"flux-system/app"}, []placed{{"flux-system/db", 0, ""}, {"infra/certs", 0, ""}, {"flux-system/migrate", 1, ""}, {"flux-system/app", 2, ""}}},
		{"one that nothing depends on", fleet, []string{"other"}, []placed{{"flux-system/other", 0, ""}}},
		{"what depends on one does not come along", fleet, []string{"db"}, []placed{{"flux-system/db", 0, ""}}},
		{"a name in two namespaces takes both", fleet[2:], []string{"app", "db"}, []placed{{"apps/app", 0, ""}, {"flux-system/db", 0, ""}}},
		{"one that is named twice comes once", fleet, []string{"db", "flux-system/db"}, []placed{{"flux-system/db", 0, ""}}},
		{
			"a dependency that is not among them is a problem of its step",
			[]string{"app: {dependsOn: [{name: absent}, {name: gone}]}", "db: {}"},
			nil,
			[]placed{{"flux-system/app", 0, "DependencyNotReady: dependency 'flux-system/absent' not found among the Kustomizations read: add its file with -f"}, {"flux-system/db", 0, ""}},
		},
		{"a dependency in its own namespace", []string{"apps/a: {dependsOn: [{name: b}]}", "apps/b: {}", "b: {}"}, []string{"a"}, []placed{{"apps/b", 0, ""}, {"apps/a", 1, ""}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			steps, _, err := arrange(read(t, tt.ks...), tt.names...)
			if err != nil {
				t.Fatal(err)
			}
			var got []placed
			for _, s := range steps {
				p := placed{s.plan.Kustomization.String(), s.plan.Wave, ""}
				if s.plan.Problem != nil {
					p.Problem = s.plan.Problem.Reason + ": " + s.plan.Problem.Message
				}
				got = append(got, p)
			}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestArrangeErrors(t *testing.T) {
	tests := []struct {
		name  string
		ks    []string
		names []string
		want  string
	}{
		{
			"a cycle names its members",
			[]string{"a: {dependsOn: [{name: b}]}", "b: {dependsOn: [{name: c}]}", "c: {dependsOn: [{name: b}]}"},
			nil,
			"dependency cycle: flux-system/b → flux-system/c → flux-system/b: none of these Kustomizations could ever be reconciled",
		},
		{
			"one that depends on itself",
			[]string{"a: {dependsOn: [{name: a}]}"},
			nil,
			"dependency cycle: flux-system/a → flux-system/a: none of these Kustomizations could ever be reconciled",
		},
		{
			"names that are not there are told at once",
			[]string{"a: {}", "apps/b: {}"},
			[]string{"x", "a", "flux-system/b"},
			"no Kustomization \"x\" among those read: apps/b, flux-system/a\nno Kustomization \"flux-system/b\" among those read: apps/b, flux-system/a",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := arrange(read(t, tt.ks...), tt.names...)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestACycleElsewhereDoesNotMatter(t *testing.T) {
	steps, _, err := arrange(read(t, "a: {dependsOn: [{name: a}]}", "b: {}"), "b")
	if err != nil || len(steps) != 1 {
		t.Errorf("got %d steps, %v", len(steps), err)
	}
}

func TestStep(t *testing.T) {
	ks := read(t, "a: {dependsOn: [{name: b}], wait: true, timeout: 2m}", "b: {}")
	w := &world{
		known:   map[object.Key]*manifest.Kustomization{ks[0].Key(): ks[0], ks[1].Key(): ks[1]},
		parents: map[object.Key]object.Key{key("a"): key("root")},
	}
	root := key("root")
	want := plan.Step{
		Kustomization: key("a"), DependsOn: []object.Key{key("b")}, Parent: &root, Wave: 3,
		Wait:      plan.Wait{All: true, TimeoutSeconds: 120},
		Inventory: plan.Inventory{Prune: true},
	}
	if d := gocmp.Diff(want, w.step(key("a"), 3).plan); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestUnsupported(t *testing.T) {
	tests := []struct{ name, spec, want string }{
		{"nothing", "{wait: true, force: true, targetNamespace: x, suspend: true}", ""},
		{"another cluster", "{kubeConfig: {secretRef: {name: x}}}", "spec.kubeConfig"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := read(t, "a: "+tt.spec)[0]
			if got := unsupported(k); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			s := (&world{known: map[object.Key]*manifest.Kustomization{key("a"): k, key("b"): k, key("c"): k}}).step(key("a"), 0)
			if problem := s.plan.Problem != nil && s.plan.Problem.Reason == plan.NotSupported; problem != (tt.want != "") {
				t.Errorf("the step's problem is %v", s.plan.Problem)
			}
		})
	}
}

func TestExpressionsOfHealthAreParsedAtOnce(t *testing.T) {
	k := read(t, "a: {healthCheckExprs: [{apiVersion: v1, kind: X, current: 'a'}, {apiVersion: v1, kind: X, current: 'b'}]}")[0]
	want := &plan.Problem{Reason: "InvalidCELExpression", Message: "spec.healthCheckExprs: duplicate custom health check for GroupKind X at healthchecks[1]"}
	if d := gocmp.Diff(want, (&world{known: map[object.Key]*manifest.Kustomization{key("a"): k}}).step(key("a"), 0).plan.Problem); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestReadyExprsAreCompiledAtOnce(t *testing.T) {
	const invalid = "InvalidCELExpression"
	tests := []struct {
		name, spec string
		exprs      []plan.ReadyExpr
		problem    string
	}{
		{"none", "{dependsOn: [{name: b}]}", nil, ""},
		{"one of two", "{dependsOn: [{name: b}, {name: c, readyExpr: dep.spec.prune == true}]}", []plan.ReadyExpr{{Kustomization: key("c"), Expr: "dep.spec.prune == true"}}, ""},
		{"a syntax error", "{dependsOn: [{name: b, readyExpr: dep.}]}", []plan.ReadyExpr{{Kustomization: key("b"), Expr: "dep."}}, invalid},
		{"no boolean", "{dependsOn: [{name: b, readyExpr: dep.spec.prune}]}", []plan.ReadyExpr{{Kustomization: key("b"), Expr: "dep.spec.prune"}}, invalid},
		{"a dependency that is missing goes first", "{dependsOn: [{name: x, readyExpr: dep.}]}", []plan.ReadyExpr{{Kustomization: key("x"), Expr: "dep."}}, "DependencyNotReady"},
		{"a dependency that is missing goes second", "{dependsOn: [{name: b, readyExpr: dep.}, {name: x}]}", []plan.ReadyExpr{{Kustomization: key("b"), Expr: "dep."}}, invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := read(t, "a: "+tt.spec)[0]
			got := (&world{known: map[object.Key]*manifest.Kustomization{key("a"): k, key("b"): k, key("c"): k}}).step(key("a"), 1).plan
			if d := gocmp.Diff(tt.exprs, got.ReadyExprs); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			problem := ""
			if got.Problem != nil {
				problem = got.Problem.Reason
			}
			if problem != tt.problem {
				t.Errorf("got problem %q, want %q", problem, tt.problem)
			}
		})
	}
}

func TestWaitOf(t *testing.T) {
	tests := []struct {
		name, spec string
		want       plan.Wait
	}{
		{"the interval less 30 seconds", "{interval: 10m}", plan.Wait{TimeoutSeconds: 570}},
		{"never less than 30 seconds", "{interval: 45s}", plan.Wait{TimeoutSeconds: 30}},
		{"the timeout", "{interval: 10m, timeout: 3m}", plan.Wait{TimeoutSeconds: 180}},
		{"a timeout of less than 30 seconds", "{interval: 10m, timeout: 5s}", plan.Wait{TimeoutSeconds: 30}},
		{"everything, which leaves health checks out", "{wait: true, healthChecks: [{kind: Job, name: a, namespace: b, apiVersion: batch/v1}]}", plan.Wait{All: true, TimeoutSeconds: 570}},
		{
			"expressions of health", "{interval: 10m, healthCheckExprs: [{apiVersion: a/v1, kind: X, current: 'c', failed: 'f', inProgress: 'i'}]}",
			plan.Wait{TimeoutSeconds: 570, HealthCheckExprs: []plan.HealthCheckExpr{{APIVersion: "a/v1", Kind: "X", Current: "c", Failed: "f", InProgress: "i"}}},
		},
		{
			"expressions of health that go before the conditions of Jobs", "{interval: 10m, serviceAccountName: s, healthCheckExprs: [{apiVersion: a/v1, current: 'c'}]}",
			plan.Wait{TimeoutSeconds: 570, ExprsForJobs: true, HealthCheckExprs: []plan.HealthCheckExpr{{APIVersion: "a/v1", Current: "c"}}},
		},
		{
			"health checks, with the version that the controller assumes", "{healthChecks: [{kind: Deployment, name: a, namespace: b}, {apiVersion: v1, kind: Service, name: s, namespace: b}, {apiVersion: batch/v1, kind: Job, name: j, namespace: b}]}",
			plan.Wait{TimeoutSeconds: 570, HealthChecks: []object.Ref{
				{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "b", Name: "a"},
				{Version: "v1", Kind: "Service", Namespace: "b", Name: "s"},
				{Group: "batch", Version: "v1", Kind: "Job", Namespace: "b", Name: "j"},
			}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := gocmp.Diff(tt.want, waitOf(read(t, "a: "+tt.spec)[0])); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestSourceOf(t *testing.T) {
	k := read(t, "apps/a: {}")[0]
	if d := gocmp.Diff(source.Ref{Kind: "GitRepository", Namespace: "apps", Name: "fleet"}, sourceOf(k)); d != "" {
		t.Errorf("in its own namespace (-want +got):\n%s", d)
	}
	k.Spec.SourceRef.Namespace = "flux-system"
	if d := gocmp.Diff(source.Ref{Kind: "GitRepository", Namespace: "flux-system", Name: "fleet"}, sourceOf(k)); d != "" {
		t.Errorf("in another namespace (-want +got):\n%s", d)
	}
}

const (
	namespaceYAML = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
	crdYAML       = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: crontabs.example.com}\nspec: {group: example.com, scope: Namespaced, names: {kind: CronTab}}\n"
	jobYAML       = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, namespace: shop}\n"
)

func TestBrings(t *testing.T) {
	steps, order, err := arrange(read(t, "app: {dependsOn: [{name: mid}]}", "mid: {dependsOn: [{name: base}]}", "base: {}", "aside: {}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		switch s.key.Name {
		case "base":
			s.objects = objects(t, namespaceYAML)
		case "aside":
			s.objects = objects(t, crdYAML)
		case "app":
			s.objects = objects(t, jobYAML)
		}
	}
	type brought struct{ Namespaces, Kinds []string }
	want := map[string]brought{
		"base": {Namespaces: []string{"shop"}}, "mid": {Namespaces: []string{"shop"}}, "app": {Namespaces: []string{"shop"}},
		"aside": {Kinds: []string{"CronTab.example.com"}},
	}
	elsewhere := map[string]object.Key{"shop": key("base"), "CronTab.example.com": key("aside")}
	got := map[string]brought{}
	for k, b := range brings(steps, order) {
		got[k.Name] = brought{slices.Sorted(maps.Keys(b.Namespaces)), slices.Sorted(maps.Keys(b.Kinds))}
		if d := gocmp.Diff(elsewhere, b.Elsewhere); d != "" {
			t.Errorf("%s: elsewhere (-want +got):\n%s", k, d)
		}
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestCustomResourcesGoWithTheirDefinition(t *testing.T) {
	const crontab = "apiVersion: example.com/v1\nkind: CronTab\nmetadata: {name: a, namespace: shop}"
	tests := []struct {
		name       string
		definition string
		recreate   bool
		action     plan.Action
		want       plan.Action
		code       plan.Code
	}{
		{"one that does not change", crdYAML, true, plan.Unchanged, plan.Create, plan.AfterCRD},
		{"one that would be recreated itself", crdYAML, true, plan.Recreate, plan.Create, plan.AfterCRD},
		{"one that the new scope does not take", strings.Replace(crdYAML, "Namespaced", "Cluster", 1), true, plan.Update, plan.Blocked, plan.Invalid},
		{"one that is passed over", crdYAML, true, plan.Skip, plan.Skip, ""},
		{"one whose definition stays", crdYAML, false, plan.Unchanged, plan.Unchanged, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := objects(t, tt.definition+"\n---\n"+crontab)
			definition, resource := all[0], all[1]
			s := &step{objects: all, items: []diff.Item{
				{Change: plan.Change{Object: object.RefOf(definition), Action: plan.Unchanged}},
				{Change: plan.Change{Object: object.RefOf(resource), Action: tt.action, Live: &plan.Live{UID: "u"}}, Before: resource},
			}}
			if tt.recreate {
				s.items[0].Change.Action = plan.Recreate
			}
			s.loseWith(recreatedDefinitions([]*step{s}), map[string]*unstructured.Unstructured{"CronTab.example.com": definition})
			c := s.items[1].Change
			if c.Action != tt.want || c.Reason.Code != tt.code || (c.Action == plan.Create) != (c.Live == nil) {
				t.Errorf("got %+v", c)
			}
			if got := len(losses([]*step{s})) == 1; got != tt.recreate {
				t.Errorf("warns: %t", got)
			}
		})
	}
}

func TestDefined(t *testing.T) {
	type definition struct {
		Kind              string
		Namespaced, IsCRD bool
	}
	tests := []struct {
		name, object string
		want         definition
	}{
		{"a namespaced kind", crdYAML, definition{"CronTab.example.com", true, true}},
		{"a cluster-scoped kind", strings.Replace(crdYAML, "Namespaced", "Cluster", 1), definition{"CronTab.example.com", false, true}},
		{"no definition", jobYAML, definition{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kind, namespaced, isCRD := defined(objects(t, tt.object)[0])
			if d := gocmp.Diff(tt.want, definition{kind.String(), namespaced, isCRD}); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestPruneOrderIsTheReverseOfApplying(t *testing.T) {
	entries := []plan.Entry{
		{ID: "_shop__Namespace", Version: "v1"},
		{ID: "shop_settings__ConfigMap", Version: "v1"},
		{ID: "not an entry", Version: "v1"},
		{ID: "shop_migrate_batch_Job", Version: "v1"},
		{ID: "shop_web_apps_Deployment", Version: "v1"},
		{ID: "_crontabs.example.com_apiextensions.k8s.io_CustomResourceDefinition", Version: "v1"},
		{ID: "_a__b_rbac.authorization.k8s.io_ClusterRole", Version: "v1"},
	}
	want := []object.Ref{
		{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: "migrate"},
		{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"},
		{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "settings"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole", Name: "a:b"},
		{Version: "v1", Kind: "Namespace", Name: "shop"},
		{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition", Name: "crontabs.example.com"},
	}
	if d := gocmp.Diff(want, pruneOrder(entries)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestRequestedJobs(t *testing.T) {
	other := strings.Replace(jobYAML, "namespace: shop", "namespace: stage", 1)
	custom := strings.Replace(strings.Replace(jobYAML, "batch/v1", "batch.volcano.sh/v1", 1), "migrate", "train", 1)
	steps := []*step{{objects: objects(t, jobYAML+"---\n"+namespaceYAML)}, {objects: objects(t, other+"---\n"+custom)}, {objects: objects(t, jobYAML)}}
	const shop, stage = "shop_migrate_batch_Job", "stage_migrate_batch_Job"
	tests := []struct {
		name  string
		names []string
		want  []string
		err   string
	}{
		{"none", nil, nil, ""},
		{"by namespace and name, in each Kustomization that renders it", []string{"shop/migrate"}, []string{shop}, ""},
		{"several", []string{"stage/migrate", "shop/migrate"}, []string{shop, stage}, ""},
		{"a name that two Jobs have", []string{"migrate"}, nil, "--replace migrate: there are 2 such Jobs, write NAMESPACE/NAME"},
		{"a name that none has", []string{"absent"}, nil, "--replace absent: none of the Kustomizations renders such a Job"},
		{"the name of another object", []string{"shop"}, nil, "--replace shop: none of the Kustomizations renders such a Job"},
		{"a Job of another group", []string{"train"}, nil, "--replace train: none of the Kustomizations renders such a Job"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := requestedJobs(tt.names, steps)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tt.err {
				t.Fatalf("got error %q, want %q", text, tt.err)
			}
			if d := gocmp.Diff(tt.want, slices.Sorted(maps.Keys(got))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestSortStagesKeepsTheOrderWithinAStage(t *testing.T) {
	item := func(name string, stage int) diff.Item {
		return diff.Item{Change: plan.Change{Object: object.Ref{Name: name}, Stage: stage}}
	}
	s := &step{items: []diff.Item{item("a", 3), item("b", 1), item("c", 3), item("d", 2), item("e", 1)}}
	s.sortStages()
	var got []string
	for _, i := range s.items {
		got = append(got, i.Change.Object.Name)
	}
	if d := gocmp.Diff([]string{"b", "e", "d", "a", "c"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestRenderedBy(t *testing.T) {
	steps := []*step{{key: key("a"), objects: objects(t, jobYAML)}, {key: key("b"), objects: objects(t, jobYAML+"---\n"+namespaceYAML)}}
	want := map[string][]object.Key{"shop_migrate_batch_Job": {key("a"), key("b")}, "_shop__Namespace": {key("b")}}
	if d := gocmp.Diff(want, renderedBy(steps)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestFailKeepsTheFirstProblemAndTellsNoSecret(t *testing.T) {
	s := &step{mask: diff.NewMask([]string{"hunter2"})}
	s.fail(plan.BuildFailed, "bad value hunter2")
	s.fail(plan.InventoryFailed, "later")
	if d := gocmp.Diff(&plan.Problem{Reason: "BuildFailed", Message: "bad value (secret)"}, s.plan.Problem); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestShorten(t *testing.T) {
	tests := []struct {
		name  string
		names []string
		want  string
	}{
		{"one", []string{"a"}, "a"},
		{"as many as are named", []string{"a", "b", "c"}, "a, b, c"},
		{"more", []string{"a", "b", "c", "d", "e"}, "a, b, c and 2 more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := shorten(tt.names); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSecretDataTakesWhatCanBeRecognised(t *testing.T) {
	all := objects(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {long: aHVudGVyMi1odW50ZXIy, short: eA==, broken: '%'}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {long: aHVudGVyMi1odW50ZXIz}\n")
	if d := gocmp.Diff([]string{"hunter2-hunter2"}, secretData(all)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
