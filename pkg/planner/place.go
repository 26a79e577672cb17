package planner

import (
	"fmt"
	"maps"
	"sort"
	"strings"

	"github.com/fluxcd/pkg/ssa"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fluxjob/kubectl-fluxjob/pkg/diff"
	"github.com/fluxjob/kubectl-fluxjob/pkg/graph"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/render"
)

// The rules of the warnings that the planner itself gives.
const (
	ruleNamespace      = "namespace-missing"
	ruleServiceAccount = "service-account-not-followed"
	ruleChild          = "child-not-planned"
	ruleClaimed        = "claimed-twice"
	ruleCiphertext     = "ciphertext-applied"
	ruleDefinition     = "definition-recreated"
)

// place puts objects that name no namespace into "default" and warns of what
// the plan does otherwise than the controller would.
func (p *Planner) place(steps []*step) []plan.Warning {
	scopes := map[schema.GroupKind]bool{}
	for _, s := range steps {
		for _, o := range s.objects {
			if kind, namespaced, isCRD := defined(o); isCRD {
				scopes[kind] = namespaced
			}
		}
	}
	planned := map[object.Key]bool{}
	for _, s := range steps {
		planned[s.key] = true
	}
	warnings := []plan.Warning{}
	for _, s := range steps {
		if name := s.k.Spec.ServiceAccountName; name != "" {
			warnings = append(warnings, plan.Warning{Rule: ruleServiceAccount, Message: fmt.Sprintf(
				"Kustomization %s: Flux acts as ServiceAccount %s/%s, this plan was made with your rights", s.key, s.key.Namespace, name)})
		}
		var homeless, children []string
		for _, o := range s.objects {
			ref := object.RefOf(o)
			if ref.Namespace == "" && p.namespaced(ref, scopes) {
				homeless = append(homeless, ref.String())
				o.SetNamespace(metav1.NamespaceDefault)
				ref.Namespace = metav1.NamespaceDefault
			}
			if ref.IsKustomization() && !planned[ref.Key()] {
				children = append(children, ref.Key().String())
			}
			if render.Ciphertext(o) {
				warnings = append(warnings, plan.Warning{Rule: ruleCiphertext, Object: &ref, Message: fmt.Sprintf(
					"%s holds values that SOPS has encrypted, and Flux applies them as they are: set spec.decryption of %s", ref, s.key)})
			}
		}
		sort.Sort(ssa.SortableUnstructureds(s.objects))
		if len(homeless) > 0 {
			warnings = append(warnings, plan.Warning{Rule: ruleNamespace, Message: fmt.Sprintf(
				"Kustomization %s: %s without a namespace, planned into %q; Flux refuses such objects: set spec.targetNamespace", s.key, shorten(homeless), metav1.NamespaceDefault)})
		}
		if len(children) > 0 {
			warnings = append(warnings, plan.Warning{Rule: ruleChild, Message: fmt.Sprintf(
				"Kustomization %s applies other Kustomizations, whose objects are not part of this plan: %s", s.key, shorten(children))})
		}
	}
	return append(warnings, claims(steps)...)
}

// claims warns of the objects that several Kustomizations render.
func claims(steps []*step) []plan.Warning {
	var warnings []plan.Warning
	owners := renderedBy(steps)
	for _, s := range steps {
		for _, o := range s.objects {
			ref := object.RefOf(o)
			if claimed := owners[ref.ID()]; len(claimed) > 1 && claimed[0] == s.key {
				warnings = append(warnings, plan.Warning{Rule: ruleClaimed, Object: &ref, Message: fmt.Sprintf(
					"%s is rendered by %s: each takes it from the other whenever it is reconciled", ref, list(claimed))})
			}
		}
	}
	return warnings
}

// losses warns of the definitions that are recreated.
func losses(steps []*step) []plan.Warning {
	var warnings []plan.Warning
	for _, s := range steps {
		for i := range s.items {
			if c := &s.items[i].Change; c.Object.IsCRD() && c.Action == plan.Recreate {
				warnings = append(warnings, plan.Warning{Rule: ruleDefinition, Object: &c.Object, Message: fmt.Sprintf(
					"%s is recreated: every custom resource of its kind in the cluster is deleted with it, and only those that are rendered are created again", c.Object)})
			}
		}
	}
	return warnings
}

// shorten names the first few of many.
func shorten(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func (p *Planner) namespaced(ref object.Ref, scopes map[schema.GroupKind]bool) bool {
	mapping, err := p.Client.Mapping(ref.GVK())
	if err != nil {
		return scopes[ref.GVK().GroupKind()]
	}
	return mapping.Scope.Name() == meta.RESTScopeNameNamespace
}

// defined returns the kind that a CustomResourceDefinition defines.
func defined(o *unstructured.Unstructured) (kind schema.GroupKind, namespaced, isCRD bool) {
	if !object.RefOf(o).IsCRD() {
		return kind, false, false
	}
	kind.Group, _, _ = unstructured.NestedString(o.Object, "spec", "group")
	kind.Kind, _, _ = unstructured.NestedString(o.Object, "spec", "names", "kind")
	scope, _, _ := unstructured.NestedString(o.Object, "spec", "scope")
	return kind, scope != "Cluster", true
}

// brings tells for every step which namespaces and kinds it or its
// dependencies bring, and which come from elsewhere.
func brings(steps []*step, order *graph.Graph[object.Key]) map[object.Key]diff.Brings {
	own := map[object.Key]diff.Brings{}
	for _, s := range steps {
		b := diff.Brings{Namespaces: map[string]bool{}, Kinds: map[string]*unstructured.Unstructured{}, Elsewhere: map[string]object.Key{}}
		for _, o := range s.objects {
			if object.RefOf(o).IsNamespace() {
				b.Namespaces[o.GetName()] = true
			}
			if kind, _, isCRD := defined(o); isCRD {
				b.Kinds[kind.String()] = o
			}
		}
		own[s.key] = b
	}
	all := map[object.Key]diff.Brings{}
	for _, s := range steps {
		b := diff.Brings{Namespaces: map[string]bool{}, Kinds: map[string]*unstructured.Unstructured{}, Elsewhere: map[string]object.Key{}}
		earlier := append(order.Dependencies(s.key), s.key)
		for _, k := range earlier {
			for name := range own[k].Namespaces {
				b.Namespaces[name] = true
			}
			maps.Copy(b.Kinds, own[k].Kinds)
		}
		for _, other := range steps {
			for name := range own[other.key].Namespaces {
				b.Elsewhere[name] = other.key
			}
			for kind := range own[other.key].Kinds {
				b.Elsewhere[kind] = other.key
			}
		}
		all[s.key] = b
	}
	return all
}
