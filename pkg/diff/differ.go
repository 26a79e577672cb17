package diff

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// Cluster is what a Differ asks of the API server. None of it writes.
type Cluster interface {
	Get(ctx context.Context, ref object.Ref) (*unstructured.Unstructured, error)
	DryRun(ctx context.Context, u *unstructured.Unstructured) (*unstructured.Unstructured, error)
	DryRunMerge(ctx context.Context, ref object.Ref, patch []byte) (*unstructured.Unstructured, error)
}

// Differ compares rendered objects with the live cluster.
type Differ struct {
	Cluster Cluster
}

// Item is a change with the two states that it leads between, for showing.
type Item struct {
	Change plan.Change
	// Before and After are without what the server keeps for itself; nil where
	// the object does not exist or is not known.
	Before, After *unstructured.Unstructured
}

// Hide masks secret values in what the item shows.
func (i *Item) Hide(mask Mask) { mask.shown(i.Before, i.After) }

// Object compares one rendered object with the cluster. What goes wrong
// becomes part of the answer.
func (d *Differ) Object(ctx context.Context, desired *unstructured.Unstructured, stage int, p Policy) Item {
	ref := object.RefOf(desired)
	item := Item{Change: plan.Change{Object: ref, Desired: object.Digest(desired), Stage: stage, Fields: []plan.Field{}}}
	c := &item.Change
	if p.Encrypted != "" {
		c.Desired = "" // What it is to be is not known.
	}
	o := Observed{Desired: desired}
	if o.Live, o.LiveErr = d.Cluster.Get(ctx, ref); apierrors.IsNotFound(o.LiveErr) {
		o.Live, o.LiveErr = nil, nil
	}
	if o.LiveErr != nil {
		o.Live = nil
	}
	if o.Live != nil {
		c.Live = liveOf(o.Live)
		item.Before = comparable(o.Live)
	}
	if reason, skipped := Skipped(desired, o.Live); skipped && o.LiveErr == nil {
		c.Action, c.Reason = plan.Skip, reason
		if shown := firstOf(o.Live, desired); shown == o.Live || p.Encrypted == "" {
			item.After = comparable(shown)
		}
	} else if p.Encrypted != "" {
		c.Action, c.Reason = plan.Unknown, plan.Reason{Code: plan.Encrypted, Detail: p.Encrypted}
	} else {
		d.observe(ctx, &o, p)
		o.Redefined = d.redefined(ctx, o, p)
		c.Action, c.Reason = Classify(o, p)
		if o.DryRun != nil && (c.Action == plan.Update || c.Action == plan.Unchanged) {
			d.ignore(ctx, &o, c, p)
		}
		c.Fields, item.After = fieldsOf(o, c.Action, p)
		d.confirm(ctx, o, c.Fields)
		if o.Replacement != nil && item.After != nil {
			// Only in this form can the two be compared line by line.
			item.Before = replaceable(o.Live)
			item.Before.SetName(o.Live.GetName())
		}
	}
	if ref.IsJob() {
		c.Job = JobOf(c.Action, desired, o.Live, firstOf(o.Left, o.DryRun))
	}
	p.Mask.shown(item.Before, item.After)
	return item
}

// observe asks the server what it would make of the object and, where it
// would refuse to change it, of a replacement.
func (d *Differ) observe(ctx context.Context, o *Observed, p Policy) {
	if o.LiveErr != nil {
		return
	}
	if o.Live != nil {
		if taken, err := cluster.TakenOver(o.Live); err == nil && TakesOver(o.Desired, o.Live) {
			o.TakenOver = taken
		}
	}
	if o.DryRun, o.DryRunErr = d.Cluster.DryRun(ctx, o.Desired); o.DryRunErr == nil {
		o.DryRunErr = d.takeOver(ctx, o)
	}
	if o.Live == nil || (p.Requested == "" && !immutable(o.refusal())) {
		return
	}
	if replacement := Replacement(o.Desired); replacement != nil {
		o.Replacement, o.ReplacementErr = d.Cluster.DryRun(ctx, replacement)
	} else if err := o.refusal(); err != nil && !refusesChange(err) {
		o.ReplacementErr = err
	}
}

// redefined says whether the object's definition is part of the plan, and
// applying it would change it.
func (d *Differ) redefined(ctx context.Context, o Observed, p Policy) bool {
	definition := p.Brings.Kinds[object.RefOf(o.Desired).GVK().GroupKind().String()]
	if definition == nil || !refusesState(o) {
		return false
	}
	live, err := d.Cluster.Get(ctx, object.RefOf(definition))
	if err != nil {
		return false
	}
	dryRun, err := d.Cluster.DryRun(ctx, definition)
	return err == nil && drifted(live, dryRun)
}

// ignore makes what is ignored no part of what comes of an object that is
// updated or unchanged.
func (d *Differ) ignore(ctx context.Context, o *Observed, c *plan.Change, p Policy) {
	ignored := p.Ignore.paths(o.DryRun)
	if len(ignored) == 0 {
		return
	}
	if c.Action == plan.Unchanged {
		o.DryRun = o.Live
		return
	}
	c.Ignored = ignored
	payload, err := Payload(o.Desired, firstOf(o.TakenOver, o.Live), o.DryRun, ignored)
	if err != nil || payload == o.Desired {
		return // Classify has told the error.
	}
	// Only the server knows: a field that is gone from the live object is
	// written as null, which some types read as an empty value.
	if o.DryRun, err = d.Cluster.DryRun(ctx, payload); err == nil {
		err = d.takeOver(ctx, o)
	}
	if err = cmp.Or(err, o.LeftErr); err != nil {
		c.Action, c.Reason = failed(err, *o, p)
	}
}

// confirm asks the server about each field of a suspended Job that seems to
// force a recreation. The server names the whole template for a cause, but lets
// some of it change while the Job is suspended; which, depends on its version.
func (d *Differ) confirm(ctx context.Context, o Observed, fields []plan.Field) {
	if o.Live == nil || o.Replacement == nil || !suspended(o.Live) {
		return
	}
	live := replaceable(o.Live)
	for i := range fields {
		if !fields[i].ForcesRecreate {
			continue
		}
		alone := o.Desired.DeepCopy()
		for j := range fields {
			if j != i {
				Transplant(alone, live, fields[j].Path)
			}
		}
		if _, err := d.Cluster.DryRun(ctx, alone); err == nil {
			fields[i].ForcesRecreate = false
		}
	}
}

// suspended says whether the Job is to be suspended, whatever became of it.
func suspended(job *unstructured.Unstructured) bool {
	suspend, _, _ := unstructured.NestedBool(job.Object, "spec", "suspend")
	return suspend && object.RefOf(job).IsJob()
}

// Replacement returns a copy of desired that can be created beside the live
// object: under a name of its own, and without the ports and addresses that the
// live one holds. Creating it in a dry-run proves that the object can be
// recreated. It returns nil for a kind of which that cannot be asked.
func Replacement(desired *unstructured.Unstructured) *unstructured.Unstructured {
	ref := object.RefOf(desired)
	if ref.IsCRD() || ref.IsNamespace() || ref.Kind == "APIService" && ref.Group == "apiregistration.k8s.io" {
		return nil
	}
	c := desired.DeepCopy()
	// A Job's name becomes a label value of its pods: 63 characters.
	name := desired.GetName()
	c.SetName(name[:min(len(name), 50)] + "-fluxjob-" + rand.String(4))
	if ref.Group == "" && ref.Kind == "Service" {
		withoutAllocations(c)
	}
	return c
}

// fieldsOf names what differs and, for a recreation, which of it forces it.
func fieldsOf(o Observed, action plan.Action, p Policy) ([]plan.Field, *unstructured.Unstructured) {
	none := []plan.Field{}
	switch action {
	case plan.Create:
		if o.DryRun != nil {
			return none, comparable(o.DryRun)
		}
		return none, comparable(o.Desired)
	case plan.Update, plan.Unchanged:
		if o.DryRun == nil {
			return none, comparable(o.Desired)
		}
		after := comparable(firstOf(o.Left, o.DryRun))
		if action == plan.Unchanged {
			return none, after
		}
		return append(none, Fields(comparable(o.Live), after, p.Mask)...), after
	case plan.Recreate, plan.Blocked:
		if o.Live == nil || o.Replacement == nil {
			return none, nil
		}
		after := replaceable(o.Replacement)
		fields := append(none, Fields(replaceable(o.Live), after, p.Mask)...)
		for _, c := range causes(o.refusal()) {
			for i := range fields {
				fields[i].ForcesRecreate = fields[i].ForcesRecreate || c.ofChange() && under(fields[i].Path, shownAs(o.Live, c.field))
			}
		}
		after.SetName(o.Live.GetName())
		return fields, after
	case plan.Delete, plan.Skip, plan.Unknown:
	}
	return none, nil
}

// shownAs returns the path under which the field that the server names is shown:
// clusterIPs of a Service repeats clusterIP.
func shownAs(live *unstructured.Unstructured, field string) string {
	if rest, found := strings.CutPrefix(field, "spec.clusterIPs"); found && live.GetKind() == "Service" {
		return "spec.clusterIP" + rest
	}
	return field
}

// Stale compares an entry of an inventory that is no longer rendered with the
// cluster. It answers false if there is nothing left to delete.
func (d *Differ) Stale(ctx context.Context, ref object.Ref, owner object.Key, takenOver *object.Key) (Item, bool) {
	item := Item{Change: plan.Change{Object: ref, Action: plan.Delete, Reason: plan.Reason{Code: plan.Pruned}, Fields: []plan.Field{}}}
	c := &item.Change
	live, err := d.Cluster.Get(ctx, ref)
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return item, false
	case unauthorized(err):
		c.Action, c.Reason = plan.Unknown, plan.Reason{Code: plan.Forbidden, Detail: err.Error()}
	case err != nil:
		c.Action, c.Reason = plan.Unknown, plan.Reason{Code: plan.DryRunFailed, Detail: err.Error()}
	default:
		c.Live, item.Before = liveOf(live), comparable(live)
		if reason, kept := Kept(live, owner); kept {
			c.Action, c.Reason, item.After = plan.Skip, reason, comparable(live)
		} else if takenOver != nil {
			c.Action, item.After = plan.Skip, comparable(live)
			c.Reason = plan.Reason{Code: plan.Ownership, Detail: fmt.Sprintf("Kustomization %s takes it over", takenOver)}
		}
	}
	if ref.IsJob() {
		c.Job = JobOf(c.Action, nil, live, nil)
	}
	Mask{}.shown(item.Before, item.After)
	return item, true
}

func liveOf(u *unstructured.Unstructured) *plan.Live {
	return &plan.Live{UID: string(u.GetUID()), ResourceVersion: u.GetResourceVersion(), Created: u.GetCreationTimestamp().UTC()}
}

// refusesChange says whether the server refuses a change rather than a state.
func refusesChange(err error) bool {
	for _, c := range causes(err) {
		if !immutable(errors.New(c.message)) {
			return false
		}
	}
	return true
}
