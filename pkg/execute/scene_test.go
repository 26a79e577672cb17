package execute

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

var crdRef = object.Ref{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition", Name: "widgets.test"}

// scene is a run on a cluster in memory.
type scene struct {
	t *testing.T
	*memory
	desired map[string]*unstructured.Unstructured
	steps   []plan.Step
	opts    Options
	events  []report.Event
	// on is called for every event, by the goroutine that emits.
	on func(report.Event)
}

// play runs a test in a bubble of its own, on a cluster with live objects.
func play(t *testing.T, name string, test func(s *scene)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			test(&scene{
				t: t, memory: newMemory(t), desired: map[string]*unstructured.Unstructured{},
				opts: Options{Wait: WaitJobs, Logs: LogsFailed, Parallelism: 4},
			})
		})
	})
}

// thing is an object whose content is the version.
func thing(ref object.Ref, version string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(ref.GVK())
	u.SetNamespace(ref.Namespace)
	u.SetName(ref.Name)
	u.Object["spec"] = map[string]any{"template": version}
	return u
}

// named is a Ref in the namespace shop.
func named(kind, name string) object.Ref {
	groups := map[string]string{"Job": "batch", "Deployment": "apps", "Role": "rbac", "RoleBinding": "rbac", "Widget": "test", "ValidatingWebhookConfiguration": "admission"}
	return object.Ref{Group: groups[kind], Version: "v1", Kind: kind, Namespace: "shop", Name: name}
}

// with changes a field of spec.
func with(u *unstructured.Unstructured, field string, value any) *unstructured.Unstructured {
	u.Object["spec"].(map[string]any)[field] = value
	return u
}

// exists puts an object into the cluster, as it was before.
func (s *scene) exists(u *unstructured.Unstructured) *unstructured.Unstructured {
	u.SetUID("old-" + u.GetUID() + "uid")
	u.SetGeneration(1)
	s.put(u)
	return u
}

// change is what the plan says of an object: its action follows from what is
// there, but for a recreation.
func (s *scene) change(u *unstructured.Unstructured, action plan.Action) plan.Change {
	c := plan.Change{Object: object.RefOf(u), Action: action, Stage: 4, Desired: object.Digest(u)}
	s.desired[c.Desired] = u
	if live := s.objects[c.Object.ID()]; live != nil {
		c.Live = &plan.Live{UID: string(live.GetUID())}
	}
	if c.Object.IsCRD() || c.Object.IsNamespace() {
		c.Stage = 1
	}
	if c.Object.IsJob() {
		suspended, _, _ := unstructured.NestedBool(u.Object, "spec", "suspend")
		c.Job = &plan.Job{Suspended: suspended, WillRun: !suspended && action != plan.Unchanged}
	}
	if action == plan.Delete {
		c.Stage, c.Desired, c.Reason.Code = 0, "", plan.Pruned
	}
	return c
}

func (s *scene) creates(u *unstructured.Unstructured) plan.Change { return s.change(u, plan.Create) }

func (s *scene) recreates(u *unstructured.Unstructured) plan.Change {
	return s.change(u, plan.Recreate)
}

// step adds a step to the plan.
func (s *scene) step(name string, changes ...plan.Change) *plan.Step {
	s.steps = append(s.steps, plan.Step{
		Kustomization: key(name), Changes: changes, Wait: plan.Wait{TimeoutSeconds: 60}, Inventory: plan.Inventory{Kept: plan.KeptByPlugin},
	})
	return &s.steps[len(s.steps)-1]
}

// run runs the plan to its end.
func (s *scene) run(ctx context.Context) *report.Report {
	s.t.Helper()
	s.opts.Emit = func(e report.Event) {
		s.events = append(s.events, e)
		if s.on != nil {
			s.on(e)
		}
	}
	r := Run(ctx, s.memory, &plan.Plan{Steps: s.steps}, s.desired, s.opts)
	if last := s.events[len(s.events)-1]; last.Type != report.RunDone || last.Message != string(r.Outcome) {
		s.t.Errorf("the last event is %v, the outcome %s", last, r.Outcome)
	}
	return r
}

// ends runs the plan and checks how it ended.
func (s *scene) ends(want report.Outcome) *report.Report {
	s.t.Helper()
	r := s.run(s.t.Context())
	s.outcome(r, want)
	return r
}

func (s *scene) outcome(r *report.Report, want report.Outcome) {
	s.t.Helper()
	if r.Outcome != want {
		s.t.Errorf("want %s, got %s: %v", want, r.Outcome, r.Steps)
	}
}

// told lists the events of some types, as "type Kind/name message".
func (s *scene) told(types ...report.Type) []string {
	var found []string
	for _, e := range s.events {
		if slices.Contains(types, e.Type) {
			text := string(e.Type)
			if e.Object != nil {
				text += " " + e.Object.Kind + "/" + e.Object.Name
			}
			found = append(found, strings.TrimSpace(text+" "+e.Message))
		}
	}
	return found
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// says checks that a text holds others.
func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
}

// interruptAt returns a context that ends when a request of the name is made for
// the first time.
func (s *scene) interruptAt(name string, cause error) context.Context {
	return s.interruptAtNth(name, 1, cause)
}

func (s *scene) interruptAtNth(name string, nth int, cause error) context.Context {
	ctx, cancel := context.WithCancelCause(s.t.Context())
	before := s.fault
	s.fault = func(request string, n int) fault {
		if request == name && n == nth {
			cancel(cause)
		}
		if before != nil {
			return before(request, n)
		}
		return fault{}
	}
	return ctx
}

// failing makes the first requests of a name end with an error.
func (s *scene) failing(name string, times int, f fault) {
	before := s.fault
	s.fault = func(request string, n int) fault {
		switch {
		case request == name && n <= times:
			return f
		case before != nil:
			return before(request, n)
		}
		return fault{}
	}
}

// only is a plan of one new Job.
func (s *scene) only(job *unstructured.Unstructured) plan.Change {
	c := s.creates(job)
	s.step("app", c)
	return c
}

// interruptAtOnce returns a context that has ended.
func (s *scene) interruptAtOnce(cause error) context.Context {
	ctx, cancel := context.WithCancelCause(s.t.Context())
	cancel(cause)
	return ctx
}
