package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// planned is a plan as `plan -o json` wrote it.
type planned struct {
	plan.Plan
	result
	t *testing.T
}

// plan plans the Kustomizations of flux.yaml and checks the exit code that
// --exit-code gives. Arguments that begin with -f take the place of that file.
func (s *space) plan(code int, args ...string) planned {
	s.t.Helper()
	return s.planFrom(nil, code, args...)
}

func (s *space) planFrom(stdin io.Reader, code int, args ...string) planned {
	s.t.Helper()
	p := planned{t: s.t, result: s.start(stdin, s.arguments("plan", "-o", "json", "--exit-code", args)...).wait(code)}
	if err := json.Unmarshal([]byte(p.stdout), &p.Plan); err != nil {
		s.t.Fatalf("decode the plan: %v\n%s", err, p.result)
	}
	return p
}

// arguments puts what every call has before args.
func (s *space) arguments(command, output, format, more string, args []string) []string {
	all := []string{command, output, format, more, "-n", "@NS"}
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "-f") }) {
		all = append(all, "-f", "flux.yaml")
	}
	return append(all, args...)
}

// change returns the change of an object by "Kind/name".
func (p *planned) change(ref string) plan.Change {
	p.t.Helper()
	var found []plan.Change
	for i := range p.Steps {
		for _, c := range p.Steps[i].Changes {
			if c.Object.Kind+"/"+c.Object.Name == ref {
				found = append(found, c)
			}
		}
	}
	if len(found) != 1 {
		p.t.Fatalf("want one change of %s, got %d in %s", ref, len(found), p.result)
	}
	return found[0]
}

// want checks action and reason of an object, and returns its change.
func (p *planned) want(ref string, action plan.Action, code plan.Code) plan.Change {
	p.t.Helper()
	c := p.change(ref)
	if c.Action != action || c.Reason.Code != code {
		p.t.Errorf("%s: want %s %q, got %s %q: %s", ref, action, code, c.Action, c.Reason.Code, c.Reason.Detail)
	}
	return c
}

// step returns the step of a Kustomization.
func (p *planned) step(name string) plan.Step {
	p.t.Helper()
	for i := range p.Steps {
		if p.Steps[i].Kustomization.Name == name {
			return p.Steps[i]
		}
	}
	p.t.Fatalf("no step %s in %s", name, p.result)
	return plan.Step{}
}

// problem checks the reason of a step's problem and what its message says.
func (p *planned) problem(step, reason string, says ...string) {
	p.t.Helper()
	problem := p.step(step).Problem
	if problem == nil {
		p.t.Fatalf("%s has no problem: %s", step, p.result)
	}
	if problem.Reason != reason {
		p.t.Errorf("%s: want the problem %s, got %s: %s", step, reason, problem.Reason, problem.Message)
	}
	wantText(p.t, problem.Message, says...)
}

// names lists the steps as they stand.
func (p *planned) names() []string {
	var all []string
	for i := range p.Steps {
		all = append(all, p.Steps[i].Kustomization.Name)
	}
	return all
}

// applied is what `apply -o json` told.
type applied struct {
	result
	events []report.Event
	t      *testing.T
}

// apply applies the Kustomizations of flux.yaml without a question and checks
// the exit code.
func (s *space) apply(code int, args ...string) applied {
	s.t.Helper()
	return s.startApply(args...).applied(code)
}

func (s *space) startApply(args ...string) *process {
	s.t.Helper()
	return s.start(nil, s.arguments("apply", "-o", "json", "--yes", args)...)
}

// applied waits for the end and decodes the events.
func (p *process) applied(code int) applied {
	p.s.t.Helper()
	a := applied{t: p.s.t, result: p.wait(code)}
	for decoder := json.NewDecoder(strings.NewReader(a.stdout)); decoder.More(); {
		var e report.Event
		if err := decoder.Decode(&e); err != nil {
			p.s.t.Fatalf("decode an event: %v\n%s", err, a.result)
		}
		a.events = append(a.events, e)
	}
	return a
}

// at returns the place of the one event of a type that is about an object, by
// "Kind/name", or else about a Kustomization, by name.
func (a *applied) at(kind report.Type, about string) int {
	a.t.Helper()
	found := a.all(kind, about)
	if len(found) != 1 {
		a.t.Fatalf("want one event %s of %s, got %d in %s", kind, about, len(found), a.result)
	}
	return found[0]
}

func (a *applied) event(kind report.Type, about string) report.Event {
	a.t.Helper()
	return a.events[a.at(kind, about)]
}

func (a *applied) all(kind report.Type, about string) []int {
	var found []int
	for i, e := range a.events {
		if e.Type == kind && subject(e) == about {
			found = append(found, i)
		}
	}
	return found
}

// never checks that there is no such event.
func (a *applied) never(kind report.Type, about string) {
	a.t.Helper()
	if len(a.all(kind, about)) > 0 {
		a.t.Errorf("there is an event %s of %s in %s", kind, about, a.result)
	}
}

// order checks that events, each as "type about", come one after the other.
func (a *applied) order(events ...string) {
	a.t.Helper()
	last := -1
	for _, e := range events {
		kind, about, _ := strings.Cut(e, " ")
		at := a.at(report.Type(kind), about)
		if at < last {
			a.t.Errorf("%q comes too early in %s", e, a.result)
		}
		last = at
	}
}

func subject(e report.Event) string {
	switch {
	case e.Object != nil:
		return e.Object.Kind + "/" + e.Object.Name
	case e.Kustomization != nil:
		return e.Kustomization.Name
	}
	return ""
}

// wrote lists what was written, as "action Kind/name".
func (a *applied) wrote() []string {
	all := []string{}
	for _, e := range a.events {
		if e.Type == report.ObjectApplied || e.Type == report.ObjectDeleted && e.Action == plan.Delete {
			all = append(all, fmt.Sprintf("%s %s", e.Action, subject(e)))
		}
	}
	return all
}

// wantText checks that all parts stand in a text.
func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("want %q in:\n%s", part, text)
		}
	}
}

// wantNoText checks that none of the parts stands in a text.
func wantNoText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("want no %q in:\n%s", part, text)
		}
	}
}

// equal checks a value.
func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// keysOf turns names into the keys of Kustomizations of the test's namespace.
func (s *space) keysOf(names ...string) []object.Key {
	var keys []object.Key
	for _, name := range names {
		keys = append(keys, object.Key{Namespace: s.ns, Name: name})
	}
	return keys
}
