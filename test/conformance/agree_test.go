package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// outcome is what the controller did with one object.
type outcome string

const (
	created    outcome = "created"    // the object is new
	recreated  outcome = "recreated"  // the old object is gone, there is a new one
	configured outcome = "configured" // the same object, changed
	unchanged  outcome = "unchanged"  // the same object, not touched
	skipped    outcome = "skipped"    // passed over, and not touched
	deleted    outcome = "deleted"    // pruned
	kept       outcome = "kept"       // not pruned, though it is not rendered any more
	refused    outcome = "error"      // the reconciliation failed on it, and it is not touched
	held       outcome = "held"       // not touched, as the reconciliation failed on another object
	lost       outcome = "lost"       // deleted and not made anew, as the reconciliation failed
)

// agreed is what plan's actions mean: the one thing that the controller has to
// be seen doing. A plan that knows nothing agrees with nothing.
var agreed = map[plan.Action][]outcome{
	plan.Create:    {created},
	plan.Update:    {configured},
	plan.Recreate:  {recreated},
	plan.Delete:    {deleted},
	plan.Unchanged: {unchanged},
	plan.Skip:      {skipped, kept},
	plan.Blocked:   {refused},
	plan.Unknown:   nil,
}

// heldBack is what they mean for an object that is not applied because plan
// says that another one is blocked. An object that was to be recreated may be
// deleted by then. A blocked one may not be reached, when it is not the only one.
var heldBack = map[plan.Action][]outcome{
	plan.Create:    {held},
	plan.Update:    {held},
	plan.Recreate:  {held, lost},
	plan.Delete:    {held},
	plan.Unchanged: {held},
	plan.Skip:      {held},
	plan.Blocked:   {refused, held},
	plan.Unknown:   nil,
}

// difference is one thing that the controller may do otherwise than plan says.
type difference struct {
	action plan.Action
	got    outcome
}

// deliberate is what plan does otherwise than the controller, on purpose.
type deliberate struct {
	// row names it in the table of the README; "" if nothing different comes of it.
	row string
	// cases is how many show it. These are not held against the controller.
	cases int
	// may is what it may come to.
	may []difference
}

var differences = map[string]deliberate{
	// The controller deletes the object before it knows that its replacement is
	// invalid. We prove the replacement first.
	"invalid-replacement": {"invalid replacement", 9, []difference{{plan.Blocked, lost}}},
	// The controller deletes an object of kubectl that it has to recreate, and
	// fails to take over the fields of what it has deleted. It creates the object
	// in the next reconciliation, we do at once.
	"adopted-object": {"adopted object", 2, []difference{{plan.Recreate, lost}}},
	// The controller refuses an object that names no namespace. We put it into
	// "default", and warn.
	"namespace-missing": {"no namespace", 1, []difference{{plan.Create, held}}},
	// The controller's error about paths of spec.ignore does not name the object.
	"error-without-object": {"", 4, []difference{{plan.Blocked, held}}},
	// A Kustomization that is reconciled before the one that took an object
	// over deletes it. We leave it alone.
	"moved-object": {"moved object", 2, []difference{{plan.Skip, deleted}, {plan.Update, created}}},
}

func TestTheREADMENamesEveryDifference(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range differences {
		if d.row != "" && !strings.Contains(string(readme), "\n| *"+d.row+"*: ") {
			t.Errorf("the README's table has no row %q for the deliberate difference %s", d.row, name)
		}
	}
}

// observation is an object before and after a reconciliation, with what the
// controller said about it.
type observation struct {
	ref           string
	before, after *unstructured.Unstructured
	// action is that of the apply, pruned that of the garbage collection.
	action, pruned string
	failed         string
}

// outcome says what happened. It answers an error if what the controller says
// is not what is seen.
func (o observation) outcome() (outcome, error) {
	same := o.before == nil && o.after == nil ||
		o.before != nil && o.after != nil && o.before.GetUID() == o.after.GetUID()
	untouched := same && equality.Semantic.DeepEqual(stable(o.before), stable(o.after))
	gone := o.after == nil || o.after.GetDeletionTimestamp() != nil
	switch {
	case o.action == "skipped" && untouched:
		return skipped, nil
	case o.action == "unchanged" && untouched:
		return unchanged, nil
	case o.action == "configured" && o.before != nil && same && !untouched:
		return configured, nil
	case o.action == "created" && o.before == nil:
		return created, nil
	case o.action == "created" && !same:
		return recreated, nil
	case o.action == "" && o.pruned == "deleted" && gone:
		return deleted, nil
	case o.action == "" && o.pruned == "skipped" && untouched:
		return kept, nil
	case o.action == "" && o.failed == "" && o.before != nil && untouched:
		return kept, nil
	case o.action == "" && o.failed != "" && o.before != nil && gone:
		return lost, nil
	case o.action == "" && strings.HasPrefix(o.failed, o.ref+" ") && untouched:
		return refused, nil
	case o.action == "" && strings.HasPrefix(o.failed, o.ref+" apply failed: ") && same:
		// Its fields were taken over before.
		return refused, nil
	case o.action == "" && o.failed != "" && untouched:
		return held, nil
	}
	return "", fmt.Errorf("%s: the controller says %q, and of pruning %q, but that is not what is seen (same object: %t, untouched: %t, there now: %t; the reconciliation's error: %s)",
		o.ref, o.action, o.pruned, same, untouched, o.after != nil, o.failed)
}

// stable returns a copy of u without what changes by itself: status and what
// other controllers write.
func stable(u *unstructured.Unstructured) *unstructured.Unstructured {
	if u == nil {
		return nil
	}
	c := u.DeepCopy()
	unstructured.RemoveNestedField(c.Object, "status")
	c.SetResourceVersion("")
	c.SetManagedFields(slices.DeleteFunc(c.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
		return e.Subresource == "status" || e.Manager == "kube-controller-manager"
	}))
	unstructured.RemoveNestedField(c.Object, "metadata", "annotations", "deployment.kubernetes.io/revision")
	return c
}

// heldFrom returns the stage from which on plan holds the step's objects back,
// and how many it says are blocked; 0 if none is.
func heldFrom(changes []plan.Change) (stage, blocked int) {
	for _, c := range changes {
		if c.Action == plan.Blocked {
			blocked++
			if stage == 0 || c.Stage < stage {
				stage = c.Stage
			}
		}
	}
	return stage, blocked
}

// agrees says whether the outcome is what plan says.
func agrees(c plan.Change, got outcome, heldFrom, blocked int) bool {
	waits := heldFrom != 0 && (c.Stage >= heldFrom || c.Stage == 0)
	if waits && (c.Action != plan.Blocked || blocked > 1) {
		return slices.Contains(heldBack[c.Action], got)
	}
	// Of an earlier stage a reconciliation that fails tells only what it changed.
	if heldFrom != 0 && got == held && (c.Action == plan.Unchanged || c.Action == plan.Skip) {
		return true
	}
	return slices.Contains(agreed[c.Action], got)
}

// ran says whether pods of a Job were started by what happened to it, and
// whether that can be told.
func (o observation) ran(got outcome) (ran, known bool) {
	switch got {
	case created, recreated:
		return !suspended(o.after), o.after != nil
	case configured:
		return suspended(o.before) && !suspended(o.after), true
	case unchanged, skipped, deleted, kept:
		return false, true
	case refused, held, lost:
	}
	return false, false
}

func suspended(job *unstructured.Unstructured) bool {
	if job == nil {
		return false
	}
	is, _, _ := unstructured.NestedBool(job.Object, "spec", "suspend")
	return is
}
