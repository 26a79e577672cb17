package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os/exec"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// apply runs "kubectl fluxjob apply" on the tree of a phase and returns what it
// says that it wrote. It fails when what it has written is not healthy.
func (t *trial) apply(phase, tree string, healthy bool) []report.Event {
	t.t.Helper()
	out, errs, err := t.plugin(phase, tree, "apply", "-y", "--wait=flux", "-o", "json")
	failed, _ := errors.AsType[*exec.ExitError](err)
	switch {
	case healthy && err == nil, !healthy && failed != nil && slices.Contains([]int{1, 6}, failed.ExitCode()):
	default:
		t.t.Fatalf("%s: apply the tree %s: %v\n%s%s", t.name, phase, err, errs, out)
	}
	var written []report.Event
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var e report.Event
		t.must("read what apply did", decoder.Decode(&e))
		if e.Type == report.ObjectApplied || e.Type == report.ObjectDeleted {
			written = append(written, e)
		}
	}
	return written
}

// toController has the controller reconcile what apply left: there is nothing
// to do for it, and it comes to the same inventory.
func (t *trial) toController(form twinForm, tree string) {
	t.t.Helper()
	before := t.live()
	if form == alone {
		t.publish(revisionAfter, tree)
	}
	for _, name := range t.order {
		t.takesUp(name, before, func() { t.put(name, "after") })
	}
	t.unmoved("the controller takes over from apply", before)
	if form == alone {
		if d := gocmp.Diff(t.pluginInventories(), t.fluxInventories()); d != "" {
			t.t.Errorf("%s: the inventories (-apply +controller):\n%s", t.name, d)
		}
	}
	t.total.add(func(total *tally) { total.twin.toController++ })
}

// takesUp has the controller reconcile a Kustomization of which apply has done
// everything already.
func (t *trial) takesUp(name string, before map[string]*unstructured.Unstructured, resume func()) {
	t.t.Helper()
	key := object.Key{Namespace: t.name, Name: name}
	seen := oracle.mark(key)
	resume()
	if ready := t.await(key, seen); ready["reason"] != t.ends[name] {
		t.t.Errorf("%s: the controller takes over from apply: %s: %s", key, ready["reason"], ready["message"])
	}
	lines, err := oracle.await(t.ctx, key, func([]logLine) bool { return true })
	t.must("read the log", err)
	t.idle(deeds(lines[seen:]), before)
}

// follow has the controller reconcile the Kustomizations that others render, as
// in the case: apply has done everything for them. It deletes those that left.
func (t *trial) follow() {
	t.t.Helper()
	before := t.live()
	for _, name := range t.resumed {
		t.takesUp(name, before, func() { t.must("resume Kustomization "+name, t.resume(name)) })
	}
	for _, name := range t.removed {
		t.must("wait for the end of Kustomization "+name, t.awaitEnd(name))
	}
}

// idle checks that the controller says that it wrote nothing. It says of what
// is gone already that it deletes it.
func (t *trial) idle(did deed, before map[string]*unstructured.Unstructured) {
	t.t.Helper()
	live := map[string]*unstructured.Unstructured{}
	for _, u := range before {
		if !gone(u) {
			live[object.RefOf(u).String()] = u
		}
	}
	for ref, action := range did.actions {
		again := action == "created" && (live[ref] == nil || expires(live[ref]))
		if action != "unchanged" && action != "skipped" && !again {
			t.t.Errorf("%s: the controller takes over from apply: %s %s", t.name, ref, action)
		}
	}
	for ref, action := range did.pruned {
		if action == "deleted" && live[ref] != nil {
			t.t.Errorf("%s: the controller takes over from apply, and prunes %s", t.name, ref)
		}
	}
}

// toPlugin has apply take up what the controller left: it writes nothing.
func (t *trial) toPlugin() {
	t.t.Helper()
	var end context.CancelFunc
	t.ctx, end = context.WithTimeout(t.t.Context(), patience)
	defer end()
	tree := t.tree("after")
	t.suspend(tree)
	before := t.live()
	for _, e := range t.apply("after", tree, t.healthy()) {
		if u := before[e.Object.ID()]; u != nil && !expires(u) || e.Action != plan.Create {
			t.t.Errorf("apply takes over from the controller: %s %s", e.Action, e.Object)
		}
	}
	t.unmoved("apply takes over from the controller", before)
	t.total.add(func(total *tally) { total.twin.toPlugin++ })
}

// unmoved checks that no object was written since.
func (t *trial) unmoved(what string, before map[string]*unstructured.Unstructured) {
	t.t.Helper()
	after := t.live()
	ids := maps.Clone(before)
	maps.Copy(ids, after)
	for id := range ids {
		if written(before[id], after[id]) {
			t.t.Errorf("%s: %s, and %s is not what it was (-before +after):\n%s", t.name, what, id, gocmp.Diff(before[id], after[id]))
		}
	}
}

// written says whether an object was written from one time to another, but for
// its status and what else other controllers write. A Job that its TTL removed
// may run again.
func written(before, after *unstructured.Unstructured) bool {
	switch {
	case gone(before) && gone(after):
		return false
	case gone(before):
		return !expires(after)
	case gone(after) || before.GetUID() != after.GetUID():
		return !expires(before)
	case !equality.Semantic.DeepEqual(stable(before), stable(after)):
		return true
	}
	// A write that was undone, or that changed nothing, still counts.
	same := after.DeepCopy()
	same.SetResourceVersion(before.GetResourceVersion())
	return before.GetResourceVersion() != after.GetResourceVersion() && equality.Semantic.DeepEqual(before, same)
}

func gone(u *unstructured.Unstructured) bool { return u == nil || u.GetDeletionTimestamp() != nil }
