// Package access says which rights a plan takes to make and to run.
package access

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// Need is one right.
type Need struct {
	Verb  string
	Group string
	// Resource is the plural, followed by "/" and the subresource if there is one.
	Resource string
	// Namespace is empty for what lies in none.
	Namespace string
	// Optional says that without it less is told, but nothing else changes.
	Optional bool
}

// String says it as kubectl auth can-i has it.
func (n Need) String() string {
	text := n.Verb + " " + n.Resource
	if n.Group != "" {
		text += "." + n.Group
	}
	if n.Namespace != "" {
		text += " in namespace " + n.Namespace
	}
	return text
}

// Served returns how the cluster serves the kind of an object: the plural of
// its resource, and whether its objects lie in namespaces; false if it does not.
type Served func(object.Ref) (plural string, namespaced, served bool)

// needs collects rights, each once.
type needs struct {
	served Served
	all    map[Need]bool
}

func (n *needs) add(group, resource, namespace string, verbs ...string) {
	for _, verb := range verbs {
		n.all[Need{Verb: verb, Group: group, Resource: resource, Namespace: namespace}] = true
	}
}

func (n *needs) object(ref object.Ref, verbs ...string) {
	plural, namespaced, served := n.served(ref)
	switch {
	case !served: // comes with the plan, or is not applied
	case namespaced:
		n.add(ref.Group, plural, ref.Namespace, verbs...)
	default:
		n.add(ref.Group, plural, "", verbs...)
	}
}

// Of returns the rights that it takes to make the plan and to run it, sorted.
// kustomizations are the manifests of its steps.
func Of(p *plan.Plan, kustomizations map[object.Key]*kustomizev1.Kustomization, served Served) []Need {
	n := &needs{served: served, all: map[Need]bool{}}
	for i := range p.Steps {
		n.step(&p.Steps[i])
	}
	for _, k := range kustomizations {
		if k.Spec.PostBuild != nil {
			for _, from := range k.Spec.PostBuild.SubstituteFrom {
				n.add("", strings.ToLower(from.Kind)+"s", k.Namespace, "get")
			}
		}
		if k.Spec.Decryption != nil && k.Spec.Decryption.SecretRef != nil {
			n.add("", "secrets", k.Namespace, "get")
		}
	}
	all := make([]Need, 0, len(n.all))
	for need := range n.all {
		all = append(all, need)
	}
	slices.SortFunc(all, compare)
	return all
}

func compare(a, b Need) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Group, b.Group), strings.Compare(a.Resource, b.Resource), strings.Compare(a.Verb, b.Verb))
}

func (n *needs) step(s *plan.Step) {
	own := s.Kustomization.Namespace
	n.object(object.Ref{Group: kustomizev1.GroupVersion.Group, Version: kustomizev1.GroupVersion.Version, Kind: kustomizev1.KustomizationKind, Namespace: own}, "get")
	n.add("", "configmaps", own, "get", "create", "patch", "delete") // the inventory and the history
	n.add("coordination.k8s.io", "leases", own, "get", "create", "update", "delete")
	for i := range s.Changes {
		c := &s.Changes[i]
		switch c.Action {
		case plan.Create, plan.Update, plan.Unchanged, plan.Blocked, plan.Unknown: // A dry-run takes the rights of what it tries.
			n.object(c.Object, "get", "create", "patch")
		case plan.Recreate:
			n.object(c.Object, "get", "list", "watch", "create", "patch", "delete")
		case plan.Delete:
			n.object(c.Object, "get", "delete")
		case plan.Skip:
			n.object(c.Object, "get")
		}
		if s.Wait.All {
			n.object(c.Object, "list", "watch")
		}
		if c.Job != nil && c.Action != plan.Delete {
			n.object(c.Object, "list", "watch")
			n.all[Need{Verb: "get", Resource: "pods/log", Namespace: c.Object.Namespace, Optional: true}] = true
			for _, verb := range []string{"list", "watch"} {
				n.all[Need{Verb: verb, Resource: "pods", Namespace: c.Object.Namespace, Optional: true}] = true
			}
			n.all[Need{Verb: "list", Resource: "events", Namespace: c.Object.Namespace, Optional: true}] = true
		}
	}
	for _, ref := range s.Wait.HealthChecks {
		n.object(ref, "get", "list", "watch")
	}
}

// Roles writes the rights as YAML: a Role for each namespace, and a ClusterRole
// for what lies in none.
func Roles(w io.Writer, needs []Need) error {
	for _, namespace := range namespaces(needs) {
		var role any
		if rules := rules(needs, namespace); namespace == "" {
			role = rbacv1.ClusterRole{
				TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
				ObjectMeta: metav1.ObjectMeta{Name: "fluxjob"}, Rules: rules,
			}
		} else {
			role = rbacv1.Role{
				TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"},
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "fluxjob"}, Rules: rules,
			}
		}
		text, err := yaml.Marshal(role)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s", strings.ReplaceAll(string(text), "  creationTimestamp: null\n", "")); err != nil {
			return err
		}
	}
	return nil
}

func namespaces(needs []Need) []string {
	var all []string
	for _, n := range needs {
		all = append(all, n.Namespace)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// rules puts together the resources of a group that take the same verbs.
func rules(needs []Need, namespace string) []rbacv1.PolicyRule {
	type resource struct{ group, name string }
	verbs := map[resource][]string{}
	var resources []resource
	for _, n := range needs {
		if n.Namespace != namespace {
			continue
		}
		r := resource{n.Group, n.Resource}
		if verbs[r] == nil {
			resources = append(resources, r)
		}
		if !slices.Contains(verbs[r], n.Verb) {
			verbs[r] = append(verbs[r], n.Verb)
		}
	}
	var rules []rbacv1.PolicyRule
	for _, r := range resources {
		slices.Sort(verbs[r])
		i := slices.IndexFunc(rules, func(rule rbacv1.PolicyRule) bool {
			return rule.APIGroups[0] == r.group && slices.Equal(rule.Verbs, verbs[r])
		})
		if i < 0 {
			rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{r.group}, Resources: []string{r.name}, Verbs: verbs[r]})
			continue
		}
		rules[i].Resources = append(rules[i].Resources, r.name)
	}
	return rules
}
