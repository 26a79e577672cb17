package plan_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// finished returns a plan with the steps.
func finished(t *testing.T, steps []plan.Step) *plan.Plan {
	t.Helper()
	p := &plan.Plan{Created: created, Cluster: plan.Cluster{Server: "https://one", UID: "c1"}, Steps: steps}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	return p
}

func encoded(t *testing.T, p *plan.Plan) string {
	t.Helper()
	var out strings.Builder
	if err := plan.Encode(&out, p); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAPlanIsReadAsItWasSaved(t *testing.T) {
	p := finished(t, steps(change(plan.Update), jobChange(plan.Recreate, true)))
	p.Steps[0].Changes[0].Fields = []plan.Field{{Path: "data[<a&b>]", Old: "1", New: "2"}}
	p.Request = &plan.Request{Dir: "/fleet", Namespace: "default", Filenames: []string{"flux.yaml"}, Recurse: true}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "saved.plan")
	for range 2 { // an older file is replaced
		if err := plan.Save(file, p); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("want a file of mode 0600, got %v %v", info, err)
	}
	got, err := plan.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(p, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestAnOldPlanIsRead holds the format against a file of its first version.
func TestAnOldPlanIsRead(t *testing.T) {
	p, err := plan.Load(filepath.Join("testdata", "v1alpha1-first.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Steps[0].Changes[0]; got.Action != plan.Update || got.Live.UID != "u1" || got.Object != config {
		t.Errorf("got %+v", got)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := encoded(t, finished(t, steps(change(plan.Update))))
	tests := []struct{ name, data, want string }{
		{"nothing", "", "it is no plan: unexpected end of JSON input"},
		{"another document", `{"apiVersion": "v1", "kind": "List"}`, "it is no plan of kubectl fluxjob: make one with plan --out"},
		{"another version", strings.Replace(good, "v1alpha1", "v9", 1), "its format is fluxjob.dev/v9, this version reads fluxjob.dev/v1alpha1: make the plan again"},
		{"steps that were changed", strings.Replace(good, `"update"`, `"skip"`, 1), "its steps are not those that it was made with: make the plan again"},
		{"a field of the wrong type", strings.Replace(good, `"complete": true`, `"complete": 1`, 1), "it is no plan: json: cannot unmarshal number into Go struct field Plan.complete of type bool"},
		{"half a plan", good[:len(good)/2], "it is no plan: unexpected end of JSON input"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := plan.Decode(strings.NewReader(tt.data))
			if p != nil || err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestDecodePassesOverWhatItDoesNotKnow(t *testing.T) {
	good := encoded(t, finished(t, steps(change(plan.Update))))
	if _, err := plan.Decode(strings.NewReader(strings.Replace(good, `"complete"`, `"later": [1], "complete"`, 1))); err != nil {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	p := &plan.Plan{Steps: steps(change(plan.Update), jobChange(plan.Create, true))}
	p.Steps[0].Changes[1].Live = nil
	if err := p.Finish(); err != nil {
		f.Fatal(err)
	}
	var good bytes.Buffer
	if err := plan.Encode(&good, p); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add([]byte(`{"apiVersion":"fluxjob.dev/v1alpha1","kind":"Plan","steps":null,"digest":"sha256:74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"}`))
	f.Add([]byte(strings.Repeat("[", 20000)))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := plan.Decode(bytes.NewReader(data))
		if err != nil {
			return
		}
		if moved := p.Moved(p); len(moved) > 0 {
			t.Errorf("a plan moved against itself: %v", moved)
		}
		if err := p.Validate(); err != nil {
			t.Errorf("an invalid plan was read: %v", err)
		}
	})
}

func TestMoved(t *testing.T) {
	recreated := func(c plan.Change) plan.Change { c.Live = &plan.Live{UID: "u2", ResourceVersion: "9"}; return c }
	touched := func(c plan.Change) plan.Change {
		c.Live = &plan.Live{UID: "u1", ResourceVersion: "8"}
		return c
	}
	rendered := func(c plan.Change) plan.Change { c.Desired = "sha256:2"; return c }
	ignoring := func(c plan.Change) plan.Change { c.Ignored = []string{"/spec/replicas"}; return c }
	update, unchanged, create := change(plan.Update), change(plan.Unchanged), change(plan.Create)
	const name = "flux-system/pre: ConfigMap/shop/settings: "
	tests := []struct {
		name     string
		was, now plan.Change
		want     []string
	}{
		{"nothing", update, update, nil},
		{"a written object changed", update, touched(update), []string{name + "it changed in the cluster (resourceVersion 7, now 8)"}},
		{"the status of an object that stays", unchanged, touched(unchanged), nil},
		{"an object that stays was made anew", unchanged, recreated(unchanged), []string{name + "it was deleted and created again since"}},
		{"a new object exists", create, update, []string{name + "it did not exist, now it does, the plan was: create, would be now: update"}},
		{"an object is gone", update, create, []string{name + "it existed, now it does not, the plan was: update, would be now: create"}},
		{"the tree changed", update, rendered(update), []string{name + "the tree renders it otherwise"}},
		{"the action changed", unchanged, update, []string{name + "the plan was: unchanged, would be now: update"}},
		{"spec.ignore changed", update, ignoring(update), []string{name + "what spec.ignore leaves of it differs"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := finished(t, steps(tt.was)).Moved(finished(t, steps(tt.now)))
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestMovedSteps(t *testing.T) {
	base := func() []plan.Step { return steps(change(plan.Update)) }
	with := func(edit func(s *plan.Step)) []plan.Step { s := base(); edit(&s[0]); return s }
	tests := []struct {
		name     string
		was, now []plan.Step
		want     []string
	}{
		{"a step more", base(), append(base(), plan.Step{Kustomization: app}), []string{"flux-system/app: it was no part of the plan"}},
		{"a step less", append(base(), plan.Step{Kustomization: app}), base(), []string{"flux-system/app: it is no longer part of the plan"}},
		{"an object more", steps(), base(), []string{"flux-system/pre: ConfigMap/shop/settings: it was no part of the plan, now it would be: update"}},
		{"an object less", base(), steps(), []string{"flux-system/pre: ConfigMap/shop/settings: it is no longer part of the plan"}},
		{"the revision", base(), with(func(s *plan.Step) { s.Source.Revision = "main@sha1:2" }), []string{"flux-system/pre: the source was at no revision, is at main@sha1:2"}},
		{"what is waited for", base(), with(func(s *plan.Step) { s.Wait.All = true }), []string{"flux-system/pre: its spec, or that of one that it depends on, has changed"}},
		{"the order of the objects", base(), with(func(s *plan.Step) { s.Source.Digest = "sha256:9" }), []string{"flux-system/pre: it is rendered to something else"}},
		{
			"a problem", base(),
			with(func(s *plan.Step) { s.Problem = &plan.Problem{Reason: plan.BuildFailed, Message: "no such file"} }),
			[]string{"flux-system/pre: it cannot be planned any more: no such file"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := finished(t, tt.was).Moved(finished(t, tt.now))
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	other := finished(t, base())
	other.Cluster = plan.Cluster{Server: "https://two", UID: "c2"}
	want := []string{"the cluster: the plan is for https://one (c1), this is https://two (c2)"}
	if d := gocmp.Diff(want, finished(t, base()).Moved(other)); d != "" {
		t.Errorf("another cluster (-want +got):\n%s", d)
	}
}
