// Package planner composes reading, rendering and comparing into one plan.
package planner

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
	"github.com/fluxjob/kubectl-fluxjob/pkg/diff"
	"github.com/fluxjob/kubectl-fluxjob/pkg/health"
	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/render"
	"github.com/fluxjob/kubectl-fluxjob/pkg/source"
)

// Request is what is to be planned.
type Request struct {
	// Kustomizations are all that are known, in the order in which they were
	// found.
	Kustomizations []*manifest.Kustomization
	// Names select among them, as NAME or NAMESPACE/NAME; none selects all.
	// What a selected one depends on comes along.
	Names []string
	// Sources finds the tree of each source.
	Sources *source.Local
	// SourceObjects are the sources that were read, for what they leave out of
	// their artifacts. One that is neither read nor rendered is looked up in the
	// cluster.
	SourceObjects []*manifest.Source
	// Replace names Jobs that are to be recreated whether they changed or not,
	// as NAME or NAMESPACE/NAME.
	Replace []string
	// Recurse makes steps of the Kustomizations that a Kustomization renders.
	Recurse bool
	// Concurrency bounds how many objects are compared at once.
	Concurrency int
}

// Namespaces returns those of the Kustomizations that are certainly part of the
// plan: the selected ones and what they depend on, as far as that was read.
func (r Request) Namespaces() []string {
	known := map[object.Key]*manifest.Kustomization{}
	for _, k := range r.Kustomizations {
		known[k.Key()] = k
	}
	w := &world{known: known}
	var all []string
	for _, key := range w.members(r.Names) {
		all = append(all, key.Namespace)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Result is a plan with what it speaks of.
type Result struct {
	Plan *plan.Plan
	// Desired holds the rendered objects by their digest, Change.Desired.
	Desired map[string]*unstructured.Unstructured
	// Kustomizations holds the manifests of the steps.
	Kustomizations map[object.Key]*kustomizev1.Kustomization
	// Items holds, step by step and change by change, the states before and
	// after.
	Items [][]diff.Item
	// Requested are the IDs of the Jobs that Request.Replace names.
	Requested map[string]bool
	// Mask knows the secret values that the rendered objects hold.
	Mask diff.Mask
}

// Planner makes plans for one cluster.
type Planner struct {
	Client *cluster.Client
}

// step is one Kustomization on its way to a plan.Step.
type step struct {
	k       *manifest.Kustomization
	key     object.Key
	plan    plan.Step
	objects []*unstructured.Unstructured
	// encrypted is that of render.Rendered.
	encrypted map[*unstructured.Unstructured]string
	secrets   []string
	ignore    diff.Ignore
	mask      diff.Mask
	items     []diff.Item
}

// Plan makes the plan. An error means that there is no plan at all; what goes
// wrong with one Kustomization or one object stands in the plan instead.
func (p *Planner) Plan(ctx context.Context, req Request) (*Result, error) {
	info, err := p.Client.Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	w, done, err := p.settle(ctx, req)
	if err != nil {
		return nil, err
	}
	steps, order, err := w.arrange(req.Names, done)
	if err != nil {
		return nil, err
	}
	warnings := p.place(steps)
	requested, err := requestedJobs(req.Replace, steps)
	if err != nil {
		return nil, err
	}
	if err := p.compare(ctx, steps, order, requested, req.Concurrency); err != nil {
		return nil, err
	}
	warnings = append(warnings, losses(steps)...)
	if err := p.resume(ctx, steps, requested); err != nil {
		return nil, err
	}
	if steps, err = p.withRemoved(ctx, steps, req.Recurse); err != nil {
		return nil, err
	}
	result := &Result{
		Plan:    &plan.Plan{Created: time.Now().UTC().Truncate(time.Second), Cluster: info, Warnings: warnings, Steps: []plan.Step{}},
		Desired: map[string]*unstructured.Unstructured{},

		Kustomizations: map[object.Key]*kustomizev1.Kustomization{},
		Requested:      requested,
	}
	var secrets []string
	for _, s := range steps {
		secrets = append(append(secrets, s.secrets...), secretData(s.objects)...)
		s.plan.Changes = []plan.Change{}
		for _, item := range s.items {
			s.plan.Changes = append(s.plan.Changes, item.Change)
		}
		if s.plan.Held() {
			s.plan.HoldsBack = order.Dependents(s.key)
		}
		for _, o := range s.objects {
			if s.encrypted[o] == "" { // else it holds what must never be written
				result.Desired[object.Digest(o)] = o
			}
		}
		s.plan.Source.Digest = digest(s.objects)
		if s.k != nil { // nil is one that is removed
			result.Kustomizations[s.key] = &s.k.Kustomization
		}
		result.Plan.Steps = append(result.Plan.Steps, s.plan)
		result.Items = append(result.Items, s.items)
	}
	result.Mask = diff.NewMask(secrets)
	result.Plan.Requests = p.Client.Requests()
	return result, result.Plan.Finish()
}

// step returns the Kustomization as a step that is not rendered yet.
func (w *world) step(key object.Key, wave int) *step {
	k := w.known[key]
	s := &step{k: k, key: key}
	s.plan = plan.Step{
		Kustomization: key,
		DependsOn:     append([]object.Key{}, dependencies(k)...),
		Wave:          wave,
		Wait:          waitOf(k),
		Inventory:     plan.Inventory{Prune: k.Spec.Prune},
	}
	if parent, has := w.parents[key]; has {
		s.plan.Parent = &parent
	}
	if _, err := health.NewReader(s.plan.Wait); err != nil {
		s.fail(plan.InvalidCELExpression, "spec.healthCheckExprs: "+err.Error())
	}
	for i, d := range s.plan.DependsOn {
		switch {
		case w.known[d] == nil:
			s.fail(plan.DependencyNotReady, fmt.Sprintf("dependency '%s' not found among the Kustomizations read: add its file with -f", d))
		case w.descends(key, d) && slices.Contains(w.waitedFor(d), key):
			s.fail(plan.DependencyNotReady, fmt.Sprintf("dependency '%s' renders it and waits for it: neither can ever be ready", d))
		}
		expr := k.Spec.DependsOn[i].ReadyExpr
		if expr == "" {
			continue
		}
		s.plan.ReadyExprs = append(s.plan.ReadyExprs, plan.ReadyExpr{Kustomization: d, Expr: expr})
		if _, err := health.NewReadyExpr(expr); err != nil {
			s.fail(plan.InvalidCELExpression, fmt.Sprintf("spec.dependsOn[%s].readyExpr: %s", d, err))
		}
	}
	if field := unsupported(k); field != "" {
		s.fail(plan.NotSupported, field+" is not supported yet: without it the plan would not be what Flux does")
	}
	return s
}

// fail records the first problem of a step; later ones follow from it.
func (s *step) fail(reason, message string) {
	if s.plan.Problem == nil {
		s.plan.Problem = &plan.Problem{Reason: reason, Message: s.mask.Text(message)}
	}
}

// unsupported names the first field of k that changes what the controller does
// and that is not followed here.
func unsupported(k *manifest.Kustomization) string {
	if k.Spec.KubeConfig != nil {
		return "spec.kubeConfig"
	}
	return ""
}

func dependencies(k *manifest.Kustomization) []object.Key {
	var deps []object.Key
	for _, d := range k.Spec.DependsOn {
		deps = append(deps, object.Key{Namespace: cmp.Or(d.Namespace, k.Namespace), Name: d.Name})
	}
	return deps
}

func sourceOf(k *manifest.Kustomization) source.Ref {
	return source.Ref{Kind: k.Spec.SourceRef.Kind, Namespace: cmp.Or(k.Spec.SourceRef.Namespace, k.Namespace), Name: k.Spec.SourceRef.Name}
}

func waitOf(k *manifest.Kustomization) plan.Wait {
	w := plan.Wait{All: k.Spec.Wait, TimeoutSeconds: k.GetTimeout().Seconds()}
	for _, e := range k.Spec.HealthCheckExprs {
		w.HealthCheckExprs = append(w.HealthCheckExprs, plan.HealthCheckExpr{
			APIVersion: e.APIVersion, Kind: e.Kind, Current: e.Current, InProgress: e.InProgress, Failed: e.Failed,
		})
	}
	w.ExprsForJobs = len(w.HealthCheckExprs) > 0 && (k.Spec.ServiceAccountName != "" || k.Spec.KubeConfig != nil)
	if w.All {
		return w
	}
	for _, h := range k.Spec.HealthChecks {
		apiVersion := cmp.Or(h.APIVersion, "apps/v1")
		group, version, grouped := strings.Cut(apiVersion, "/")
		if !grouped {
			group, version = "", apiVersion
		}
		w.HealthChecks = append(w.HealthChecks, object.Ref{Group: group, Version: version, Kind: h.Kind, Namespace: h.Namespace, Name: h.Name})
	}
	return w
}

// take gives the step what was rendered for it.
func (s *step) take(r *rendering) {
	s.plan.Source = r.source
	if p := s.plan.Problem; p != nil && p.Reason == plan.InvalidCELExpression {
		return // The controller does not even look at the source.
	}
	s.objects, s.encrypted, s.secrets, s.mask = r.Objects, r.Encrypted, r.Secrets, diff.NewMask(r.Secrets)
	if s.plan.Problem == nil {
		s.plan.Problem = r.problem
	}
	// The controller reads the rules when it has something to apply.
	var err error
	if s.ignore, err = diff.CompileIgnore(s.k.Spec.Ignore); err != nil && len(s.objects) > 0 {
		s.fail(plan.ReconciliationFailed, "spec.ignore: "+err.Error())
		s.objects = nil
	}
}

// hint says what to do about a tree that is not the one of the source.
func hint(failed *render.Error, ref source.Ref) string {
	if failed.Reason != plan.ArtifactFailed {
		return ""
	}
	return fmt.Sprintf("; if %s has another tree, say --local-source %s/%s=DIR", ref, ref.Namespace, ref.Name)
}

// secretData returns the values of the rendered Secrets that are long enough
// to be recognised in other text.
func secretData(objects []*unstructured.Unstructured) []string {
	const recognisable = 8
	var values []string
	for _, o := range objects {
		if !object.RefOf(o).IsSecret() {
			continue
		}
		data, _, _ := unstructured.NestedStringMap(o.Object, "data")
		for _, encoded := range data {
			if plain, err := base64.StdEncoding.DecodeString(encoded); err == nil && len(plain) >= recognisable {
				values = append(values, string(plain))
			}
		}
	}
	return values
}

// digest returns the one that covers every object.
func digest(objects []*unstructured.Unstructured) string {
	if len(objects) == 0 {
		return ""
	}
	sum := sha256.New()
	for _, o := range objects {
		_, _ = fmt.Fprintln(sum, object.Digest(o))
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

func list(all []object.Key) string {
	names := make([]string, len(all))
	for i, k := range all {
		names[i] = k.String()
	}
	return strings.Join(names, ", ")
}
