// Package diff decides what applying an object would do, and why. The
// decisions are pure functions of what was observed; Differ observes.
package diff

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/fluxcd/pkg/ssa/utils"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/health"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

const group = "kustomize.toolkit.fluxcd.io"

// Policy is what a Kustomization and the user say about an object.
type Policy struct {
	// Forced says what allows a recreation of every object: spec.force of
	// which Kustomization. Empty if nothing does.
	Forced string
	// Requested says who asked for this very object to be recreated.
	Requested string
	// Inventory says that the object was applied before.
	Inventory bool
	// PlannedAsStep says that the object is a Kustomization of the plan, and
	// that the cluster knows nothing of Flux.
	PlannedAsStep bool
	// Brings says what comes with this plan before the object.
	Brings Brings
	// Encrypted says why the content of the object is not known, if it is not.
	Encrypted string
	// Ignore is what spec.ignore leaves alone.
	Ignore Ignore
	Mask   Mask
}

// Brings tells which namespaces and kinds a plan creates, and when.
type Brings struct {
	// Namespaces and Kinds come before the object, kinds by the definition that
	// brings them.
	Namespaces map[string]bool
	Kinds      map[string]*unstructured.Unstructured
	// Elsewhere names the Kustomization of the plan that brings a namespace or
	// a kind which this object's own Kustomization does not wait for.
	Elsewhere map[string]object.Key
}

// Observed is what the cluster says about an object that is to be applied.
type Observed struct {
	Desired *unstructured.Unstructured
	// Live is nil if the object does not exist. LiveErr says that it could not
	// be read.
	Live    *unstructured.Unstructured
	LiveErr error
	// DryRun is the result of the dry-run apply, or DryRunErr its error.
	DryRun    *unstructured.Unstructured
	DryRunErr error
	// Replacement is the result of the dry-run creation under another name, or
	// ReplacementErr its error. Both are nil if it was not tried.
	Replacement    *unstructured.Unstructured
	ReplacementErr error
	// TakenOver is Live with the field managers that are left when those of other
	// tools, and their annotations, are removed first; nil if there are none.
	TakenOver *unstructured.Unstructured
	// Left is what becomes of the object in place of DryRun, as fields of those
	// tools go, or LeftErr says why the server refuses that. Both are nil if no
	// field goes.
	Left    *unstructured.Unstructured
	LeftErr error
	// Redefined says that the definition of its kind changes before it, so that
	// what the server refuses now it may take then.
	Redefined bool
}

// refusal is the server's answer that keeps the object from being updated.
func (o *Observed) refusal() error { return cmp.Or(o.DryRunErr, o.LeftErr) }

// Skipped answers the reason why the controller would pass the object over, or
// false (fluxcd/pkg/ssa shouldSkipApply).
func Skipped(desired, live *unstructured.Unstructured) (plan.Reason, bool) {
	for _, marked := range []*unstructured.Unstructured{desired, live} {
		if marked == nil {
			continue
		}
		if mark := firstMark(marked, [2]string{"reconcile", "disabled"}, [2]string{"ssa", "Ignore"}); mark != "" {
			return plan.Reason{Code: plan.Annotation, Detail: mark}, true
		}
	}
	if live != nil && utils.AnyInMetadata(desired, map[string]string{group + "/ssa": "IfNotPresent"}) {
		return plan.Reason{Code: plan.Exists, Detail: group + "/ssa: IfNotPresent"}, true
	}
	return plan.Reason{}, false
}

// Kept answers the reason why the controller would not prune the live object
// of the Kustomization, or false.
func Kept(live *unstructured.Unstructured, owner object.Key) (plan.Reason, bool) {
	labels := live.GetLabels()
	if labels[group+"/name"] != owner.Name || labels[group+"/namespace"] != owner.Namespace {
		return plan.Reason{Code: plan.Ownership, Detail: "its owner labels name another Kustomization, or none"}, true
	}
	if mark := firstMark(live, [2]string{"prune", "disabled"}, [2]string{"reconcile", "disabled"}, [2]string{"ssa", "Ignore"}); mark != "" {
		return plan.Reason{Code: plan.Annotation, Detail: mark}, true
	}
	return plan.Reason{}, false
}

// firstMark returns the first of Flux's marks, each a name and a value, that u
// bears, or "".
func firstMark(u *unstructured.Unstructured, marks ...[2]string) string {
	for _, m := range marks {
		if key, value := group+"/"+m[0], m[1]; utils.AnyInMetadata(u, map[string]string{key: value}) {
			return key + ": " + value
		}
	}
	return ""
}

// AllowedBy says what permits the object to be recreated, or "".
func AllowedBy(o Observed, p Policy) string {
	if p.Forced != "" {
		return p.Forced
	}
	annotation := map[string]string{group + "/force": "enabled"}
	if marked(annotation, o.Desired, o.Live) {
		return "annotation " + group + "/force"
	}
	return ""
}

// marked says whether any of the objects bears the label or annotation.
func marked(mark map[string]string, objects ...*unstructured.Unstructured) bool {
	for _, o := range objects {
		if o != nil && utils.AnyInMetadata(o, mark) {
			return true
		}
	}
	return false
}

// Classify decides what applying the object would do. It expects that the
// object is not Skipped.
func Classify(o Observed, p Policy) (plan.Action, plan.Reason) {
	switch {
	case o.LiveErr != nil:
		return failed(o.LiveErr, o, p)
	case p.Requested != "" && o.Live != nil:
		return replace(o, p, plan.Reason{Code: plan.Requested, AllowedBy: p.Requested})
	case o.DryRunErr == nil:
		return accepted(o, p)
	case o.Redefined && refusesState(o):
		reason := plan.Reason{Code: plan.AfterCRD, Detail: "its definition changes with this plan; now the server answers: " + Explain(object.RefOf(o.Desired), o.DryRunErr, p.Mask)}
		if o.Live == nil {
			return plan.Create, reason
		}
		return plan.Update, reason
	case o.Live != nil && immutable(o.DryRunErr):
		return replace(o, p, plan.Reason{
			Code:      plan.ImmutableField,
			Detail:    Explain(object.RefOf(o.Desired), o.DryRunErr, p.Mask),
			AllowedBy: AllowedBy(o, p),
		})
	}
	return failed(o.DryRunErr, o, p)
}

// refusesState says whether the server refuses the object itself, and not only
// to change the live one.
func refusesState(o Observed) bool {
	err := o.DryRunErr
	if o.Live != nil && immutable(err) {
		err = o.ReplacementErr
	}
	return err != nil && (apierrors.IsInvalid(err) || unreadable(err))
}

// accepted classifies an object whose dry-run the server accepted.
func accepted(o Observed, p Policy) (plan.Action, plan.Reason) {
	ignored := p.Ignore.paths(o.DryRun)
	dryRun, err := without(o.DryRun, ignored)
	if err != nil {
		return ignoreFailed(err, p)
	}
	switch {
	case o.Live == nil && p.Inventory && object.RefOf(o.Desired).IsJob():
		return plan.Create, plan.Reason{Code: plan.RemovedAfterRun, Detail: "it was applied before and is gone, by its TTL or by hand"}
	case o.Live == nil:
		return plan.Create, plan.Reason{Code: plan.NotFound}
	}
	live, err := without(o.Live, ignored)
	if err != nil {
		return ignoreFailed(err, p)
	}
	drifts := drifted(live, dryRun)
	if !drifts && o.TakenOver == nil {
		return plan.Unchanged, plan.Reason{}
	}
	if _, err := Payload(o.Desired, firstOf(o.TakenOver, o.Live), o.DryRun, ignored); err != nil {
		return ignoreFailed(err, p)
	}
	if o.LeftErr != nil {
		return refusedLater(o, p)
	}
	after, err := without(firstOf(o.Left, o.DryRun), ignored)
	if err != nil {
		return ignoreFailed(err, p)
	}
	switch {
	case !onlyOwner(live, after):
		return plan.Update, plan.Reason{Code: plan.Changed}
	case drifts:
		return plan.Update, plan.Reason{Code: plan.Ownership, Detail: "the owner labels change"}
	}
	return plan.Update, plan.Reason{Code: plan.Ownership, Detail: "kustomize-controller takes over fields or annotations of other managers"}
}

// refusedLater classifies an object that the server refuses to apply only when
// the fields of other tools are taken over. The controller recreates nothing
// then: it finds out as it writes, and its reconciliation fails.
func refusedLater(o Observed, p Policy) (plan.Action, plan.Reason) {
	if !immutable(o.LeftErr) || o.ReplacementErr != nil {
		return failed(cmp.Or(o.ReplacementErr, o.LeftErr), o, p)
	}
	ref := object.RefOf(o.Desired)
	detail := "kustomize-controller takes over the fields of other tools and cannot take away what is not rendered: " + Explain(ref, o.LeftErr, p.Mask) +
		"; the annotation " + group + "/ssa: Merge leaves it there"
	if ref.IsJob() {
		detail += ", --replace recreates the Job"
	}
	if AllowedBy(o, p) != "" {
		detail += ", and Flux recreates it in the reconciliation after the one that fails"
	}
	return plan.Blocked, plan.Reason{Code: plan.ImmutableTakenOver, Detail: detail}
}

// ignoreFailed classifies an object to which the paths of spec.ignore cannot be
// applied: the controller's reconciliation fails on it.
func ignoreFailed(err error, p Policy) (plan.Action, plan.Reason) {
	return plan.Blocked, plan.Reason{Code: plan.DryRunFailed, Detail: p.Mask.Text("spec.ignore: " + err.Error())}
}

// onlyOwner says whether nothing but the owner labels differs.
func onlyOwner(live, dryRun *unstructured.Unstructured) bool {
	return len(Fields(withoutOwner(live), withoutOwner(dryRun), Mask{})) == 0
}

// withoutOwner is comparable, without the owner labels.
func withoutOwner(u *unstructured.Unstructured) *unstructured.Unstructured {
	c := comparable(u)
	for _, label := range []string{"name", "namespace"} {
		unstructured.RemoveNestedField(c.Object, "metadata", "labels", group+"/"+label)
	}
	return c
}

// replace classifies an object that only a replacement can bring to its
// desired state. The replacement has to be proven before anything may be
// deleted for it.
func replace(o Observed, p Policy, reason plan.Reason) (plan.Action, plan.Reason) {
	ref := object.RefOf(o.Desired)
	switch {
	case o.ReplacementErr == nil && reason.AllowedBy != "":
		return plan.Recreate, reason
	case o.ReplacementErr == nil:
		reason.Code = plan.ImmutableNotForced
		return plan.Blocked, reason
	case unauthorized(o.ReplacementErr):
		return plan.Unknown, plan.Reason{Code: plan.Forbidden, Detail: "the replacement cannot be proven: " + Explain(ref, o.ReplacementErr, p.Mask)}
	case Transient(o.ReplacementErr):
		return plan.Unknown, plan.Reason{Code: plan.DryRunFailed, Detail: "the replacement cannot be proven: " + Explain(ref, o.ReplacementErr, p.Mask)}
	}
	return plan.Blocked, plan.Reason{Code: plan.Invalid, Detail: "the server rejects it: " + Explain(ref, o.ReplacementErr, p.Mask)}
}

// failed classifies an object about which the server gave an error that no
// replacement mends.
func failed(err error, o Observed, p Policy) (plan.Action, plan.Reason) {
	ref := object.RefOf(o.Desired)
	detail := Explain(ref, err, p.Mask)
	switch {
	case meta.IsNoMatchError(err) && p.PlannedAsStep:
		return plan.Skip, plan.Reason{Code: plan.PlannedAsStep, Detail: "Flux is not in this cluster, the plan has the Kustomization as a step"}
	case meta.IsNoMatchError(err):
		kind := ref.GVK().GroupKind().String()
		if p.Brings.Kinds[kind] != nil {
			return plan.Create, plan.Reason{Code: plan.AfterCRD, Detail: "its kind comes with this plan"}
		}
		return plan.Blocked, plan.Reason{Code: plan.DryRunFailed, Detail: fmt.Sprintf("the cluster does not serve %s %s%s", ref.GVK().GroupVersion(), ref.Kind, elsewhere(p, kind))}
	case unauthorized(err):
		return plan.Unknown, plan.Reason{Code: plan.Forbidden, Detail: detail}
	case missingNamespace(err, ref):
		if p.Brings.Namespaces[ref.Namespace] {
			return plan.Create, plan.Reason{Code: plan.AfterNamespace, Detail: "its namespace comes with this plan"}
		}
		return plan.Blocked, plan.Reason{Code: plan.DryRunFailed, Detail: detail + elsewhere(p, ref.Namespace)}
	case apierrors.IsInvalid(err):
		return plan.Blocked, plan.Reason{Code: plan.Invalid, Detail: "the server rejects it: " + detail}
	case apierrors.IsForbidden(err):
		return plan.Blocked, plan.Reason{Code: plan.Forbidden, Detail: detail}
	case Transient(err):
		return plan.Unknown, plan.Reason{Code: plan.DryRunFailed, Detail: detail}
	}
	return plan.Blocked, plan.Reason{Code: plan.DryRunFailed, Detail: detail}
}

func elsewhere(p Policy, what string) string {
	if k, found := p.Brings.Elsewhere[what]; found {
		return fmt.Sprintf("; Kustomization %s brings it: add it to spec.dependsOn", k)
	}
	return ""
}

func missingNamespace(err error, ref object.Ref) bool {
	return apierrors.IsNotFound(err) && ref.Namespace != "" && strings.Contains(err.Error(), "namespaces \""+ref.Namespace+"\" not found")
}

// Transient says whether the error is about the server or the way to it, so
// that it says nothing about the object.
func Transient(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	code := status.Status().Code
	return code == 429 || code >= 500 && !unreadable(err)
}

// unreadable says whether the server could not read what it was sent, as a word
// stands where a number belongs: it answers 500, but it will always do so.
func unreadable(err error) bool {
	return strings.Contains(err.Error(), "failed to create typed patch object")
}

// JobOf says what the change means for a Job. dryRun is the state that an
// update would lead to; live and dryRun may be nil.
func JobOf(action plan.Action, desired, live, dryRun *unstructured.Unstructured) *plan.Job {
	job := &plan.Job{Last: lastOf(live)}
	if after := firstOf(dryRun, desired); after != nil && action != plan.Delete {
		job.Suspended, _, _ = unstructured.NestedBool(after.Object, "spec", "suspend")
	}
	switch action {
	case plan.Create, plan.Recreate:
		job.WillRun = !job.Suspended
	case plan.Update:
		job.WillRun = job.Last == plan.Suspended && !job.Suspended
	case plan.Delete, plan.Unchanged, plan.Skip, plan.Blocked, plan.Unknown:
	}
	open := job.WillRun || job.Last == plan.Running && (action == plan.Unchanged || action == plan.Update)
	if open && !job.Suspended {
		job.WaitFor = "complete"
	}
	return job
}

func firstOf(objects ...*unstructured.Unstructured) *unstructured.Unstructured {
	for _, o := range objects {
		if o != nil {
			return o
		}
	}
	return nil
}

func lastOf(live *unstructured.Unstructured) string {
	if live == nil {
		return ""
	}
	switch health.Job(live).Phase {
	case health.Done:
		return plan.Complete
	case health.Failed:
		return plan.Failed
	case health.Suspended:
		return plan.Suspended
	case health.Progressing:
		return plan.Running
	}
	return plan.Running
}
