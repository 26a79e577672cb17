package planner

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/source"
)

// sources look at the trees of sources as their artifacts would hold them, at
// each once. One goroutine uses them at a time.
type sources struct {
	local   *source.Local
	cluster getter
	// known are the sources that are rendered or, else, were read.
	known map[source.Ref]*unstructured.Unstructured
	live  map[source.Ref]*unstructured.Unstructured
	views map[treeRules]*source.View
}

type getter interface {
	Get(ctx context.Context, ref object.Ref) (*unstructured.Unstructured, error)
}

type treeRules struct {
	tree  source.Tree
	rules source.Rules
}

func newSources(local *source.Local, cluster getter) *sources {
	return &sources{local: local, cluster: cluster, live: map[source.Ref]*unstructured.Unstructured{}, views: map[treeRules]*source.View{}}
}

// learn takes the sources that were read, and those that the members render in
// place of their like.
func (s *sources) learn(read []*manifest.Source, members []object.Key, done map[object.Key]*rendering) {
	s.known = map[source.Ref]*unstructured.Unstructured{}
	for _, r := range read {
		s.known[source.Ref{Kind: r.GetKind(), Namespace: r.GetNamespace(), Name: r.GetName()}] = r.Unstructured
	}
	for _, key := range members {
		if done[key] == nil {
			continue
		}
		for _, o := range done[key].Objects {
			if object.RefOf(o).Group == source.Group && source.IsTree(o.GetKind()) {
				at := childKey(o)
				s.known[source.Ref{Kind: o.GetKind(), Namespace: at.Namespace, Name: at.Name}] = o
			}
		}
	}
}

// view returns what the artifact of ref would hold; the same for the same rules.
func (s *sources) view(ctx context.Context, ref source.Ref) (*source.View, *plan.Problem) {
	tree, err := s.local.Resolve(ref)
	if err != nil {
		return nil, &plan.Problem{Reason: plan.ArtifactFailed, Message: err.Error()}
	}
	u, err := s.find(ctx, ref)
	if err != nil {
		return nil, &plan.Problem{Reason: plan.ArtifactFailed, Message: fmt.Sprintf("what %s leaves out of its artifact is not known: %s; add its file with -f", ref, err)}
	}
	key := treeRules{tree, source.Rules{Kind: ref.Kind}}
	if u != nil {
		var unsupported string
		if key.rules, unsupported = source.RulesOf(u); unsupported != "" {
			return nil, &plan.Problem{Reason: plan.NotSupported, Message: fmt.Sprintf("%s of %s is not supported yet: without it the plan would not be what Flux does", unsupported, ref)}
		}
	}
	if s.views[key] == nil {
		view, err := tree.View(key.rules)
		if err != nil {
			return nil, &plan.Problem{Reason: plan.ArtifactFailed, Message: err.Error()}
		}
		s.views[key] = view
	}
	return s.views[key], nil
}

// find returns the source, nil if there is none. One that is not known is looked
// up in the cluster.
func (s *sources) find(ctx context.Context, ref source.Ref) (*unstructured.Unstructured, error) {
	if u := s.known[ref]; u != nil || !source.IsTree(ref.Kind) {
		return u, nil
	}
	if u, asked := s.live[ref]; asked {
		return u, nil
	}
	u, err := s.cluster.Get(ctx, object.Ref{Group: source.Group, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name})
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		u, err = nil, nil
	}
	if err == nil {
		s.live[ref] = u
	}
	return u, err
}
