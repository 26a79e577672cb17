package plan_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

var (
	created = time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)
	pre     = object.Key{Namespace: "flux-system", Name: "pre"}
	app     = object.Key{Namespace: "flux-system", Name: "app"}
	job     = object.Ref{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: "migrate"}
	config  = object.Ref{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "settings"}
	live    = &plan.Live{UID: "u1", ResourceVersion: "7", Created: created}
)

// change returns a valid change of a ConfigMap with the action.
func change(a plan.Action) plan.Change {
	c := plan.Change{Object: config, Action: a, Reason: plan.Reason{Code: plan.Changed}, Fields: []plan.Field{}, Desired: "sha256:1", Live: live}
	if a == plan.Create {
		c.Live = nil
	}
	return c
}

// jobChange returns a valid change of a Job with the action.
func jobChange(a plan.Action, runs bool) plan.Change {
	c := change(a)
	c.Object, c.Job = job, &plan.Job{WillRun: runs}
	return c
}

func steps(changes ...plan.Change) []plan.Step {
	return []plan.Step{{Kustomization: pre, DependsOn: []object.Key{}, Changes: changes}}
}

func TestFinishSumsUpTheSteps(t *testing.T) {
	type sums struct {
		Summary              plan.Summary
		Complete, Applyable  bool
		Changes              bool
		APIVersion, PlanKind string
	}
	of := func(s plan.Summary, complete, applyable, changes bool) sums {
		return sums{s, complete, applyable, changes, "fluxjob.dev/v1alpha1", "Plan"}
	}
	problem := steps()
	problem[0].Problem = &plan.Problem{Reason: plan.BuildFailed, Message: "no"}
	tests := []struct {
		name  string
		steps []plan.Step
		want  sums
	}{
		{"no steps", nil, of(plan.Summary{}, true, true, false)},
		{
			"one of each that does not stop a plan",
			steps(change(plan.Create), change(plan.Update), change(plan.Recreate), change(plan.Delete), change(plan.Unchanged), change(plan.Skip)),
			of(plan.Summary{Create: 1, Update: 1, Recreate: 1, Delete: 1, Unchanged: 1, Skip: 1}, true, true, true),
		},
		{
			"Jobs that run are counted beside their actions",
			steps(jobChange(plan.Create, true), jobChange(plan.Recreate, true), jobChange(plan.Unchanged, false)),
			of(plan.Summary{Create: 1, Recreate: 1, Unchanged: 1, JobsToRun: 2}, true, true, true),
		},
		{"unchanged and skipped objects are no changes", steps(change(plan.Unchanged), change(plan.Skip)), of(plan.Summary{Unchanged: 1, Skip: 1}, true, true, false)},
		{"a blocked object leaves the plan complete but not applyable", steps(change(plan.Blocked)), of(plan.Summary{Blocked: 1}, true, false, false)},
		{"an unknown object makes the plan incomplete", steps(change(plan.Unknown)), of(plan.Summary{Unknown: 1}, false, false, false)},
		{"a problem makes the plan incomplete", problem, of(plan.Summary{}, false, false, false)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &plan.Plan{Steps: tt.steps}
			if err := p.Finish(); err != nil {
				t.Fatal(err)
			}
			got := sums{p.Summary, p.Complete, p.Applyable, p.Summary.Changes(), p.APIVersion, p.Kind}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if err := p.Finish(); err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(tt.want.Summary, p.Summary); d != "" {
				t.Errorf("finishing twice counts twice (-want +got):\n%s", d)
			}
		})
	}
}

func TestTheDigestCoversWhatThePlanWouldDo(t *testing.T) {
	tests := []struct {
		name string
		edit func(p *plan.Plan)
		same bool
	}{
		{"nothing", func(*plan.Plan) {}, true},
		{"the time", func(p *plan.Plan) { p.Created = p.Created.Add(time.Hour) }, true},
		{"the requests it took", func(p *plan.Plan) { p.Requests.DryRun++ }, true},
		{"the name of the context", func(p *plan.Plan) { p.Cluster.Context = "other" }, true},
		{"a warning", func(p *plan.Plan) { p.Warnings = []plan.Warning{{Rule: "r", Message: "m"}} }, true},
		{"a desired object", func(p *plan.Plan) { p.Steps[0].Changes[0].Desired = "sha256:2" }, false},
		{"an action", func(p *plan.Plan) { p.Steps[0].Changes[0].Action = plan.Skip }, false},
		{"a live object", func(p *plan.Plan) { p.Steps[0].Changes[0].Live = &plan.Live{UID: "u2"} }, false},
		{"a step", func(p *plan.Plan) { p.Steps = append(p.Steps, plan.Step{Kustomization: app}) }, false},
		{"the source's revision", func(p *plan.Plan) { p.Steps[0].Source.Revision = "main@sha1:2" }, false},
	}
	finished := func(t *testing.T, edit func(p *plan.Plan)) string {
		t.Helper()
		p := &plan.Plan{Created: created, Steps: steps(change(plan.Update))}
		edit(p)
		if err := p.Finish(); err != nil {
			t.Fatal(err)
		}
		return p.Digest
	}
	base := finished(t, func(*plan.Plan) {})
	if len(base) != len("sha256:")+64 {
		t.Errorf("got digest %q", base)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if same := finished(t, tt.edit) == base; same != tt.same {
				t.Errorf("same digest: got %t, want %t", same, tt.same)
			}
		})
	}
}

func TestDeletionPolicyOf(t *testing.T) {
	tests := []struct {
		name, policy string
		prune        bool
		want         string
	}{
		{"by default it follows spec.prune", "", true, plan.DeleteAll},
		{"by default nothing is deleted without spec.prune", "", false, plan.Orphan},
		{"MirrorPrune says so", "MirrorPrune", true, plan.DeleteAll},
		{"MirrorPrune without spec.prune", "MirrorPrune", false, plan.Orphan},
		{"Delete does not ask for spec.prune", "Delete", false, plan.DeleteAll},
		{"Orphan does not ask for spec.prune", "Orphan", true, plan.Orphan},
		{"WaitForTermination stays what it is", "WaitForTermination", false, "WaitForTermination"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := plan.DeletionPolicyOf(tt.policy, tt.prune); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	edited := func(a plan.Action, edit func(c *plan.Change)) []plan.Step {
		c := change(a)
		edit(&c)
		return steps(c)
	}
	const of = "plan: step flux-system/pre: ConfigMap/shop/settings: "
	tests := []struct {
		name  string
		steps []plan.Step
		want  string
	}{
		{"valid changes", steps(change(plan.Create), change(plan.Update), jobChange(plan.Recreate, true)), ""},
		{"a delete has no desired object", edited(plan.Delete, func(c *plan.Change) { c.Desired = "" }), ""},
		{"unchanged needs no reason", edited(plan.Unchanged, func(c *plan.Change) { c.Reason = plan.Reason{} }), ""},
		{"a step after what it depends on", []plan.Step{{Kustomization: pre}, {Kustomization: app, Wave: 1, DependsOn: []object.Key{pre}, After: []object.Key{pre}}}, ""},
		{
			"a missing dependency is told by the step's problem",
			[]plan.Step{{Kustomization: app, DependsOn: []object.Key{pre}, Problem: &plan.Problem{Reason: plan.DependencyNotReady}}},
			"",
		},
		{"two steps for one Kustomization", append(steps(), steps()...), "plan: two steps for Kustomization flux-system/pre"},
		{
			"a step before what it depends on",
			[]plan.Step{{Kustomization: app, DependsOn: []object.Key{pre}, After: []object.Key{pre}}, {Kustomization: pre}},
			"plan: step flux-system/app stands before flux-system/pre, after which it comes",
		},
		{
			"a step in the wave of what it depends on",
			[]plan.Step{{Kustomization: pre}, {Kustomization: app, DependsOn: []object.Key{pre}, After: []object.Key{pre}}},
			"plan: step flux-system/app stands before flux-system/pre, after which it comes",
		},
		{
			"a step that depends on one that is not there",
			[]plan.Step{{Kustomization: app, Wave: 1, DependsOn: []object.Key{pre}, After: []object.Key{pre}}},
			"plan: step flux-system/app stands before flux-system/pre, after which it comes",
		},
		{
			"a step that does not come after what it depends on",
			[]plan.Step{{Kustomization: pre}, {Kustomization: app, Wave: 1, DependsOn: []object.Key{pre}}},
			"plan: step flux-system/app does not come after flux-system/pre, on which it depends",
		},
		{"a step after the one that renders it", []plan.Step{{Kustomization: pre}, {Kustomization: app, Wave: 1, Parent: &pre, After: []object.Key{pre}}}, ""},
		{"an update of nothing", edited(plan.Update, func(c *plan.Change) { c.Live = nil }), of + "update of an object that does not exist"},
		{"a recreation of nothing", edited(plan.Recreate, func(c *plan.Change) { c.Live = nil }), of + "recreate of an object that does not exist"},
		{"a delete without a UID", edited(plan.Delete, func(c *plan.Change) { c.Live = &plan.Live{} }), of + "delete of an object that does not exist"},
		{"nothing that is unchanged", edited(plan.Unchanged, func(c *plan.Change) { c.Live = nil }), of + "unchanged of an object that does not exist"},
		{"a creation of what exists", edited(plan.Create, func(c *plan.Change) { c.Live = live }), of + "create of an object that exists"},
		{"a creation of nothing", edited(plan.Create, func(c *plan.Change) { c.Desired = "" }), of + "create without a desired object"},
		{"an update to nothing", edited(plan.Update, func(c *plan.Change) { c.Desired = "" }), of + "update without a desired object"},
		{"a change without a reason", edited(plan.Update, func(c *plan.Change) { c.Reason = plan.Reason{} }), of + "update without a reason"},
		{"a skip without a reason", edited(plan.Skip, func(c *plan.Change) { c.Reason = plan.Reason{} }), of + "skip without a reason"},
		{"a Job that does not say whether it runs", edited(plan.Update, func(c *plan.Change) { c.Object = job }), "plan: step flux-system/pre: Job/shop/migrate: a Job, and only a Job, says whether it runs"},
		{"a ConfigMap that says that it runs", edited(plan.Update, func(c *plan.Change) { c.Job = &plan.Job{} }), of + "a Job, and only a Job, says whether it runs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &plan.Plan{Steps: tt.steps}
			got := ""
			if err := p.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if finished := p.Finish(); (finished == nil) != (tt.want == "") {
				t.Errorf("Finish does not validate: %v", finished)
			}
		})
	}
}

func TestHeld(t *testing.T) {
	tests := []struct {
		name string
		step plan.Step
		want bool
	}{
		{"an empty step", plan.Step{}, false},
		{"changes", plan.Step{Changes: []plan.Change{change(plan.Create), change(plan.Recreate), change(plan.Skip)}}, false},
		{"a blocked object", plan.Step{Changes: []plan.Change{change(plan.Create), change(plan.Blocked)}}, true},
		{"an unknown object", plan.Step{Changes: []plan.Change{change(plan.Unknown)}}, true},
		{"a problem", plan.Step{Problem: &plan.Problem{}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.step.Held(); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestReconciledNamesWhatFluxWouldFight(t *testing.T) {
	reconciled := plan.Inventory{Kept: plan.KeptByFlux, Reconciled: true}
	tests := []struct {
		name  string
		steps []plan.Step
		want  []object.Key
	}{
		{"not reconciled", []plan.Step{{Kustomization: pre, Changes: []plan.Change{change(plan.Create)}}}, nil},
		{"reconciled, but nothing is written", []plan.Step{{Kustomization: pre, Inventory: reconciled, Changes: []plan.Change{change(plan.Unchanged), change(plan.Skip), change(plan.Blocked)}}}, nil},
		{
			"reconciled and written to, each once",
			[]plan.Step{
				{Kustomization: pre, Inventory: reconciled, Changes: []plan.Change{change(plan.Update), change(plan.Delete)}},
				{Kustomization: app, Inventory: reconciled, Changes: []plan.Change{change(plan.Create)}},
			},
			[]object.Key{pre, app},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := gocmp.Diff(tt.want, (&plan.Plan{Steps: tt.steps}).Reconciled()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestActions(t *testing.T) {
	type counted struct {
		Action plan.Action
		Writes bool
		Count  int
	}
	s := plan.Summary{Create: 1, Update: 2, Recreate: 3, Delete: 4, Unchanged: 5, Skip: 6, Blocked: 7, Unknown: 8}
	want := []counted{
		{"create", true, 1},
		{"update", true, 2},
		{"recreate", true, 3},
		{"delete", true, 4},
		{"unchanged", false, 5},
		{"skip", false, 6},
		{"blocked", false, 7},
		{"unknown", false, 8},
	}
	var got []counted
	for _, a := range plan.Actions() {
		got = append(got, counted{a, a.Writes(), s.Count(a)})
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if other := plan.Action("other"); other.Writes() || s.Count(other) != 0 {
		t.Error("an action that is not known writes or counts")
	}
}

func TestReasonCodesAreThoseThatScriptsKnow(t *testing.T) {
	want := []plan.Code{
		"not-found", "removed-after-run", "after-namespace", "after-crd", "changed", "ownership", "immutable-field", "requested",
		"pruned", "immutable-not-forced", "invalid", "forbidden", "annotation", "exists", "dry-run-failed",
	}
	got := []plan.Code{
		plan.NotFound, plan.RemovedAfterRun, plan.AfterNamespace, plan.AfterCRD, plan.Changed, plan.Ownership, plan.ImmutableField, plan.Requested,
		plan.Pruned, plan.ImmutableNotForced, plan.Invalid, plan.Forbidden, plan.Annotation, plan.Exists, plan.DryRunFailed,
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestTheJSONFormIsTheContract holds the field names that scripts rely on.
// Fields that may be left out are marked with a question mark.
func TestTheJSONFormIsTheContract(t *testing.T) {
	c := jobChange(plan.Recreate, true)
	c.Reason = plan.Reason{Code: plan.ImmutableField, Detail: "field is immutable", AllowedBy: "spec.force of flux-system/pre"}
	c.Fields = []plan.Field{{Path: "spec.x", Old: "1", New: "2", ForcesRecreate: true}}
	c.Job = &plan.Job{WillRun: true, Last: plan.Complete, WaitFor: "complete"}
	second := plan.Step{
		Kustomization: app, Wave: 1, DependsOn: []object.Key{pre}, After: []object.Key{pre}, Changes: []plan.Change{},
		Problem: &plan.Problem{Reason: plan.BuildFailed, Message: "no"},
	}
	p := &plan.Plan{Created: created, Steps: append(steps(c), second), Warnings: []plan.Warning{{Rule: "r", Object: &job, Message: "m"}}}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path string
		want []string
	}{
		{"", []string{"apiVersion", "kind", "created", "digest", "cluster", "applyable", "complete", "steps", "summary", "warnings", "requests"}},
		{"cluster", []string{"context", "server", "uid", "version"}},
		{"steps.0", []string{"kustomization", "dependsOn", "wave", "source", "changes", "problem", "wait", "inventory"}},
		{"steps.0.kustomization", []string{"namespace", "name"}},
		{"steps.1.dependsOn.0", []string{"namespace", "name"}},
		{"steps.0.source", []string{"kind", "namespace", "name", "revision", "localDir"}},
		{"steps.0.changes.0", []string{"object", "action", "reason", "fields", "live", "desired", "job"}},
		{"steps.0.changes.0.object", []string{"group", "version", "kind", "namespace", "name"}},
		{"steps.0.changes.0.reason", []string{"code", "detail", "allowedBy"}},
		{"steps.0.changes.0.fields.0", []string{"path", "old", "new", "forcesRecreate"}},
		{"steps.0.changes.0.live", []string{"uid", "resourceVersion", "created"}},
		{"steps.0.changes.0.job", []string{"willRun", "last", "waitFor"}},
		{"steps.1.problem", []string{"reason", "message"}},
		{"summary", []string{"create", "update", "recreate", "delete", "unchanged", "skip", "blocked", "unknown", "jobsToRun"}},
		{"warnings.0", []string{"rule", "object", "message"}},
		{"requests", []string{"get", "list", "dryRun"}},
	}
	decoded := decode(t, p)
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			m, isMap := at(t, decoded, tt.path).(map[string]any)
			if !isMap {
				t.Fatalf("%s is no map", tt.path)
			}
			slices.Sort(tt.want)
			if d := gocmp.Diff(tt.want, slices.Sorted(maps.Keys(m))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	values := map[string]any{
		"created": "2026-11-05T12:00:00Z", "steps.0.problem": nil, "steps.1.wave": 1.0,
		"steps.0.changes.0.action": "recreate", "steps.0.changes.0.reason.code": "immutable-field",
		"steps.0.changes.0.job.last": "Complete", "steps.0.changes.0.live.uid": "u1",
	}
	for path, want := range values {
		if d := gocmp.Diff(want, at(t, decoded, path)); d != "" {
			t.Errorf("%s (-want +got):\n%s", path, d)
		}
	}
}

func TestEmptyListsAreListsAndNotNull(t *testing.T) {
	c := change(plan.Create)
	p := &plan.Plan{Steps: steps(c), Warnings: []plan.Warning{}}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	decoded := decode(t, p)
	for _, path := range []string{"warnings", "steps.0.dependsOn", "steps.0.changes.0.fields"} {
		if d := gocmp.Diff([]any{}, at(t, decoded, path)); d != "" {
			t.Errorf("%s (-want +got):\n%s", path, d)
		}
	}
}

func TestAPlanThatLeavesItsListsOutStillHasThem(t *testing.T) {
	p := &plan.Plan{Steps: []plan.Step{{Kustomization: pre, Changes: []plan.Change{{Object: config, Action: plan.Unchanged, Live: live}}}, {Kustomization: app}}}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	decoded := decode(t, p)
	for _, path := range []string{"warnings", "steps.0.dependsOn", "steps.0.changes.0.fields", "steps.1.changes"} {
		if d := gocmp.Diff([]any{}, at(t, decoded, path)); d != "" {
			t.Errorf("%s (-want +got):\n%s", path, d)
		}
	}
	empty := &plan.Plan{}
	if err := empty.Finish(); err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff([]any{}, at(t, decode(t, empty), "steps")); d != "" {
		t.Errorf("steps (-want +got):\n%s", d)
	}
}

func TestAPlanSurvivesItsJSONForm(t *testing.T) {
	p := &plan.Plan{Created: created, Steps: steps(jobChange(plan.Recreate, true)), Warnings: []plan.Warning{}}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back plan.Plan
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	digest := back.Digest
	if err := back.Finish(); err != nil {
		t.Fatal(err)
	}
	if back.Digest != digest {
		t.Errorf("the digest of what was read back is %s, want %s", back.Digest, digest)
	}
	if d := gocmp.Diff(p, &back); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func decode(t *testing.T, p *plan.Plan) map[string]any {
	t.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[string]any
	if err := json.Unmarshal(data, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// at returns the value at a path of keys and indexes, such as "steps.0.wave".
func at(t *testing.T, v any, path string) any {
	t.Helper()
	if path == "" {
		return v
	}
	for part := range strings.SplitSeq(path, ".") {
		switch container := v.(type) {
		case map[string]any:
			value, found := container[part]
			if !found {
				t.Fatalf("%s: there is no %q", path, part)
			}
			v = value
		case []any:
			i := int(part[0] - '0')
			if i >= len(container) {
				t.Fatalf("%s: there are %d", path, len(container))
			}
			v = container[i]
		default:
			t.Fatalf("%s: %q is in no container", path, part)
		}
	}
	return v
}
