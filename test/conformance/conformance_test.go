package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-openapi/jsonpointer"
	gocmp "github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// The revisions of the two trees.
const (
	revisionBefore = "main@sha1:0000000000000000000000000000000000000001"
	revisionAfter  = "main@sha1:0000000000000000000000000000000000000002"
)

// tally counts over all cases.
type tally struct {
	mu                     sync.Mutex
	cases, objects, agreed int
	differing, known       map[string]int
	twin                   *twinTally
}

func (t *tally) add(count func(*tally)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	count(t)
}

func (t *tally) String() string {
	return fmt.Sprintf("%d cases; plan and controller agree on %d of %d objects; deliberate differences %v; known disagreements %v; %s",
		t.cases, t.agreed, t.objects, t.differing, t.known, t.twin)
}

// TestConformance runs every case of testdata/cases.
func TestConformance(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	total := &tally{differing: map[string]int{}, known: map[string]int{}, twin: newTwinTally()}
	t.Run("cases", func(t *testing.T) {
		for _, file := range files {
			c, err := readCase(file, server)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				if _, err := exec.LookPath(c.needs); c.needs != "" && err != nil {
					t.Skipf("the controller needs %s: %v", c.needs, err)
				}
				(&trial{testCase: c, t: t, total: total}).run()
			})
		}
	})
	log.Printf("conformance: Kubernetes v%s: %s", server, total)
	if total.cases == len(files) {
		total.differencesAreKnown(t)
	}
}

// differencesAreKnown checks that no more and no fewer cases than before show
// what we do otherwise on purpose.
func (t *tally) differencesAreKnown(test *testing.T) {
	test.Helper()
	for name, d := range differences {
		if got := t.differing[name]; got != d.cases {
			test.Errorf("%d cases show the deliberate difference %s, and the table says %d", got, name, d.cases)
		}
	}
}

// trial is one case as it runs.
type trial struct {
	*testCase
	t     *testing.T
	ctx   context.Context
	total *tally
	dir   string
	// disagreed says that plan and controller did, somewhere.
	disagreed []string
	// differed says that they did as the case names it.
	differed bool
	// twinning is what is known for the twins.
	twinning
}

func (t *trial) must(what string, err error) {
	t.t.Helper()
	if err != nil {
		t.t.Fatalf("%s: %v", what, err)
	}
}

func (t *trial) run() {
	defer t.begin()()
	t.first()
	t.between()
	for _, r := range t.rounds {
		t.round(*r)
	}
	end := t.end()
	t.judge()
	if *withTwins {
		t.twins(end)
	}
}

// begin makes the namespace, and what is there before everything else. It
// returns what ends the trial.
func (t *trial) begin() (end func()) {
	t.t.Helper()
	t.ctx, end = context.WithTimeout(t.t.Context(), patience)
	t.dir = t.t.TempDir()
	t.must("create the namespace", t.create(t.ctx, newObject("v1", "Namespace", "", t.name), "conformance"))
	if _, some := t.files["objects"]; some {
		t.must("create what was there before", t.each("objects", func(u *unstructured.Unstructured) error { return t.create(t.ctx, u, "somebody") }))
	}
	return end
}

// between does what happens between the two trees.
func (t *trial) between() {
	t.t.Helper()
	for line := range strings.Lines(t.files["between"]) {
		if line = strings.TrimSpace(line); line != "" {
			t.must(line, t.step(t.ctx, line))
		}
	}
}

// tree writes the tree of a phase and returns its folder.
func (t *trial) tree(phase string) string {
	t.t.Helper()
	dir := filepath.Join(t.dir, phase)
	t.must("make a folder", os.MkdirAll(dir, 0o755))
	t.must("write the tree", t.write(phase, dir))
	return dir
}

// source creates the source of all Kustomizations.
func (t *trial) source() {
	t.t.Helper()
	source := newObject("source.toolkit.fluxcd.io/v1", "GitRepository", t.name, sourceName)
	spec, err := t.sourceSpec()
	t.must("read the case", err)
	source.Object["spec"] = spec
	t.must("create the source", t.create(t.ctx, source, "conformance"))
}

// first lets the controller reconcile the first tree, if there is one.
func (t *trial) first() {
	t.t.Helper()
	t.source()
	if !t.has("before") {
		return
	}
	t.publish(revisionBefore, t.tree("before"))
	for _, name := range t.kustomizations {
		ready := t.reconcile(name, "before")
		if got := ready["reason"]; got != t.before {
			t.t.Fatalf("the first tree: Kustomization %s: want %s, got %s: %s", name, t.before, got, ready["message"])
		}
	}
	for _, name := range t.rendered() {
		if ready := t.ready(name); ready["reason"] != t.before {
			t.t.Fatalf("the first tree: Kustomization %s: want %s, got %s: %s", name, t.before, ready["reason"], ready["message"])
		}
	}
}

// rendered are the live Kustomizations that others have applied.
func (t *trial) rendered() []string {
	t.t.Helper()
	all, err := client.Resource(kustomizations).Namespace(t.name).List(t.ctx, metav1.ListOptions{})
	t.must("list the Kustomizations", err)
	var names []string
	for _, k := range all.Items {
		if !slices.Contains(t.kustomizations, k.GetName()) {
			names = append(names, k.GetName())
		}
	}
	return names
}

// publish makes the tree the source's artifact.
func (t *trial) publish(revision, dir string) {
	t.t.Helper()
	spec, err := t.sourceSpec()
	t.must("read the case", err)
	ignore, _ := spec["ignore"].(string)
	status := map[string]any{"status": map[string]any{
		"artifact": served.put(t.t, t.name, revision, dir, ignore),
		"conditions": []any{map[string]any{
			"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored artifact",
			"lastTransitionTime": metav1.Now().UTC().Format("2006-01-02T15:04:05Z"),
		}},
	}}
	data, err := json.Marshal(status)
	t.must("encode the artifact", err)
	_, err = client.Resource(gitRepositories).Namespace(t.name).Patch(t.ctx, sourceName, types.MergePatchType, data, metav1.PatchOptions{}, "status")
	t.must("publish the artifact", err)
}

// reconcile creates or resumes the Kustomization with the spec of a phase and
// waits for the end of the reconciliation. It returns the Ready condition.
func (t *trial) reconcile(name, phase string) map[string]any {
	t.t.Helper()
	key := object.Key{Namespace: t.name, Name: name}
	seen := oracle.mark(key)
	t.put(name, phase)
	return t.await(key, seen)
}

// await waits for the end of a reconciliation that the log does not tell of in
// its first lines, and returns the Ready condition.
func (t *trial) await(key object.Key, seen int) map[string]any {
	t.t.Helper()
	_, err := oracle.await(t.ctx, key, func(lines []logLine) bool {
		return ended(lines[seen:]) || t.unready && find(lines[seen:], lineUnready) != nil
	})
	t.must("wait for the reconciliation of "+key.Name, err)
	return t.ready(key.Name)
}

// ready waits until the status is about the present spec, and returns the Ready
// condition.
func (t *trial) ready(name string) map[string]any {
	t.t.Helper()
	var ready map[string]any
	t.must("wait for the status of "+name, wait.PollUntilContextCancel(t.ctx, pollPeriod, true, func(ctx context.Context) (bool, error) {
		k, err := client.Resource(kustomizations).Namespace(t.name).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		ready = conditionOf(k, "Ready")
		return ready["observedGeneration"] == k.GetGeneration() && ready["status"] != "Unknown", nil
	}))
	return ready
}

// put brings the spec of a phase into the cluster.
func (t *trial) put(name, phase string) {
	t.t.Helper()
	spec, err := t.spec(name, phase)
	t.must("read the case", err)
	err = t.change(name, func(k *unstructured.Unstructured) { k.Object["spec"] = spec })
	if apierrors.IsNotFound(err) {
		k := newObject("kustomize.toolkit.fluxcd.io/v1", "Kustomization", t.name, name)
		k.Object["spec"] = spec
		err = t.create(t.ctx, k, "conformance")
	}
	t.must("put Kustomization "+name, err)
}

func (t *trial) change(name string, change func(*unstructured.Unstructured)) error {
	r := client.Resource(kustomizations).Namespace(t.name)
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		k, err := r.Get(t.ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(k)
		_, err = r.Update(t.ctx, k, metav1.UpdateOptions{FieldManager: "conformance"})
		return err
	})
}

// suspend stops the reconciliation of every Kustomization that lives, and
// publishes the second tree; the controller has seen both at the end.
func (t *trial) suspend(tree string) {
	t.t.Helper()
	var live []object.Key
	rendered := t.rendered()
	for _, name := range append(slices.Clone(t.kustomizations), rendered...) {
		if slices.Contains(t.awake, name) {
			continue
		}
		key := object.Key{Namespace: t.name, Name: name}
		seen := oracle.mark(key)
		err := t.change(name, func(k *unstructured.Unstructured) {
			_ = unstructured.SetNestedField(k.Object, true, "spec", "suspend")
		})
		if apierrors.IsNotFound(err) {
			continue
		}
		t.must("suspend Kustomization "+name, err)
		t.awaitSuspended(key, seen)
		live = append(live, key)
	}
	seen := map[object.Key]int{}
	for _, key := range live {
		seen[key] = oracle.mark(key)
	}
	t.publish(revisionAfter, tree)
	for _, key := range live {
		if t.attempted(key) != revisionAfter {
			t.awaitSuspended(key, seen[key])
		}
	}
	for _, name := range t.awake {
		if !slices.Contains(rendered, name) {
			continue
		}
		key := object.Key{Namespace: t.name, Name: name}
		t.must("wait until Kustomization "+name+" has seen the second tree", wait.PollUntilContextCancel(t.ctx, pollPeriod, true, func(context.Context) (bool, error) {
			return t.attempted(key) == revisionAfter, nil
		}))
		t.ready(name)
	}
}

func (t *trial) awaitSuspended(key object.Key, seen int) {
	t.t.Helper()
	_, err := oracle.await(t.ctx, key, func(lines []logLine) bool { return find(lines[seen:], lineSuspended) != nil })
	t.must("wait until the controller sees "+key.String()+" suspended", err)
}

func (t *trial) attempted(key object.Key) string {
	t.t.Helper()
	k, err := client.Resource(kustomizations).Namespace(key.Namespace).Get(t.ctx, key.Name, metav1.GetOptions{})
	t.must("read Kustomization "+key.Name, err)
	revision, _, _ := unstructured.NestedString(k.Object, "status", "lastAttemptedRevision")
	return revision
}

// round asks plan for the second tree, lets the controller reconcile it, and
// compares.
func (t *trial) round(r round) {
	t.t.Helper()
	tree := t.tree("after")
	t.suspend(tree)
	p := t.plan(tree)
	if p == nil {
		t.withoutPlan(r)
		return
	}
	t.foresee(p)
	planned := map[string]bool{}
	var children []*child
	for _, step := range p.Steps {
		planned[step.Kustomization.Name] = true
		if step.Parent != nil {
			children = append(children, t.child(step))
		}
	}
	left := t.left(planned)
	for name := range r {
		if !planned[name] {
			t.t.Errorf("plan has no step for Kustomization %s", name)
		}
	}
	for _, step := range p.Steps {
		if step.Parent == nil {
			t.compare(step, r[step.Kustomization.Name])
		}
	}
	for _, c := range children {
		if want := r[c.step.Kustomization.Name]; want != nil {
			t.compareChild(c, want)
		} else {
			t.t.Errorf("plan has a step for Kustomization %s, of which nothing is expected", c.step.Kustomization)
		}
	}
	for ref, before := range left {
		if after := t.snapshot([]object.Ref{ref})[ref]; after == nil || after.GetUID() != before.GetUID() {
			t.disagree("%s: plan says nothing, the controller deleted it with its Kustomization", ref)
		}
	}
}

// child is a step that others render, before they are reconciled.
type child struct {
	step   plan.Step
	refs   []object.Ref
	before map[object.Ref]*unstructured.Unstructured
	seen   int
}

func (t *trial) child(step plan.Step) *child {
	c := &child{step: step, refs: t.refs(step), seen: oracle.mark(step.Kustomization)}
	c.before = t.snapshot(c.refs)
	return c
}

// left is what Kustomizations have applied that are rendered no more and of
// which plan has no step: all of it is to stay.
func (t *trial) left(planned map[string]bool) map[object.Ref]*unstructured.Unstructured {
	var refs []object.Ref
	for _, name := range t.rendered() {
		if !planned[name] {
			refs = append(refs, t.listed(object.Key{Namespace: t.name, Name: name})...)
		}
	}
	return t.snapshot(refs)
}

// compareChild waits for the reconciliation of a Kustomization that was
// rendered, or for its end, and compares what happens with its step.
func (t *trial) compareChild(c *child, want *expectation) {
	t.t.Helper()
	key := c.step.Kustomization
	if c.step.Removed {
		t.must("wait for the end of Kustomization "+key.Name, t.awaitEnd(key.Name))
		did := deed{actions: map[string]string{}, pruned: map[string]string{}}
		after := t.snapshot(c.refs)
		for _, ref := range c.refs {
			if now := after[ref]; now == nil || now.GetDeletionTimestamp() != nil {
				did.pruned[ref.String()] = "deleted"
			}
		}
		t.weighAll(c.step, c.refs, c.before, after, did, want)
		return
	}
	t.must("resume Kustomization "+key.Name, t.resume(key.Name))
	t.conclude(c.step, c.refs, c.before, c.seen, t.await(key, c.seen), want)
}

// awaitEnd waits until there is no Kustomization of the name.
func (t *trial) awaitEnd(name string) error {
	return wait.PollUntilContextCancel(t.ctx, pollPeriod, true, func(ctx context.Context) (bool, error) {
		_, err := client.Resource(kustomizations).Namespace(t.name).Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

// resume lets the controller reconcile a Kustomization again.
func (t *trial) resume(name string) error {
	return t.change(name, func(k *unstructured.Unstructured) { unstructured.RemoveNestedField(k.Object, "spec", "suspend") })
}

// withoutPlan checks that the controller does nothing with any Kustomization.
func (t *trial) withoutPlan(r round) {
	t.t.Helper()
	t.leaveOut(leftRefused)
	for _, name := range t.kustomizations {
		refs := t.listed(object.Key{Namespace: t.name, Name: name})
		before := t.snapshot(refs)
		if ready := t.reconcile(name, "after"); ready["reason"] != r[name].ready || ready["status"] == "True" {
			t.disagree("there is no plan, and Kustomization %s is %s: %s", name, ready["reason"], ready["message"])
		}
		after := t.snapshot(refs)
		for _, ref := range refs {
			if got, err := (observation{ref: ref.String(), before: before[ref], after: after[ref]}).outcome(); err != nil || got != kept {
				t.disagree("there is no plan, and the controller changed %s: %s %v", ref, got, err)
			}
		}
	}
}

// plan runs "kubectl fluxjob plan" on the second tree; nil if there is none, as
// the case expects.
func (t *trial) plan(tree string) *plan.Plan {
	t.t.Helper()
	out, errs, err := t.plugin("after", tree, "plan", "-o", "json")
	var exited *exec.ExitError
	if t.noPlan != nil {
		if !errors.As(err, &exited) || exited.ExitCode() != 2 || len(out) > 0 || !t.noPlan.Match(errs) {
			t.t.Errorf("want no plan, but %q; got %v\n%s%s", t.noPlan, err, errs, out)
		}
		return nil
	}
	if err != nil && (!errors.As(err, &exited) || len(out) == 0) {
		t.t.Fatalf("plan: %v\n%s", err, errs)
	}
	p := &plan.Plan{}
	t.must("read the plan", json.Unmarshal(out, p))
	return p
}

// plugin runs a command of "kubectl fluxjob" on all Kustomizations as they are
// in a phase.
func (t *trial) plugin(phase, tree string, args ...string) (stdout, stderr []byte, err error) {
	t.t.Helper()
	var manifests []byte
	for _, name := range t.kustomizations {
		spec, err := t.spec(name, phase)
		t.must("read the case", err)
		k := newObject("kustomize.toolkit.fluxcd.io/v1", "Kustomization", t.name, name)
		k.Object["spec"] = spec
		text, err := yaml.Marshal(k.Object)
		t.must("encode the Kustomization", err)
		manifests = append(append(manifests, "---\n"...), text...)
	}
	file := filepath.Join(t.dir, "kustomizations.yaml")
	t.must("write the Kustomizations", os.WriteFile(file, manifests, 0o644))
	command := exec.CommandContext(t.ctx, binary, append(args, "-f", file, "--local-source", tree)...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.dir, "KUBECONFIG=" + kubeconfig}
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	err = command.Run()
	return out.Bytes(), errs.Bytes(), err
}

// compare reconciles one Kustomization and compares what happens with its step.
func (t *trial) compare(step plan.Step, want *expectation) {
	t.t.Helper()
	key := step.Kustomization
	refs := t.refs(step)
	before := t.snapshot(refs)
	seen := oracle.mark(key)
	ready := t.reconcile(key.Name, "after")
	t.conclude(step, refs, before, seen, ready, want)
}

// conclude compares a step with what the log and the cluster tell of its
// reconciliation.
func (t *trial) conclude(step plan.Step, refs []object.Ref, before map[object.Ref]*unstructured.Unstructured, seen int, ready map[string]any, want *expectation) {
	t.t.Helper()
	key := step.Kustomization
	after := t.snapshot(refs)
	t.ended(key.Name, ready)
	lines, err := oracle.await(t.ctx, key, func([]logLine) bool { return true })
	t.must("read the log", err)
	did := deeds(lines[seen:])
	if got := ready["reason"]; got != want.ready {
		t.t.Errorf("Kustomization %s: want %s, got %s: %s", key.Name, want.ready, got, ready["message"])
	}
	if message, _ := ready["message"].(string); want.message != nil && !want.message.MatchString(message) {
		t.t.Errorf("Kustomization %s: want a message like %s, got: %s", key.Name, want.message, message)
	}
	t.problem(step, ready, want)
	t.weighAll(step, refs, before, after, did, want)
	if did.failed == "" && step.Problem == nil {
		t.inventory(step)
	}
}

// weighAll checks every change of a step against what was seen.
func (t *trial) weighAll(step plan.Step, refs []object.Ref, before, after map[object.Ref]*unstructured.Unstructured, did deed, want *expectation) {
	t.t.Helper()
	key := step.Kustomization
	t.compared(refs)
	got := map[string]string{}
	from, blocked := heldFrom(step.Changes)
	met := blocked == 0
	if step.Problem != nil && from == 0 {
		from = 1 // Nothing of it is applied.
	}
	changes := map[string]plan.Change{}
	for _, c := range step.Changes {
		changes[c.Object.String()] = c
	}
	for _, ref := range refs {
		o := observation{ref: ref.String(), before: before[ref], after: after[ref], action: did.actions[ref.String()], pruned: did.pruned[ref.String()], failed: did.failed}
		c, planned := changes[ref.String()]
		result, err := o.outcome()
		if err != nil {
			t.disagree("%v", err)
			continue
		}
		if !planned {
			t.unplanned(step, o, result)
			continue
		}
		met = met || result == refused
		got[ref.String()] = t.weigh(c, o, result, from, blocked)
	}
	if !met && t.differs == "" {
		t.disagree("plan says that something is blocked, and the controller did not fail on any of it")
	}
	if d := gocmp.Diff(want.chosen(got), got); d != "" {
		t.t.Errorf("Kustomization %s (-want +got):\n%s", key.Name, d)
	}
	for at, value := range want.holds {
		t.holds(at[0], at[1], value)
	}
}

// holds checks what stands at a JSON pointer into a live object.
func (t *trial) holds(ref, pointer, want string) {
	t.t.Helper()
	u, err := t.get(t.ctx, ref)
	t.must("read "+ref, err)
	at, err := jsonpointer.New(pointer)
	t.must("read the pointer", err)
	got, _, err := at.Get(u.Object)
	if err != nil || fmt.Sprint(got) != want {
		t.t.Errorf("%s holds %v at %s, want %s (%v)", ref, got, pointer, want, err)
	}
}

// weigh checks one change of the plan against what was seen, and returns both.
func (t *trial) weigh(c plan.Change, o observation, got outcome, from, blocked int) string {
	t.t.Helper()
	agree := agrees(c, got, from, blocked)
	deliberate := !agree && slices.Contains(differences[t.differs].may, difference{c.Action, got})
	t.differed = t.differed || deliberate
	t.total.add(func(total *tally) {
		total.objects++
		if agree {
			total.agreed++
		}
	})
	if !agree && !deliberate {
		t.disagree("%s: plan says %s (%s), the controller: %s\n%s", o.ref, said(c), c.Reason.Detail, got, o.failed)
	}
	if ran, known := o.ran(got); known && agree && c.Job != nil && c.Job.WillRun != ran {
		t.disagree("%s: plan says willRun %t, but it was %t", o.ref, c.Job.WillRun, ran)
	}
	return said(c) + " " + string(got)
}

// unplanned checks that nothing happened to an object that plan does not speak
// of: plan passes over an entry of the inventory that is gone already.
func (t *trial) unplanned(step plan.Step, o observation, got outcome) {
	t.t.Helper()
	absent := o.before == nil && o.after == nil
	if step.Problem == nil && !absent && got != kept || step.Problem != nil && got != held {
		t.disagree("%s: plan says nothing, the controller: %s", o.ref, got)
	}
}

// problem checks that plan has no changes if, and only if, the controller got
// no further either.
func (t *trial) problem(step plan.Step, ready map[string]any, want *expectation) {
	t.t.Helper()
	got := ""
	if step.Problem != nil {
		got = step.Problem.Reason
	}
	if got != want.problem {
		t.t.Errorf("plan: want the problem %q, got %q", want.problem, got)
	}
	early := slices.Contains([]any{plan.BuildFailed, plan.ArtifactFailed, plan.DependencyNotReady, plan.InvalidCELExpression}, ready["reason"])
	if (early || got != "") && got != ready["reason"] {
		t.disagree("plan has the problem %+v, the controller's reason is %s: %s", step.Problem, ready["reason"], ready["message"])
	}
}

// inventory checks that what plan applies is what the controller then keeps.
func (t *trial) inventory(step plan.Step) {
	t.t.Helper()
	var want []string
	for _, c := range step.Changes {
		if c.Stage > 0 {
			want = append(want, c.Object.ID())
		}
	}
	slices.Sort(want)
	var got []string
	for _, ref := range t.listed(step.Kustomization) {
		got = append(got, ref.ID())
	}
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.disagree("plan applies %q, the controller's inventory is %q", want, got)
	}
}

// refs are the objects of a step: what plan speaks of, and what is in the
// inventory.
func (t *trial) refs(step plan.Step) []object.Ref {
	t.t.Helper()
	var refs []object.Ref
	known := map[string]bool{}
	for _, c := range step.Changes {
		refs, known[c.Object.ID()] = append(refs, c.Object), true
	}
	for _, ref := range t.listed(step.Kustomization) {
		if !known[ref.ID()] {
			refs = append(refs, ref)
		}
	}
	return refs
}

// listed are the objects of the live inventory.
func (t *trial) listed(key object.Key) []object.Ref {
	t.t.Helper()
	k, err := client.Resource(kustomizations).Namespace(key.Namespace).Get(t.ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	t.must("read Kustomization "+key.Name, err)
	var refs []object.Ref
	entries, _, _ := unstructured.NestedSlice(k.Object, "status", "inventory", "entries")
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		id, _ := entry["id"].(string)
		version, _ := entry["v"].(string)
		ref, err := object.ParseID(id, version)
		t.must("read the inventory", err)
		refs = append(refs, ref)
	}
	return refs
}

// snapshot reads the objects; those that do not exist are left out.
func (t *trial) snapshot(refs []object.Ref) map[object.Ref]*unstructured.Unstructured {
	t.t.Helper()
	found := map[object.Ref]*unstructured.Unstructured{}
	for _, ref := range refs {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(ref.GVK())
		u.SetNamespace(ref.Namespace)
		r, err := resourceOf(u)
		if meta.IsNoMatchError(err) {
			continue
		}
		t.must("find "+ref.String(), err)
		live, err := r.Get(t.ctx, ref.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		t.must("read "+ref.String(), err)
		found[ref] = live
	}
	return found
}

// deed is what the controller says that it did, by object.
type deed struct {
	actions, pruned map[string]string
	failed          string
}

// deeds reads the log of one reconciliation.
func deeds(lines []logLine) deed {
	d := deed{actions: map[string]string{}, pruned: map[string]string{}}
	if line := find(lines, lineApplied); line != nil {
		d.actions = line.Output
	}
	if line := find(lines, linePruned); line != nil {
		d.pruned = listedActions(strings.TrimPrefix(line.Message, linePruned))
	}
	if line := find(lines, lineStalled); line != nil {
		d.failed = line.Error
	}
	if line := find(lines, lineUnready); line != nil && find(lines, lineFinished) == nil {
		d.failed = line.Message
	}
	if line := find(lines, lineFailed); line != nil {
		d.failed = line.Error
		// What earlier stages have changed is told after the error.
		if len(d.actions) == 0 {
			_, changed, _ := strings.Cut(line.Error, "\n")
			d.actions = listedActions(changed)
		}
	}
	return d
}

// listedActions reads lines "Kind/namespace/name action".
func listedActions(text string) map[string]string {
	actions := map[string]string{}
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) == 2 {
			actions[words[0]] = words[1]
		}
	}
	return actions
}

// disagree notes that plan and controller do not do the same.
func (t *trial) disagree(format string, args ...any) {
	t.disagreed = append(t.disagreed, fmt.Sprintf(format, args...))
}

// judge ends the case: plan and controller agree, unless the case says that
// they do not; then they have to disagree.
func (t *trial) judge() {
	t.t.Helper()
	t.total.add(func(total *tally) {
		total.cases++
		if t.differed {
			total.differing[t.differs]++
		}
		if t.known != "" {
			total.known[t.name]++
		}
	})
	switch {
	case t.known != "" && len(t.disagreed) == 0:
		t.t.Errorf("plan and controller agree now: take out the line %q", "known "+t.known)
	case t.known == "":
		for _, d := range t.disagreed {
			t.t.Error(d)
		}
	}
	if t.differs != "" && !t.differed {
		t.t.Errorf("plan and controller do not differ as the case says: %s", t.differs)
	}
}

func newObject(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
	u.SetName(name)
	if namespace != "" {
		u.SetNamespace(namespace)
	}
	return u
}
