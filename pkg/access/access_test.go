package access_test

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/fluxjob/kubectl-fluxjob/pkg/access"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

func served(ref object.Ref) (string, bool, bool) {
	switch ref.Kind {
	case "Kustomization", "Unserved":
		return "", false, false
	case "StorageClass":
		return "storageclasses", false, true
	}
	return strings.ToLower(ref.Kind) + "s", true, true
}

func change(kind, group string, a plan.Action) plan.Change {
	c := plan.Change{Object: object.Ref{Group: group, Version: "v1", Kind: kind, Namespace: "shop", Name: "x"}, Action: a}
	if kind == "Job" {
		c.Job = &plan.Job{}
	}
	return c
}

func TestOf(t *testing.T) {
	tests := []struct {
		name string
		step plan.Step
		want []string // in namespace shop or in none
	}{
		{"a new object", plan.Step{Changes: []plan.Change{change("ConfigMap", "", plan.Create)}}, []string{"create configmaps", "get configmaps", "patch configmaps"}},
		{"an unchanged object is tried, too", plan.Step{Changes: []plan.Change{change("ConfigMap", "", plan.Unchanged)}}, []string{"create configmaps", "get configmaps", "patch configmaps"}},
		{"what is pruned", plan.Step{Changes: []plan.Change{change("ConfigMap", "", plan.Delete)}}, []string{"delete configmaps", "get configmaps"}},
		{"what is skipped", plan.Step{Changes: []plan.Change{change("ConfigMap", "", plan.Skip)}}, []string{"get configmaps"}},
		{"what the cluster does not serve yet", plan.Step{Changes: []plan.Change{change("Unserved", "x.io", plan.Create)}}, nil},
		{
			"a Job that is recreated",
			plan.Step{Changes: []plan.Change{change("Job", "batch", plan.Recreate)}},
			[]string{
				"list events", "list pods", "watch pods", "get pods/log",
				"create jobs.batch", "delete jobs.batch", "get jobs.batch", "list jobs.batch", "patch jobs.batch", "watch jobs.batch",
			},
		},
		{
			"what is waited for",
			plan.Step{Wait: plan.Wait{All: true}, Changes: []plan.Change{change("Deployment", "apps", plan.Update)}},
			[]string{"create deployments.apps", "get deployments.apps", "list deployments.apps", "patch deployments.apps", "watch deployments.apps"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.step.Kustomization = object.Key{Namespace: "flux", Name: "k"}
			var got []string
			for _, n := range access.Of(&plan.Plan{Steps: []plan.Step{tt.step}}, nil, served) {
				if n.Namespace == "shop" {
					got = append(got, strings.TrimSuffix(n.String(), " in namespace shop"))
				}
			}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestRoles(t *testing.T) {
	p := &plan.Plan{Steps: []plan.Step{{
		Kustomization: object.Key{Namespace: "flux", Name: "k"},
		Changes:       []plan.Change{change("ConfigMap", "", plan.Create), change("StorageClass", "storage.k8s.io", plan.Create)},
	}}}
	var out strings.Builder
	if err := access.Roles(&out, access.Of(p, nil, served)); err != nil {
		t.Fatal(err)
	}
	want := `---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: fluxjob
rules:
- apiGroups:
  - storage.k8s.io
  resources:
  - storageclasses
  verbs:
  - create
  - get
  - patch
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: fluxjob
  namespace: flux
rules:
- apiGroups:
  - ""
  resources:
  - configmaps
  verbs:
  - create
  - delete
  - get
  - patch
- apiGroups:
  - coordination.k8s.io
  resources:
  - leases
  verbs:
  - create
  - delete
  - get
  - update
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: fluxjob
  namespace: shop
rules:
- apiGroups:
  - ""
  resources:
  - configmaps
  verbs:
  - create
  - get
  - patch
`
	if d := gocmp.Diff(want, out.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
