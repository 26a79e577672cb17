// Package plan is the plan as a value: plain data that everything meets at.
// What makes a plan only fills it in, what shows or runs one only reads it. It
// holds no client, no colour and no secret value.
package plan

import (
	"time"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

// APIVersion and Kind mark the JSON form of a plan.
const (
	APIVersion = "fluxjob.dev/v1alpha1"
	Kind       = "Plan"
)

// Action is what applying the plan does to one object.
type Action string

// The actions, in the order in which a summary lists them.
const (
	Create    Action = "create"
	Update    Action = "update"
	Recreate  Action = "recreate"
	Delete    Action = "delete"
	Unchanged Action = "unchanged"
	Skip      Action = "skip"
	Blocked   Action = "blocked"
	Unknown   Action = "unknown"
)

// Actions lists every action in the order in which a summary lists them.
func Actions() []Action {
	return []Action{Create, Update, Recreate, Delete, Unchanged, Skip, Blocked, Unknown}
}

// Writes says whether the action writes to the cluster.
func (a Action) Writes() bool {
	switch a {
	case Create, Update, Recreate, Delete:
		return true
	case Unchanged, Skip, Blocked, Unknown:
		return false
	}
	return false
}

// Code says why an object has its action.
type Code string

// The reason codes.
const (
	NotFound           Code = "not-found"            // create: the object does not exist
	RemovedAfterRun    Code = "removed-after-run"    // create: a Job of the inventory is gone, it runs again
	RanBefore          Code = "ran-before"           // skip or blocked: a Job that an unfinished run has run, and that is gone
	AfterNamespace     Code = "after-namespace"      // create: its namespace comes with this plan
	AfterCRD           Code = "after-crd"            // create or update: its kind comes or changes with this plan
	Changed            Code = "changed"              // update: fields differ
	Ownership          Code = "ownership"            // update: only field managers or owner labels move
	ImmutableField     Code = "immutable-field"      // recreate: the server refuses the change, force allows it
	Requested          Code = "requested"            // recreate: asked for by name
	Pruned             Code = "pruned"               // delete: in the inventory, no longer rendered
	ImmutableNotForced Code = "immutable-not-forced" // blocked: the server refuses the change, nothing allows force
	ImmutableTakenOver Code = "immutable-taken-over" // blocked: fields of other tools cannot go when they are taken over
	Invalid            Code = "invalid"              // blocked: the server refuses the object itself
	Forbidden          Code = "forbidden"            // blocked or unknown: not allowed
	Annotation         Code = "annotation"           // skip: reconcile or ssa annotation, or prune: disabled
	Exists             Code = "exists"               // skip: ssa IfNotPresent, and the object exists
	DryRunFailed       Code = "dry-run-failed"       // blocked or unknown: the dry-run failed otherwise
	Encrypted          Code = "encrypted"            // unknown: it hangs on values that could not be decrypted
	PlannedAsStep      Code = "planned-as-step"      // skip: a Kustomization, of which the cluster knows nothing
)

// Plan is what will happen, complete and in order.
type Plan struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Created    time.Time `json:"created"`
	// Digest identifies what the plan would do: it covers Steps alone.
	Digest  string  `json:"digest"`
	Cluster Cluster `json:"cluster"`
	// Applyable says that the plan is complete and nothing in it is blocked.
	Applyable bool `json:"applyable"`
	// Complete says that every step was rendered and compared.
	Complete bool      `json:"complete"`
	Steps    []Step    `json:"steps"`
	Summary  Summary   `json:"summary"`
	Warnings []Warning `json:"warnings"`
	Requests Requests  `json:"requests"`
	// Request is what the plan was made for; only a plan that is saved has it.
	Request *Request `json:"request,omitempty"`
}

// Cluster says which cluster a plan was compared with.
type Cluster struct {
	Context string `json:"context"`
	Server  string `json:"server"`
	// UID is that of the namespace kube-system, which stands for the cluster.
	UID     string `json:"uid"`
	Version string `json:"version"`
}

// Step is one Kustomization.
type Step struct {
	Kustomization object.Key   `json:"kustomization"`
	DependsOn     []object.Key `json:"dependsOn"`
	// ReadyExprs are the expressions that have to be true of dependencies, when
	// these are done, before the step begins.
	ReadyExprs []ReadyExpr `json:"readyExprs,omitempty"`
	// Parent is the Kustomization of the plan that renders this one.
	Parent *object.Key `json:"parent,omitempty"`
	// Removed says that Parent no longer renders this Kustomization: the step
	// deletes what it has applied.
	Removed bool `json:"removed,omitempty"`
	// After lists the steps that have to be done before this one begins: those
	// of DependsOn, what these wait for among the Kustomizations that they
	// render, and Parent.
	After []object.Key `json:"after,omitempty"`
	// Wave counts from 0; a step comes only after steps of earlier waves.
	Wave   int    `json:"wave"`
	Source Source `json:"source"`
	// Changes stand in the order in which they are applied; deletes come last.
	Changes []Change `json:"changes"`
	// HoldsBack names the Kustomizations that wait, directly or not, for this
	// step. It is filled in only where the step cannot be applied.
	HoldsBack []object.Key `json:"holdsBack,omitempty"`
	Problem   *Problem     `json:"problem"`
	Wait      Wait         `json:"wait"`
	// Inventory says where the list of this step's objects is kept.
	Inventory Inventory `json:"inventory"`
}

// ReadyExpr is spec.dependsOn[].readyExpr: a CEL expression that says when the
// Kustomization that is depended on is ready.
type ReadyExpr struct {
	Kustomization object.Key `json:"kustomization"`
	Expr          string     `json:"expr"`
}

// Source says where a step's manifests come from.
type Source struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Revision  string `json:"revision"`
	LocalDir  string `json:"localDir"`
	// Digest covers what the tree of the source is rendered to for the step:
	// every object, in order.
	Digest string `json:"digest,omitempty"`
}

// Change is what happens to one object.
type Change struct {
	Object object.Ref `json:"object"`
	Action Action     `json:"action"`
	Reason Reason     `json:"reason"`
	Fields []Field    `json:"fields"`
	// Live identifies the object in the cluster; nil if it does not exist.
	Live *Live `json:"live,omitempty"`
	// Ignored are the JSON pointers at which spec.ignore keeps an update from
	// changing the object.
	Ignored []string `json:"ignored,omitempty"`
	// Desired is the digest of the rendered object; empty for a delete.
	Desired string `json:"desired,omitempty"`
	// Stage is the stage of the controller's apply, from 1; see
	// fluxcd/pkg/ssa ApplyAllStaged. Deletes have stage 0.
	Stage int `json:"stage,omitempty"`
	// Job is set on Jobs alone.
	Job *Job `json:"job,omitempty"`
}

// Reason says why a change has its action.
type Reason struct {
	Code Code `json:"code"`
	// Detail is one sentence, in the server's words where it spoke.
	Detail string `json:"detail,omitempty"`
	// AllowedBy says what permits a recreation: spec.force of a Kustomization
	// or the force annotation.
	AllowedBy string `json:"allowedBy,omitempty"`
}

// Field is one difference. Old and New are compact JSON or plain text, masked
// where they would show a secret; empty where the field is absent.
type Field struct {
	Path           string `json:"path"`
	Old            string `json:"old,omitempty"`
	New            string `json:"new,omitempty"`
	ForcesRecreate bool   `json:"forcesRecreate,omitempty"`
}

// Live identifies an object in the cluster as it was seen.
type Live struct {
	UID             string    `json:"uid"`
	ResourceVersion string    `json:"resourceVersion"`
	Created         time.Time `json:"created"`
}

// Job says what a change means for a Job.
type Job struct {
	// WillRun says that pods of the Job start because of the change.
	WillRun bool `json:"willRun"`
	// Last is the state of the live Job: Running, Complete, Failed, Suspended,
	// or empty if there is none.
	Last string `json:"last"`
	// Suspended says that the desired Job is suspended, so that it does not run.
	Suspended bool `json:"suspended,omitempty"`
	// WaitFor is "complete", or empty where the Job is not waited for.
	WaitFor string `json:"waitFor"`
}

// The values of Job.Last.
const (
	Running   = "Running"
	Complete  = "Complete"
	Failed    = "Failed"
	Suspended = "Suspended"
)

// Wait is what a Kustomization asks for after its objects were applied.
type Wait struct {
	// All is spec.wait: every object of the step is to become healthy.
	All bool `json:"all,omitempty"`
	// HealthChecks is spec.healthChecks; the controller ignores it with All.
	HealthChecks []object.Ref `json:"healthChecks,omitempty"`
	// HealthCheckExprs is spec.healthCheckExprs.
	HealthCheckExprs []HealthCheckExpr `json:"healthCheckExprs,omitempty"`
	// ExprsForJobs says that HealthCheckExprs count for Jobs too. The controller
	// reads Jobs by their conditions first, but not where it acts as somebody
	// else: there the expressions come first.
	ExprsForJobs bool `json:"exprsForJobs,omitempty"`
	// TimeoutSeconds bounds the wait, in the controller's reading of
	// spec.timeout: never less than 30.
	TimeoutSeconds float64 `json:"timeoutSeconds"`
}

// HealthCheckExpr holds the CEL expressions by which the health of a kind is
// read. Kind is empty for every kind of the group.
type HealthCheckExpr struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind,omitempty"`
	Current    string `json:"current"`
	InProgress string `json:"inProgress,omitempty"`
	Failed     string `json:"failed,omitempty"`
}

// Inventory is where the list of a step's objects is kept, and what it holds.
type Inventory struct {
	// Kept is "Kustomization" where the live Flux object holds it, or
	// "ConfigMap" where the plugin keeps it beside.
	Kept string `json:"kept"`
	// Prune is spec.prune.
	Prune bool `json:"prune"`
	// Entries are the objects that were applied before, in Flux's format.
	Entries []Entry `json:"entries,omitempty"`
	// DeletionPolicy says what becomes of Entries when the Kustomization itself
	// goes: Delete, WaitForTermination or Orphan.
	DeletionPolicy string `json:"deletionPolicy,omitempty"`
	// Outdated says that the record in the ConfigMap has another deletion
	// policy.
	Outdated bool `json:"outdated,omitempty"`
	// Reconciled says that a running Flux reconciles the Kustomization: it is
	// not suspended, and it lives in the cluster or will, by this plan.
	Reconciled bool `json:"reconciled,omitempty"`
}

// The values of Inventory.Kept.
const (
	KeptByFlux   = "Kustomization"
	KeptByPlugin = "ConfigMap"
)

// The deletion policies that need to be told apart; WaitForTermination deletes,
// too.
const (
	DeleteAll = "Delete"
	Orphan    = "Orphan"
)

// DeletionPolicyOf returns what spec.deletionPolicy comes to: by default, and
// with MirrorPrune, it follows spec.prune.
func DeletionPolicyOf(policy string, prune bool) string {
	switch {
	case policy != "" && policy != "MirrorPrune":
		return policy
	case prune:
		return DeleteAll
	}
	return Orphan
}

// Entry is one object of an inventory, as Flux writes it into
// status.inventory.entries.
type Entry struct {
	ID      string `json:"id"`
	Version string `json:"v"`
}

// Problem says why a step could not be planned.
type Problem struct {
	// Reason is the condition reason that kustomize-controller would set.
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// The reasons of a Problem, as kustomize-controller names them.
const (
	ArtifactFailed     = "ArtifactFailed"
	BuildFailed        = "BuildFailed"
	DependencyNotReady = "DependencyNotReady"
	NotSupported       = "NotSupported"
	InventoryFailed    = "InventoryFailed"
	// NotDecrypted is ours: the controller may have a key that we have not.
	NotDecrypted = "NotDecrypted"
	// InvalidCELExpression is terminal: Flux does not try again.
	InvalidCELExpression = "InvalidCELExpression"
	// ReconciliationFailed stands for a configuration that fails when it is applied.
	ReconciliationFailed = "ReconciliationFailed"
)

// Warning is advice that does not stop a plan.
type Warning struct {
	Rule    string      `json:"rule"`
	Object  *object.Ref `json:"object,omitempty"`
	Message string      `json:"message"`
}

// Requests counts what the plan cost the API server.
type Requests struct {
	Get    int `json:"get"`
	List   int `json:"list"`
	DryRun int `json:"dryRun"`
}

// Summary counts changes by action.
type Summary struct {
	Create    int `json:"create"`
	Update    int `json:"update"`
	Recreate  int `json:"recreate"`
	Delete    int `json:"delete"`
	Unchanged int `json:"unchanged"`
	Skip      int `json:"skip"`
	Blocked   int `json:"blocked"`
	Unknown   int `json:"unknown"`
	JobsToRun int `json:"jobsToRun"`
}
