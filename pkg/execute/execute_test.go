package execute

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fluxjob/kubectl-fluxjob/pkg/diff"
	"github.com/fluxjob/kubectl-fluxjob/pkg/health"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

func key(name string) object.Key { return object.Key{Namespace: "flux-system", Name: name} }

// diamond is db ← migrate, seed ← app, and other beside it.
func diamond() []plan.Step {
	step := func(wave int, name string, after ...object.Key) plan.Step {
		return plan.Step{Kustomization: key(name), Wave: wave, DependsOn: after, After: after}
	}
	return []plan.Step{
		step(0, "db"), step(0, "other"), step(1, "migrate", key("db")), step(1, "seed", key("db")),
		step(2, "app", key("migrate"), key("seed"), key("not-planned")),
	}
}

// endings turns outcomes by name into how the steps of diamond ended.
func endings(outcomes map[string]report.Outcome) []*report.Step {
	steps := diamond()
	ended := make([]*report.Step, len(steps))
	for i := range steps {
		if o, found := outcomes[steps[i].Kustomization.Name]; found {
			ended[i] = &report.Step{Kustomization: steps[i].Kustomization, Outcome: o}
		}
	}
	return ended
}

func TestReady(t *testing.T) {
	tests := []struct {
		name  string
		ended map[string]report.Outcome
		want  []string
	}{
		{"at the beginning, what depends on nothing", nil, []string{"db", "other"}},
		{"what depends on what is done", map[string]report.Outcome{"db": report.Done}, []string{"other", "migrate", "seed"}},
		{"not what depends on one that is done and one that is not", map[string]report.Outcome{"db": report.Done, "migrate": report.Done}, []string{"other", "seed"}},
		{"at last, what depends on all", map[string]report.Outcome{"db": report.Done, "other": report.Done, "migrate": report.Done, "seed": report.Done}, []string{"app"}},
		{"nothing behind a failure", map[string]report.Outcome{"db": report.Failed, "other": report.Done}, nil},
		{"nothing behind a timeout", map[string]report.Outcome{"db": report.TimedOut, "other": report.Done}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for i, s := range diamond() {
				if ready(diamond(), endings(tt.ended), i) {
					got = append(got, s.Kustomization.Name)
				}
			}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestSkipDependents(t *testing.T) {
	tests := []struct {
		name  string
		ended map[string]report.Outcome
		want  []string
	}{
		{"nothing behind what is done", map[string]report.Outcome{"db": report.Done}, nil},
		{"all that depends on it, and only that", map[string]report.Outcome{"db": report.Failed}, []string{
			"migrate: it depends on flux-system/db, which failed", "seed: it depends on flux-system/db, which failed",
			"app: it depends on flux-system/migrate, which was skipped",
		}},
		{"what depends on one of several", map[string]report.Outcome{"db": report.Done, "migrate": report.Done, "seed": report.TimedOut}, []string{"app: it depends on flux-system/seed, which timed out"}},
		{"after an interrupt", map[string]report.Outcome{"db": report.Done, "migrate": report.Interrupted, "seed": report.Done}, []string{"app: it depends on flux-system/migrate, which was interrupted"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var emitted []string
			r := &run{opts: Options{Emit: func(e report.Event) {
				if e.Type != report.StepSkipped || e.Time.IsZero() {
					t.Errorf("got event %v", e)
				}
				emitted = append(emitted, e.Kustomization.Name+": "+e.Message)
			}}}
			before, ended := endings(tt.ended), endings(tt.ended)
			r.skipDependents(diamond(), ended)
			var got []string
			for i, e := range ended {
				if e != nil && before[i] == nil {
					got = append(got, e.Kustomization.Name+": "+e.Message)
					if e.Outcome != report.Skipped {
						t.Errorf("%s is %s", e.Kustomization, e.Outcome)
					}
				}
			}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("steps (-want +got):\n%s", d)
			}
			if d := gocmp.Diff(tt.want, emitted); d != "" {
				t.Errorf("events (-want +got):\n%s", d)
			}
		})
	}
}

var (
	jobRef    = object.Ref{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: "migrate"}
	configRef = object.Ref{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "settings"}
	webRef    = object.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
	oldRef    = object.Ref{Version: "v1", Kind: "Secret", Namespace: "shop", Name: "old"}
	selfRef   = object.Ref{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization", Namespace: "flux-system", Name: "app"}
)

// written is the state of an object that a step wrote.
func written(ref object.Ref) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(ref.GVK())
	u.SetNamespace(ref.Namespace)
	u.SetName(ref.Name)
	u.SetUID("new")
	return u
}

func applied(refs ...object.Ref) map[string]*unstructured.Unstructured {
	all := map[string]*unstructured.Unstructured{}
	for _, ref := range refs {
		all[ref.ID()] = written(ref)
	}
	return all
}

func entry(ref object.Ref) plan.Entry { return plan.Entry{ID: ref.ID(), Version: ref.Version} }

func TestInventory(t *testing.T) {
	const of = "sha256:1"
	oldVersion := jobRef
	oldVersion.Version = "v1beta1"
	changes := []plan.Change{
		{Object: configRef, Action: plan.Unchanged, Desired: of},
		{Object: jobRef, Action: plan.Recreate, Desired: of},
		{Object: webRef, Action: plan.Skip, Desired: of},
		{Object: oldRef, Action: plan.Delete},
	}
	tests := []struct {
		name     string
		complete bool
		before   []plan.Entry
		applied  []object.Ref
		gone     []object.Ref
		want     []plan.Entry
	}{
		{
			"a complete run holds all that is rendered, skipped and unchanged too", true,
			[]plan.Entry{entry(jobRef), entry(oldRef)},
			[]object.Ref{jobRef},
			[]object.Ref{oldRef},
			[]plan.Entry{entry(configRef), entry(jobRef), entry(webRef)},
		},
		{"a complete first run", true, nil, []object.Ref{configRef, jobRef}, nil, []plan.Entry{entry(configRef), entry(jobRef), entry(webRef)}},
		{"a complete run brings the versions up to date", true, []plan.Entry{entry(oldVersion)}, []object.Ref{jobRef}, nil, []plan.Entry{entry(configRef), entry(jobRef), entry(webRef)}},
		{
			"a run that failed half-way holds what was written and what was there before", false,
			[]plan.Entry{entry(oldRef), entry(webRef)},
			[]object.Ref{jobRef},
			nil,
			[]plan.Entry{entry(jobRef), entry(oldRef), entry(webRef)},
		},
		{"a run that failed before it wrote changes nothing", false, []plan.Entry{entry(oldRef), entry(webRef)}, nil, nil, []plan.Entry{entry(oldRef), entry(webRef)}},
		{
			"a run that failed while it pruned leaves out what is gone", false,
			[]plan.Entry{entry(oldRef), entry(jobRef)},
			[]object.Ref{jobRef},
			[]object.Ref{oldRef},
			[]plan.Entry{entry(jobRef)},
		},
		{"a run that failed at once, the first time", false, nil, nil, nil, []plan.Entry{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &stepRun{step: &plan.Step{Changes: changes, Inventory: plan.Inventory{Entries: tt.before}}, applied: applied(tt.applied...), gone: map[string]bool{}}
			for _, ref := range tt.gone {
				s.gone[ref.ID()] = true
			}
			if d := gocmp.Diff(tt.want, s.inventory(tt.complete)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestSameEntries(t *testing.T) {
	a, b, c := entry(jobRef), entry(configRef), entry(webRef)
	newer := a
	newer.Version = "v2"
	tests := []struct {
		name string
		x, y []plan.Entry
		want bool
	}{
		{"both empty", nil, []plan.Entry{}, true},
		{"the same in another order", []plan.Entry{a, b}, []plan.Entry{b, a}, true},
		{"one more", []plan.Entry{a, b}, []plan.Entry{a}, false},
		{"another", []plan.Entry{a, b}, []plan.Entry{a, c}, false},
		{"another version", []plan.Entry{a}, []plan.Entry{newer}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := sameEntries(tt.x, tt.y); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
			if got := sameEntries(tt.y, tt.x); got != tt.want {
				t.Errorf("the other way: got %t, want %t", got, tt.want)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	live := &plan.Live{UID: "old"}
	job := func(a plan.Action, j plan.Job) plan.Change {
		return plan.Change{Object: jobRef, Action: a, Desired: "sha256:job", Live: live, Job: &j}
	}
	runs, ended := plan.Job{WillRun: true, WaitFor: "complete"}, plan.Job{Last: plan.Complete}
	config := plan.Change{Object: configRef, Action: plan.Update, Live: live}
	self := plan.Change{Object: selfRef, Action: plan.Update, Live: live}
	old := plan.Change{Object: oldRef, Action: plan.Delete, Live: live, Reason: plan.Reason{Code: plan.Pruned}}
	kept := plan.Change{Object: oldRef, Action: plan.Skip, Live: live, Reason: plan.Reason{Code: plan.Annotation}}
	skippedJob := job(plan.Skip, ended)
	checks := plan.Wait{HealthChecks: []object.Ref{webRef, configRef, jobRef}}
	all := plan.Wait{All: true}
	byExprs := plan.Wait{All: true, ExprsForJobs: true, HealthCheckExprs: []plan.HealthCheckExpr{{APIVersion: "batch/v1", Kind: "Job", Current: "true"}}}
	tests := []struct {
		name    string
		mode    Wait
		wait    plan.Wait
		changes []plan.Change
		ttl     bool
		want    []string
	}{
		{
			"a Job by its own end and by the expressions that go before it", WaitJobs, byExprs,
			[]plan.Change{job(plan.Create, runs)},
			true,
			[]string{"Job/shop/migrate by its own end", "Job/shop/migrate, or gone"},
		},
		{
			"a health check of such a Job", WaitJobs,
			plan.Wait{HealthChecks: []object.Ref{jobRef}, HealthCheckExprs: byExprs.HealthCheckExprs, ExprsForJobs: true},
			[]plan.Change{job(plan.Create, runs)},
			false,
			[]string{"Job/shop/migrate by its own end", "Job/shop/migrate"},
		},
		{"Jobs alone by default", WaitJobs, plan.Wait{}, []plan.Change{config, job(plan.Create, runs), old}, false, []string{"Job/shop/migrate by its own end"}},
		{"a Job that failed and is unchanged as well, so that it fails the step", WaitJobs, plan.Wait{}, []plan.Change{job(plan.Unchanged, plan.Job{Last: plan.Failed})}, false, []string{"Job/shop/migrate by its own end"}},
		{"no Job that is skipped or deleted", WaitJobs, plan.Wait{}, []plan.Change{skippedJob, job(plan.Delete, ended)}, false, nil},
		{"what spec.wait asks for, but nothing that is skipped or pruned", WaitJobs, all, []plan.Change{config, job(plan.Create, runs), old, kept}, false, []string{"ConfigMap/shop/settings", "Job/shop/migrate by its own end"}},
		{"what spec.healthChecks ask for, each object once", WaitJobs, checks, []plan.Change{config, job(plan.Create, runs)}, false, []string{"Job/shop/migrate by its own end", "Deployment/shop/web", "ConfigMap/shop/settings"}},
		{"health checks name skipped objects as well", WaitJobs, plan.Wait{HealthChecks: []object.Ref{oldRef}}, []plan.Change{kept}, false, []string{"Secret/shop/old"}},
		{"never the Kustomization itself", WaitAll, plan.Wait{HealthChecks: []object.Ref{selfRef}}, []plan.Change{self}, false, nil},
		{"as Flux: nothing where nothing is asked for", WaitFlux, plan.Wait{}, []plan.Change{config, job(plan.Create, runs)}, false, nil},
		{"as Flux: Jobs by the controller's rule", WaitFlux, all, []plan.Change{config, job(plan.Create, runs)}, false, []string{"ConfigMap/shop/settings", "Job/shop/migrate"}},
		{"as Flux: a Job with a TTL may be gone", WaitFlux, all, []plan.Change{job(plan.Create, runs)}, true, []string{"Job/shop/migrate, or gone"}},
		{"as Flux: only the health checks without spec.wait", WaitFlux, checks, []plan.Change{config, job(plan.Create, runs)}, true, []string{"Deployment/shop/web", "ConfigMap/shop/settings", "Job/shop/migrate, or gone"}},
		{"all: every object, whatever the Kustomization asks for", WaitAll, plan.Wait{}, []plan.Change{config, job(plan.Create, runs), old, kept}, false, []string{"ConfigMap/shop/settings", "Job/shop/migrate by its own end"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			desired := written(jobRef)
			if tt.ttl {
				if err := unstructured.SetNestedField(desired.Object, int64(0), "spec", "ttlSecondsAfterFinished"); err != nil {
					t.Fatal(err)
				}
			}
			reader, err := health.NewReader(tt.wait)
			if err != nil {
				t.Fatal(err)
			}
			s := &stepRun{
				health:  reader,
				run:     &run{opts: Options{Wait: tt.mode}, desired: map[string]*unstructured.Unstructured{"sha256:job": desired}},
				step:    &plan.Step{Kustomization: key("app"), Wait: tt.wait, Changes: tt.changes},
				applied: applied(configRef, jobRef),
			}
			var got []string
			for _, target := range s.targets() {
				text := target.ref.String()
				if target.job != nil {
					text += " by its own end"
				}
				if target.absentIsDone {
					text += ", or gone"
				}
				got = append(got, text)
				if wrote := s.applied[target.ref.ID()]; target.object != wrote {
					t.Errorf("%s: the state that was written is not handed on", target.ref)
				}
			}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	tests := []struct {
		name   string
		option time.Duration
		own    float64
		want   time.Duration
	}{
		{"the Kustomization's own", 0, 570, 570 * time.Second},
		{"that of the options", time.Minute, 570, time.Minute},
		{"fractions of a second", 0, 30.5, 30500 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &stepRun{run: &run{opts: Options{Timeout: tt.option}}, step: &plan.Step{Wait: plan.Wait{TimeoutSeconds: tt.own}}}
			if got := s.timeout(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	waiting := &errWaiting{jobRef, "running: 1 active"}
	failed := errors.New("Job/shop/seed failed")
	tests := []struct {
		name string
		ctx  context.Context
		errs []error
		want string
		is   error
	}{
		{"all done", t.Context(), []error{nil, nil}, "", nil},
		{"nothing to wait for", t.Context(), nil, "", nil},
		{"a failure; what it ended the wait for is not named", t.Context(), []error{nil, failed, waiting}, "Job/shop/seed failed", failed},
		{"two failures", t.Context(), []error{failed, errors.New("b")}, "Job/shop/seed failed\nb", failed},
		{
			"a timeout names all that it waited for", t.Context(),
			[]error{nil, waiting, &errWaiting{webRef, "not found"}},
			"timed out after 1m0s waiting for Job/shop/migrate: running: 1 active; Deployment/shop/web: not found; --timeout waits longer", errTimeout,
		},
		{"an interrupt says what goes on", ended, []error{waiting}, "interrupted; in flight, and going on in the cluster: Job/shop/migrate: running: 1 active", errInterrupted},
		{"a failure beats an interrupt", ended, []error{waiting, failed}, "Job/shop/seed failed", failed},
		{"all done before an interrupt", ended, []error{nil}, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := (&stepRun{}).verdict(tt.ctx, tt.errs, time.Minute)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tt.want {
				t.Errorf("got  %q\nwant %q", text, tt.want)
			}
			if !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
		})
	}
}

func TestRefusedTellsNoSecret(t *testing.T) {
	s := &stepRun{run: &run{opts: Options{Mask: diff.NewMask([]string{"hunter2"})}}}
	tests := []struct {
		name string
		err  error
		want string
		is   error
	}{
		{"the server's words", apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "jobs"}, "migrate", errors.New("exceeded quota")), `apply Job/shop/migrate: jobs.batch "migrate" is forbidden: exceeded quota`, nil},
		{"a decision of our own", replaced(&plan.Change{Object: jobRef}), "Job/shop/migrate is not the object that was planned for any more: plan again", nil},
		{"a secret value in them", apierrors.NewBadRequest("bad value hunter2"), "apply Job/shop/migrate: bad value (secret)", nil},
		{"an interrupt", fmt.Errorf("%w: it is unknown whether this took effect", errInterrupted), "interrupted: it is unknown whether this took effect: apply Job/shop/migrate", errInterrupted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := s.refused("apply", jobRef, tt.err)
			if err.Error() != tt.want {
				t.Errorf("got  %q\nwant %q", err, tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
		})
	}
}

func TestLastFailed(t *testing.T) {
	pod := func(name string, statuses ...corev1.ContainerStatus) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PodStatus{ContainerStatuses: statuses}}
	}
	ended := func(name string, code int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}}
	}
	running := corev1.ContainerStatus{Name: "log", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	tests := []struct {
		name string
		pods []corev1.Pod
		want []string
	}{
		{"no pods", nil, nil},
		{"no failure", []corev1.Pod{pod("a", ended("m", 0), running)}, nil},
		{"the youngest of two", []corev1.Pod{pod("a", ended("m", 1)), pod("b", ended("m", 2))}, []string{"b/m"}},
		{"an older one, if the youngest did not fail", []corev1.Pod{pod("a", ended("m", 1), ended("n", 0)), pod("b", running)}, []string{"a/m"}},
		{"all that failed in one pod", []corev1.Pod{pod("a", ended("m", 1), ended("n", 137))}, []string{"a/m", "a/n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod, failed := lastFailed(tt.pods)
			var got []string
			for _, c := range failed {
				got = append(got, pod.Name+"/"+c.Name)
			}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
