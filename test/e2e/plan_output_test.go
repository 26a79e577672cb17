package e2e

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// mixed is a space whose plan has something of nearly everything.
func mixed(t *testing.T) *space {
	t.Helper()
	s := newSpace(t, files{
		"flux.yaml":         kustomization("pre", "force: true") + kustomization("application", after("pre")),
		"pre/job.yaml":      job("migrate", "app:1", "true"),
		"application/a.yml": configMap("same", "1") + configMap("changed", "1"),
		"application/b.yml": configMap("old", "1"),
	})
	s.apply(0)
	s.replace("pre/job.yaml", "app:1", "app:2")
	s.write(files{"application/a.yml": configMap("same", "1") + configMap("changed", "2") + configMap("new", "1")})
	s.remove("application/b.yml")
	return s
}

func TestTable(t *testing.T) {
	t.Parallel()
	s := mixed(t)
	r := s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml")
	equal(t, "stderr", r.stderr, "")
	lines := regexp.MustCompile(` {2,}`).ReplaceAllString(r.stdout, "|")
	want := s.expand(`Plan for fluxjob (Kubernetes VERSION)
Source of every Kustomization: DIR

Kustomization @NS/pre
|-/+|Job/@NS/migrate|recreate, will run|spec.template.spec.containers[migrate].image: app:1 → app:2
|allowed by spec.force of @NS/pre

Kustomization @NS/application (after @NS/pre)
|~|ConfigMap/@NS/changed|update|data.key: 1 → 2
|+|ConfigMap/@NS/new|create
|-|ConfigMap/@NS/old|delete|no longer rendered
|=|1 unchanged

Plan: 1 to create, 1 to update, 1 to recreate, 1 to delete, 1 unchanged. 1 Job will run.
Symbols: + create|~ update in place|-/+ delete, then create|- delete|= unchanged
`)
	want = strings.ReplaceAll(want, "DIR", s.dir)
	lines = regexp.MustCompile(`Kubernetes v[0-9.]+`).ReplaceAllString(lines, "Kubernetes VERSION")
	equal(t, "table", lines, want)
}

func TestTableShowUnchanged(t *testing.T) {
	t.Parallel()
	s := mixed(t)
	out := s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "--show-unchanged").stdout
	wantText(t, out, "ConfigMap/"+s.ns+"/same", "unchanged")
	wantNoText(t, out, "1 unchanged\n\nPlan")
	wantNoText(t, s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml").stdout, "ConfigMap/"+s.ns+"/same")
}

func TestTableWithoutChanges(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("same", "1"))
	s.apply(0)
	out := s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "--exit-code").stdout
	wantText(t, out, "No changes: 1 unchanged. No Job will run.\nSymbols: = unchanged\n")
}

func TestDiff(t *testing.T) {
	t.Parallel()
	s := mixed(t)
	out := s.run(3, "plan", "-n", "@NS", "-f", "flux.yaml", "-o", "diff", "--exit-code").stdout
	job, changed := "Job/"+s.ns+"/migrate", "ConfigMap/"+s.ns+"/changed"
	wantText(t, out,
		"# -/+ "+job+": recreate, will run\n",
		"# forces recreation\n",
		"--- live/"+job+"\n+++ planned/"+job+"\n",
		"-        image: app:1\n", "+        image: app:2\n",
		"# ~ "+changed+": update\n--- live/"+changed,
		"-  key: \"1\"\n+  key: \"2\"\n",
		"# + ConfigMap/"+s.ns+"/new: create\n",
		"# - ConfigMap/"+s.ns+"/old: delete\n",
	)
	wantNoText(t, out, "/same", "managedFields", "resourceVersion", "uid:")
}

// TestJSONNames checks that the names of the contract are there, and that no
// name is there that the plan does not know.
func TestJSONNames(t *testing.T) {
	t.Parallel()
	s := mixed(t)
	p := s.plan(3)
	decoder := json.NewDecoder(strings.NewReader(p.stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&plan.Plan{}); err != nil {
		t.Error(err)
	}
	var document map[string]any
	if err := json.Unmarshal([]byte(p.stdout), &document); err != nil {
		t.Fatal(err)
	}
	equal(t, "apiVersion", document["apiVersion"], any("fluxjob.dev/v1alpha1"))
	equal(t, "kind", document["kind"], any("Plan"))
	names := sets.New[string]()
	paths("", document, names)
	for _, want := range []string{
		"apiVersion", "kind", "created", "digest", "cluster.context", "cluster.server", "cluster.uid", "cluster.version", "applyable", "complete",
		"steps.kustomization.namespace", "steps.kustomization.name", "steps.dependsOn.namespace", "steps.dependsOn.name", "steps.wave",
		"steps.source.kind", "steps.source.namespace", "steps.source.name", "steps.source.revision", "steps.source.localDir",
		"steps.changes.object.group", "steps.changes.object.version", "steps.changes.object.kind", "steps.changes.object.namespace", "steps.changes.object.name",
		"steps.changes.action", "steps.changes.reason.code", "steps.changes.reason.detail", "steps.changes.reason.allowedBy",
		"steps.changes.fields.path", "steps.changes.fields.old", "steps.changes.fields.new", "steps.changes.fields.forcesRecreate",
		"steps.changes.live.uid", "steps.changes.live.resourceVersion", "steps.changes.desired",
		"steps.changes.job.willRun", "steps.changes.job.last", "steps.changes.job.waitFor", "steps.problem",
		"summary.create", "summary.update", "summary.recreate", "summary.delete", "summary.unchanged", "summary.skip", "summary.blocked", "summary.unknown", "summary.jobsToRun",
		"warnings", "requests.get", "requests.list", "requests.dryRun",
	} {
		if !names.Has(want) {
			t.Errorf("the plan has no %s, only %s", want, strings.Join(sets.List(names), " "))
		}
	}
	if p.Cluster.UID == "" || !strings.HasPrefix(p.Digest, "sha256:") || p.Requests.DryRun == 0 || p.Created.IsZero() {
		t.Errorf("something is empty: %+v", p.Plan)
	}
}

// paths collects the paths of all names in a JSON document, without the
// indexes of lists.
func paths(prefix string, value any, into sets.Set[string]) {
	switch value := value.(type) {
	case map[string]any:
		for name, below := range value {
			into.Insert(prefix + name)
			paths(prefix+name+".", below, into)
		}
	case []any:
		for _, below := range value {
			paths(prefix, below, into)
		}
	}
}

// TestPlanIsDeterministic plans twice and compares all but the time.
func TestPlanIsDeterministic(t *testing.T) {
	t.Parallel()
	s := mixed(t)
	first, second := s.plan(3), s.plan(3)
	equal(t, "digest", second.Digest, first.Digest)
	equal(t, "steps", second.Steps, first.Steps)
}

func TestRefusedFlags(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1"))
	for _, args := range [][]string{
		{"plan", "-o", "yaml"},
		{"plan", "-o", "wide"},
		{"plan", "-o", ""},
		{"plan", "-A"},
		{"plan", "-l", "a=b"},
		{"plan", "--compare", "server"},
		{"plan", "--with-live-dependencies"},
		{"plan", "--source-controller", "localhost:1"},
		{"plan", "--nonsense"},
		{"plan", "--color", "sometimes"},
		{"plan", "--concurrency", "0"},
		{"apply", "-y", "--plan", "plan.json"},
		{"apply", "-y", "--engine", "direct"},
		{"apply", "-y", "--suspend"},
		{"apply", "-y", "--report", "r.json"},
		{"apply", "-y", "--dry-run=client"},
		{"apply", "-y", "-A"},
		{"apply", "-y", "-l", "a=b"},
		{"apply", "-y", "-o", "yaml"},
		{"apply", "-y", "--wait", "some"},
		{"apply", "-y", "--logs", "some"},
		{"apply", "-y", "--parallelism", "0"},
		{"apply", "-y", "--timeout", "-1s"},
	} {
		r := s.run(2, append(slices.Clone(args), "-n", "@NS", "-f", "flux.yaml")...)
		wantText(t, r.stderr, "error: ")
		equal(t, "stdout of "+strings.Join(args, " "), r.stdout, "")
	}
	for _, command := range []string{"rerun", "graph", "nonsense"} {
		s.run(2, command)
	}
	s.absent("ConfigMap/a")
}

func TestColour(t *testing.T) {
	t.Parallel()
	s := mixed(t)
	for _, format := range []string{"table", "diff"} {
		plain := s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "-o", format)
		wantNoText(t, plain.stdout+plain.stderr, "\x1b")
		never := s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "-o", format, "--color=never")
		equal(t, "without colour", never.stdout, plain.stdout)
		colored := s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "-o", format, "--color=always").stdout
		wantText(t, colored, "\x1b[")
		bare := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(colored, "")
		equal(t, "text below the colour", regexp.MustCompile("(?m) +$").ReplaceAllString(bare, ""), regexp.MustCompile("(?m) +$").ReplaceAllString(plain.stdout, ""))
	}
	wantNoText(t, s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "-o", "json", "--color=always").stdout, "\x1b")
}

// TestControlCharactersAreNotObeyed shows what a manifest holds without handing
// it to the terminal.
func TestControlCharactersAreNotObeyed(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1"))
	s.apply(0)
	s.replace("app/all.yaml", `"1"`, `"2\u001b[2J"`)
	for _, format := range []string{"table", "diff", "json"} {
		out := s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "-o", format).stdout
		if bytes.ContainsRune([]byte(out), 0x1b) {
			t.Errorf("%s holds an escape character: %q", format, out)
		}
	}
}
