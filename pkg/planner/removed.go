package planner

import (
	"cmp"
	"context"
	"slices"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fluxjob/kubectl-fluxjob/pkg/diff"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// servesKustomizations says whether the cluster knows Flux's kind, in whatever
// version.
func (p *Planner) servesKustomizations() bool {
	_, err := p.Client.Mapping(schema.GroupVersionKind{Group: kustomizev1.GroupVersion.Group, Kind: kustomizev1.KustomizationKind})
	return !meta.IsNoMatchError(err)
}

// ref names the step's Kustomization as an object.
func (s *step) ref() object.Ref {
	return object.Ref{
		Group: kustomizev1.GroupVersion.Group, Version: kustomizev1.GroupVersion.Version, Kind: kustomizev1.KustomizationKind,
		Namespace: s.key.Namespace, Name: s.key.Name,
	}
}

// keep takes what is recorded of the step's objects, under the rules that its
// Kustomization has now.
func (s *step) keep(recorded plan.Inventory, flux bool) {
	s.plan.Inventory = recorded
	inventory := &s.plan.Inventory
	inventory.Prune = s.k.Spec.Prune
	inventory.DeletionPolicy = plan.DeletionPolicyOf(s.k.Spec.DeletionPolicy, s.k.Spec.Prune)
	inventory.Outdated = recorded.Kept == plan.KeptByPlugin && len(recorded.Entries) > 0 && recorded.DeletionPolicy != inventory.DeletionPolicy
	if s.plan.Parent != nil && flux && recorded.Kept == plan.KeptByPlugin {
		// Its parent is about to create it.
		inventory.Kept, inventory.Reconciled = plan.KeptByFlux, !s.k.Spec.Suspend
	}
}

// withRemoved returns the steps with those that delete what Kustomizations have
// applied which are no longer rendered: Flux does so when it deletes them.
func (p *Planner) withRemoved(ctx context.Context, steps []*step, recurse bool) ([]*step, error) {
	planned := map[object.Key]bool{}
	for _, s := range steps {
		planned[s.key] = true
	}
	owners := renderedBy(steps)
	differ := &diff.Differ{Cluster: p.Client}
	for i := 0; recurse && i < len(steps); i++ {
		for _, key := range steps[i].abandoned() {
			if planned[key] {
				continue
			}
			planned[key] = true
			recorded, err := p.Client.Inventory(ctx, key)
			if err != nil {
				steps[i].fail(plan.InventoryFailed, err.Error())
				continue
			}
			if s := removedStep(key, steps[i], recorded); s != nil {
				s.items = stale(ctx, differ, s, owners)
				steps = append(steps, s)
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(steps, func(a, b *step) int {
		return cmp.Or(cmp.Compare(a.plan.Wave, b.plan.Wave), a.key.Compare(b.key))
	})
	return steps, nil
}

// abandoned are the Kustomizations that the step has applied, no longer
// renders, and deletes, or would if they lived in the cluster.
func (s *step) abandoned() []object.Key {
	if !s.plan.Inventory.Prune || s.plan.Problem != nil {
		return nil
	}
	kept := map[string]bool{}
	for _, item := range s.items {
		kept[item.Change.Object.ID()] = item.Change.Action != plan.Delete
	}
	var keys []object.Key
	for _, ref := range pruneOrder(s.plan.Inventory.Entries) {
		if ref.IsKustomization() && !kept[ref.ID()] {
			keys = append(keys, ref.Key())
		}
	}
	return keys
}

// removedStep returns the step that deletes what a Kustomization has applied,
// or nil if that stays or is nothing.
func removedStep(key object.Key, parent *step, recorded plan.Inventory) *step {
	suspended := recorded.Kept == plan.KeptByFlux && !recorded.Reconciled
	if len(recorded.Entries) == 0 || suspended || recorded.DeletionPolicy == plan.Orphan {
		return nil
	}
	s := &step{key: key, plan: plan.Step{
		Kustomization: key,
		Parent:        &parent.key,
		Removed:       true,
		After:         []object.Key{parent.key},
		Wave:          parent.plan.Wave + 1,
		Source:        parent.plan.Source,
		Inventory:     recorded,
	}}
	// Its deletion is the parent's doing, which Flux does not undo.
	s.plan.Inventory.Prune, s.plan.Inventory.Reconciled = true, false
	return s
}
