package present_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/diff"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/planner"
	"github.com/fluxjob/kubectl-fluxjob/pkg/present"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

var at = time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)

func key(name string) object.Key { return object.Key{Namespace: "flux-system", Name: name} }

func job(name string) object.Ref {
	return object.Ref{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: name}
}

func config(name string) object.Ref {
	return object.Ref{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: name}
}

// item returns a change with what a valid one has, and the states that text
// gives as YAML without apiVersion, kind and metadata.
func item(t *testing.T, c plan.Change, before, after string) diff.Item {
	t.Helper()
	if c.Action != plan.Create && c.Live == nil {
		c.Live = &plan.Live{UID: "u-" + c.Object.Name, ResourceVersion: "7", Created: at}
	}
	if c.Action != plan.Delete {
		c.Desired = "sha256:" + c.Object.Name
	}
	if c.Object.IsJob() && c.Job == nil {
		c.Job = &plan.Job{}
	}
	if c.Fields == nil {
		c.Fields = []plan.Field{}
	}
	return diff.Item{Change: c, Before: state(t, c.Object, before), After: state(t, c.Object, after)}
}

func state(t *testing.T, ref object.Ref, text string) *unstructured.Unstructured {
	t.Helper()
	if text == "" {
		return nil
	}
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	u.SetGroupVersionKind(ref.GVK())
	u.SetNamespace(ref.Namespace)
	u.SetName(ref.Name)
	return u
}

// result finishes a plan of steps with their items.
func result(t *testing.T, steps []plan.Step, items [][]diff.Item) *planner.Result {
	t.Helper()
	for i := range steps {
		for _, it := range items[i] {
			steps[i].Changes = append(steps[i].Changes, it.Change)
		}
	}
	p := &plan.Plan{
		Created: at, Steps: steps, Warnings: []plan.Warning{},
		Cluster:  plan.Cluster{Context: "prod", Server: "https://10.0.0.1:6443", UID: "c1", Version: "v1.37.2"},
		Requests: plan.Requests{Get: 9, List: 1, DryRun: 8},
	}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	return &planner.Result{Plan: p, Items: items}
}

func step(name string, wave int, after ...object.Key) plan.Step {
	return plan.Step{
		Kustomization: key(name), Wave: wave, DependsOn: after, After: after, Wait: plan.Wait{TimeoutSeconds: 570},
		Source:    plan.Source{Kind: "GitRepository", Namespace: "flux-system", Name: "fleet", Revision: "main@sha1:0123456789abcdef0123456789abcdef01234567", LocalDir: "/src/fleet"},
		Inventory: plan.Inventory{Kept: plan.KeptByFlux, Prune: true},
	}
}

// every has each action and each mark of a Job.
func every(t *testing.T) *planner.Result {
	const image = "spec.template.spec.containers[migrate].image"
	const template = "spec: {backoffLimit: 2, template: {spec: {containers: [{name: migrate, image: 'registry.example.com/shop/migrate:%'}]}}}"
	pre := []diff.Item{
		item(t, plan.Change{Object: config("settings"), Action: plan.Update, Reason: plan.Reason{Code: plan.Changed}, Stage: 3, Fields: []plan.Field{
			{Path: "data.timeout", Old: "5s", New: "10s"},
			{Path: "data.url", Old: "http://a"},
			{Path: "data[a.conf]", Old: "a = 1\nb = 2\nc = 3\n", New: "a = 1\nb = 4\nc = 3\n"},
			{Path: "metadata.labels.tier", New: "back"},
			{Path: "metadata.labels.x", New: "y"},
			{Path: "metadata.labels.z", New: "y"},
		}}, "data: {timeout: 5s, url: 'http://a'}", "data: {timeout: 10s}"),
		item(t, plan.Change{
			Object: job("migrate"), Action: plan.Recreate, Stage: 3, Job: &plan.Job{WillRun: true, Last: plan.Complete, WaitFor: "complete"},
			Reason: plan.Reason{Code: plan.ImmutableField, Detail: "spec.template: field is immutable", AllowedBy: "spec.force of flux-system/pre"},
			Fields: []plan.Field{{Path: "spec.backoffLimit", Old: "1", New: "2"}, {Path: image, Old: "registry.example.com/shop/migrate:1.0", New: "registry.example.com/shop/migrate:2.0", ForcesRecreate: true}},
		}, strings.Replace(strings.Replace(template, "%", "1.0", 1), "Limit: 2", "Limit: 1", 1), strings.Replace(template, "%", "2.0", 1)),
		item(t, plan.Change{Object: job("seed"), Action: plan.Create, Stage: 3, Job: &plan.Job{WillRun: true, WaitFor: "complete"}, Reason: plan.Reason{Code: plan.RemovedAfterRun, Detail: "it was applied before and is gone, by its TTL or by hand"}}, "", "spec: {backoffLimit: 0}"),
		item(t, plan.Change{Object: job("clean"), Action: plan.Create, Stage: 3, Job: &plan.Job{WillRun: true, WaitFor: "complete"}, Reason: plan.Reason{Code: plan.NotFound}}, "", "spec: {backoffLimit: 0}"),
		item(t, plan.Change{Object: job("later"), Action: plan.Create, Stage: 3, Job: &plan.Job{Suspended: true}, Reason: plan.Reason{Code: plan.NotFound}}, "", "spec: {suspend: true}"),
		item(t, plan.Change{Object: job("broken"), Action: plan.Unchanged, Stage: 3, Job: &plan.Job{Last: plan.Failed}}, "spec: {}", "spec: {}"),
		item(t, plan.Change{Object: job("long"), Action: plan.Unchanged, Stage: 3, Job: &plan.Job{Last: plan.Running, WaitFor: "complete"}}, "spec: {}", "spec: {}"),
		item(t, plan.Change{Object: job("done"), Action: plan.Unchanged, Stage: 3, Job: &plan.Job{Last: plan.Complete}}, "spec: {}", "spec: {}"),
		item(t, plan.Change{Object: config("same"), Action: plan.Unchanged, Stage: 3}, "data: {}", "data: {}"),
		item(t, plan.Change{Object: config("old"), Action: plan.Delete, Reason: plan.Reason{Code: plan.Pruned}}, "data: {a: b}", ""),
	}
	app := []diff.Item{
		item(t, plan.Change{Object: object.Ref{Version: "v1", Kind: "Secret", Namespace: "shop", Name: "db"}, Action: plan.Update, Stage: 3, Reason: plan.Reason{Code: plan.Changed}, Fields: []plan.Field{{Path: "data.password", Old: "(secret)", New: "(secret, changed)"}}}, "data: {password: (secret)}", "data: {password: '(secret, changed)'}"),
		item(t, plan.Change{Object: config("adopted"), Action: plan.Update, Stage: 3, Reason: plan.Reason{Code: plan.Ownership, Detail: "the owner labels change"}}, "metadata: {labels: {a: b}}", "metadata: {labels: {a: c}}"),
		item(t, plan.Change{Object: config("by-hand"), Action: plan.Skip, Stage: 3, Reason: plan.Reason{Code: plan.Annotation, Detail: "kustomize.toolkit.fluxcd.io/reconcile: disabled"}}, "data: {}", "data: {}"),
		item(t, plan.Change{
			Object: job("report"), Action: plan.Blocked, Stage: 3, Job: &plan.Job{Last: plan.Complete},
			Reason: plan.Reason{Code: plan.ImmutableNotForced, Detail: "spec.template: field is immutable"},
			Fields: []plan.Field{{Path: "spec.template.spec.containers[report].args", Old: `["a"]`, New: `["a","b"]`, ForcesRecreate: true}},
		}, "spec: {completions: 1}", "spec: {completions: 2}"),
		item(t, plan.Change{
			Object: object.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"}, Action: plan.Blocked, Stage: 3,
			Reason: plan.Reason{Code: plan.Invalid, Detail: `the server rejects it: spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`},
		}, "spec: {}", ""),
		item(t, plan.Change{
			Object: object.Ref{Group: "example.com", Version: "v1", Kind: "CronTab", Namespace: "shop", Name: "nightly"}, Action: plan.Unknown, Stage: 3,
			Reason: plan.Reason{Code: plan.Forbidden, Detail: `crontabs.example.com "nightly" is forbidden: User "u" cannot patch resource "crontabs"`},
		}, "spec: {}", ""),
	}
	tail := step("tail", 2, key("app"))
	tail.Problem = &plan.Problem{Reason: plan.BuildFailed, Message: "kustomize build failed: a very long message\nover two lines"}
	parent := key("pre")
	child, removed := step("child", 1), step("removed", 1)
	for _, s := range []*plan.Step{&child, &removed} {
		s.Parent, s.After = &parent, []object.Key{parent}
	}
	child.DependsOn, child.After = []object.Key{key("empty")}, append(child.After, key("empty"))
	removed.Removed = true
	pruned := []diff.Item{item(t, plan.Change{Object: config("pruned"), Action: plan.Delete, Reason: plan.Reason{Code: plan.Pruned}}, "data: {a: b}", "")}
	steps := []plan.Step{step("pre", 0), step("empty", 0), step("app", 1, key("pre")), child, removed, tail}
	steps[2].HoldsBack = []object.Key{key("tail")}
	return result(t, steps, [][]diff.Item{pre, nil, app, nil, pruned, nil})
}

// calm changes nothing.
func calm(t *testing.T) *planner.Result {
	return result(t, []plan.Step{step("pre", 0)}, [][]diff.Item{{item(t, plan.Change{Object: config("same"), Action: plan.Unchanged}, "data: {}", "data: {}")}})
}

// hostile is full of names and messages that try to speak to the terminal.
func hostile(t *testing.T) *planner.Result {
	const bad = "\x1b[2Jx\rY\nz\x07\u009b31m\u202eevil\x00\x7f"
	s := step("pre", 0)
	s.Kustomization.Name, s.Source.LocalDir, s.Source.Revision = "pre"+bad, "/src"+bad, bad
	s.Problem = &plan.Problem{Reason: plan.BuildFailed, Message: "no" + bad}
	s.HoldsBack = []object.Key{{Namespace: bad, Name: bad}}
	c := plan.Change{
		Object: config("a" + bad), Action: plan.Update, Reason: plan.Reason{Code: plan.Changed, Detail: "why" + bad, AllowedBy: "by" + bad},
		Fields: []plan.Field{{Path: "data" + bad, Old: "old" + bad, New: "new" + bad, ForcesRecreate: true}},
	}
	blocked := plan.Change{Object: config("b" + bad), Action: plan.Blocked, Reason: plan.Reason{Code: plan.Invalid, Detail: "why" + bad}}
	i := item(t, c, "data: {a: b}", "data: {a: c}")
	i.After.Object["data"] = map[string]any{"a" + bad: "c" + bad}
	r := result(t, []plan.Step{s}, [][]diff.Item{{i, item(t, blocked, "", "")}})
	r.Plan.Cluster.Context, r.Plan.Cluster.Version = "prod"+bad, "v1"+bad
	return r
}

var fixtures = map[string]func(t *testing.T) *planner.Result{
	"every": every, "calm": calm, "hostile": hostile,
	"empty": func(t *testing.T) *planner.Result { return result(t, nil, nil) },
}

// views are the ways in which each fixture is printed.
var views = []struct {
	name, format string
	style        present.Style
}{
	{"table", "table", present.Style{}},
	{"table-80", "table", present.Style{Width: 80}},
	{"table-200", "table", present.Style{Width: 200}},
	{"table-unchanged", "table", present.Style{ShowUnchanged: true}},
	{"table-colour", "table", present.Style{Color: true, Width: 200}},
	{"diff", "diff", present.Style{}},
	{"diff-colour", "diff", present.Style{Color: true}},
	{"json", "json", present.Style{}},
}

func TestPlan(t *testing.T) {
	for fixture, make := range fixtures {
		for _, view := range views {
			t.Run(fixture+"-"+view.name, func(t *testing.T) {
				golden(t, fixture+"-"+view.name, printed(t, make(t), view.format, view.style))
			})
		}
	}
}

func printed(t *testing.T, r *planner.Result, format string, style present.Style) string {
	t.Helper()
	print, err := present.Plan(format)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := print(&out, r, style); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// golden compares text with a file of testdata, in which characters that a
// terminal may obey are written out.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	got = strings.NewReplacer("\x1b", "␛", "\u009b", "<U+009B>", "\u202e", "<U+202E>", "\x7f", "<U+007F>").Replace(got)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

func TestNoGoldenIsLeftOver(t *testing.T) {
	read := map[string]bool{}
	for _, name := range []string{"events-text", "events-text-colour", "events-json"} {
		read[filepath.Join("testdata", name+".golden")] = true
	}
	for fixture := range fixtures {
		for _, view := range views {
			read[filepath.Join("testdata", fixture+"-"+view.name+".golden")] = true
		}
	}
	files, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !read[file] {
			t.Errorf("no test reads %s", file)
		}
	}
}

// Sentences are left to the terminal to wrap, and problems are told in full.
func TestTheRowsOfATableKeepToTheTerminal(t *testing.T) {
	for fixture, make := range fixtures {
		for _, width := range []int{80, 100, 120, 200} {
			for line := range strings.Lines(printed(t, make(t), "table", present.Style{Width: width, ShowUnchanged: true})) {
				row := strings.HasPrefix(line, "  ") && !strings.Contains(line, plan.BuildFailed)
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); row && n > width {
					t.Errorf("%s at %d columns has a line of %d: %q", fixture, width, n, line)
				}
			}
		}
	}
}

func TestTextFromElsewhereIsHarmless(t *testing.T) {
	for _, format := range []string{"table", "diff"} {
		for _, width := range []int{0, 80} {
			for line := range strings.Lines(printed(t, hostile(t), format, present.Style{Width: width})) {
				for _, r := range strings.TrimSuffix(line, "\n") {
					if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
						t.Errorf("%s at width %d writes %U in %q", format, width, r, line)
					}
				}
				if strings.HasPrefix(line, "z") {
					t.Errorf("%s at width %d lets a text begin a line: %q", format, width, line)
				}
			}
		}
	}
}

func TestFormats(t *testing.T) {
	if d := gocmp.Diff([]string{"diff", "json", "table"}, present.PlanFormats()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	_, err := present.Plan("xml")
	if err == nil || err.Error() != `unknown output format "xml", use one of diff, json, table` {
		t.Errorf("got %v", err)
	}
}

func TestEveryActionHasItsSymbol(t *testing.T) {
	want := []string{"+", "~", "-/+", "-", "=", ".", "!", "?"}
	var got []string
	for _, a := range plan.Actions() {
		got = append(got, present.Symbol(a))
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTheLegendListsWhatIsUsed(t *testing.T) {
	all := []string{"+ create", "~ update in place", "-/+ delete, then create", "- delete", "= unchanged", ". skipped", "! blocked: Flux would stop here", "? unknown"}
	tests := []struct {
		name string
		make func(t *testing.T) *planner.Result
		want []string
	}{
		{"every action", every, all},
		{"one action", calm, []string{"= unchanged"}},
		{"none", fixtures["empty"], nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for line := range strings.Lines(printed(t, tt.make(t), "table", present.Style{})) {
				if legend, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "Symbols: "); found {
					got = strings.Split(legend, "   ")
				}
			}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestMark(t *testing.T) {
	tests := []struct {
		name   string
		change plan.Change
		want   string
	}{
		{"no Job", plan.Change{Action: plan.Create}, ""},
		{"one that will run", plan.Change{Action: plan.Recreate, Job: &plan.Job{WillRun: true, Last: plan.Failed}}, "will run"},
		{"one that runs again", plan.Change{Action: plan.Create, Reason: plan.Reason{Code: plan.RemovedAfterRun}, Job: &plan.Job{WillRun: true}}, "will run again (was removed)"},
		{"a suspended one", plan.Change{Action: plan.Create, Job: &plan.Job{Suspended: true}}, "suspended"},
		{"a suspended one that was removed", plan.Change{Action: plan.Create, Reason: plan.Reason{Code: plan.RemovedAfterRun}, Job: &plan.Job{Suspended: true}}, "suspended"},
		{"a failed one that is unchanged", plan.Change{Action: plan.Unchanged, Job: &plan.Job{Last: plan.Failed}}, "failed, stays failed"},
		{"a failed one that is updated", plan.Change{Action: plan.Update, Job: &plan.Job{Last: plan.Failed}}, "failed, stays failed"},
		{"a failed one that is deleted", plan.Change{Action: plan.Delete, Job: &plan.Job{Last: plan.Failed}}, ""},
		{"a running one", plan.Change{Action: plan.Unchanged, Job: &plan.Job{Last: plan.Running}}, "still running"},
		{"a complete one", plan.Change{Action: plan.Unchanged, Job: &plan.Job{Last: plan.Complete}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := present.Mark(&tt.change); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	tests := []struct {
		name string
		plan plan.Plan
		want string
	}{
		{"nothing is rendered", plan.Plan{Complete: true}, "No changes: nothing is rendered. No Job will run."},
		{"nothing could be planned", plan.Plan{}, "Plan: nothing could be planned. Whether a Job will run is not known."},
		{"no changes", plan.Plan{Complete: true, Summary: plan.Summary{Unchanged: 2, Skip: 1}}, "No changes: 2 unchanged, 1 skipped. No Job will run."},
		{"unchanged, but not complete", plan.Plan{Summary: plan.Summary{Unchanged: 2}}, "Plan: 2 unchanged. Whether a Job will run is not known."},
		{"one Job", plan.Plan{Complete: true, Summary: plan.Summary{Create: 1, JobsToRun: 1}}, "Plan: 1 to create. 1 Job will run."},
		{"several Jobs", plan.Plan{Complete: true, Summary: plan.Summary{Create: 1, Recreate: 2, JobsToRun: 3}}, "Plan: 1 to create, 2 to recreate. 3 Jobs will run."},
		{"blocked", plan.Plan{Complete: true, Summary: plan.Summary{Blocked: 1}}, "Plan: 1 blocked. No Job will run."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := present.Summary(&tt.plan); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// events is a run with every type of event.
func events() []report.Event {
	pre, app := key("pre"), key("app")
	migrate, settings, old := job("migrate"), config("settings"), config("old")
	all := []report.Event{
		{Type: report.RunStarted, Message: "sha256:1"},
		{Type: report.StepStarted, Kustomization: &pre},
		{Type: report.ObjectApplied, Kustomization: &pre, Object: &settings, Action: plan.Update, UID: "u1"},
		{Type: report.ObjectDeleted, Kustomization: &pre, Object: &migrate, Action: plan.Recreate, UID: "u2"},
		{Type: report.ObjectApplied, Kustomization: &pre, Object: &migrate, Action: plan.Recreate, UID: "u3"},
		{Type: report.ObjectApplied, Kustomization: &pre, Object: &old, Action: plan.Create, UID: "u4"},
		{Type: report.JobStarted, Kustomization: &pre, Object: &migrate, UID: "u3"},
		{Type: report.JobLog, Kustomization: &pre, Object: &migrate, UID: "u3", Message: "migrate-x/migrate: \x1b[31mred\x1b[0m <b> & done"},
		{Type: report.JobComplete, Kustomization: &pre, Object: &migrate, UID: "u3", Seconds: 12.345},
		{Type: report.ObjectDeleted, Kustomization: &pre, Object: &old, Action: plan.Delete, UID: "u4"},
		{Type: report.StepDone, Kustomization: &pre, Seconds: 75},
		{Type: report.JobFailed, Kustomization: &app, Object: &migrate, UID: "u5", Message: "BackoffLimitExceeded: Job has reached the specified backoff limit", Seconds: 3},
		{Type: report.Notice, Kustomization: &app, Object: &migrate, UID: "u5", Message: "still runs from before"},
		{Type: report.Notice, Kustomization: &app, Message: "created namespace flux-system"},
		{Type: report.StepFailed, Kustomization: &app, Message: "Job/shop/migrate failed\nand more", Seconds: 3.21},
		{Type: report.StepSkipped, Kustomization: &app, Message: "it depends on flux-system/pre, which failed"},
		{Type: report.RunDone, Message: string(report.Done), Seconds: 80},
		{Type: report.RunDone, Message: string(report.Failed), Seconds: 80},
		{Type: report.RunDone, Message: string(report.TimedOut), Seconds: 80},
		{Type: report.RunDone, Message: string(report.Interrupted), Seconds: 80},
		{Type: report.Notice, Kustomization: &pre, Object: &migrate, UID: "u3", Reason: "ImagePullBackOff", Message: "ImagePullBackOff: container migrate of pod migrate-x: Back-off pulling image"},
		{Type: report.ObjectDeleted, Kustomization: &pre, Object: &migrate, Action: plan.Recreate, UID: "u2", DryRun: true},
		{Type: report.ObjectApplied, Kustomization: &pre, Object: &migrate, Action: plan.Recreate, DryRun: true},
		{Type: report.RunDone, Message: string(report.Done), Seconds: 1, DryRun: true},
	}
	for i := range all {
		all[i].Time = at.Add(time.Duration(i) * time.Second)
	}
	return all
}

func TestEvents(t *testing.T) {
	tests := []struct {
		name string
		emit func(out *bytes.Buffer) func(report.Event)
	}{
		{"events-text", func(out *bytes.Buffer) func(report.Event) {
			return present.EventsText(out, present.Style{}, report.Apply)
		}},
		{"events-text-colour", func(out *bytes.Buffer) func(report.Event) {
			return present.EventsText(out, present.Style{Color: true}, report.Apply)
		}},
		{"events-json", func(out *bytes.Buffer) func(report.Event) { return present.EventsJSON(out) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			emit := tt.emit(&out)
			for _, e := range events() {
				emit(e)
			}
			golden(t, tt.name, out.String())
		})
	}
}

func TestEveryTypeOfEventIsShown(t *testing.T) {
	types := []report.Type{
		report.StepStarted, report.ObjectApplied, report.ObjectDeleted, report.JobStarted, report.JobLog, report.JobComplete,
		report.JobFailed, report.StepDone, report.StepFailed, report.StepSkipped, report.Notice, report.RunDone,
	}
	for _, kind := range types {
		i := slices.IndexFunc(events(), func(e report.Event) bool { return e.Type == kind })
		if i < 0 {
			t.Fatalf("the fixture has no %s", kind)
		}
		var out bytes.Buffer
		present.EventsText(&out, present.Style{}, report.Apply)(events()[i])
		if strings.Count(out.String(), "\n") != 1 || !strings.HasSuffix(out.String(), "\n") {
			t.Errorf("%s: got %q, want one line", kind, out.String())
		}
	}
}
