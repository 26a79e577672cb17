package e2e

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

const (
	clientSideApply = "kubectl-client-side-apply"
	container       = "spec.template.spec.containers[web]"
)

// extra adds a variable to the container of a Deployment or Job.
func extra(document string) string {
	return document + "        env: [{name: EXTRA, value: \"1\"}]\n"
}

// template returns the pod template of a Deployment or Job as text.
func template(u *unstructured.Unstructured) string {
	spec, _, _ := unstructured.NestedMap(u.Object, "spec", "template")
	return fmt.Sprint(spec)
}

// TestFieldsOfKubectlGo with an update, as the plan says.
func TestFieldsOfKubectlGo(t *testing.T) {
	t.Parallel()
	s := one(t, deployment("web", "app:1"))
	s.createAs(clientSideApply, extra(deployment("web", "app:1")))
	p := s.plan(1)
	c := p.want("Deployment/web", plan.Update, plan.Changed)
	equal(t, "fields", c.Fields, []plan.Field{
		{Path: "metadata.labels", New: `{"kustomize.toolkit.fluxcd.io/name":"app","kustomize.toolkit.fluxcd.io/namespace":"` + s.ns + `"}`},
		{Path: container + ".env", Old: `[{"name":"EXTRA","value":"1"}]`},
	})
	a := s.apply(0)
	equal(t, "written", a.wrote(), []string{"update Deployment/web"})
	live := s.live("Deployment/web")
	wantNoText(t, template(live), "EXTRA")
	equal(t, "managers", managers(live), []string{"kustomize-controller Apply"})
	s.plan(0)
}

// TestNothingOfKubectlGoes costs no request more than any other update.
func TestNothingOfKubectlGoes(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("settings", "1"))
	s.createAs(clientSideApply, annotate(configMap("settings", "1"), "kubectl.kubernetes.io/last-applied-configuration", "{}"))
	p := s.plan(1)
	p.want("ConfigMap/settings", plan.Update, plan.Ownership)
	equal(t, "dry-runs", p.Requests.DryRun, 1)
	s.apply(0)
	s.plan(0)
}

// TestFieldsOfKubectlThatCannotGo block the plan, and nothing is written.
func TestFieldsOfKubectlThatCannotGo(t *testing.T) {
	t.Parallel()
	s := one(t, job("web", "app:1", mark("ran")), "force: true")
	s.createAs(clientSideApply, extra(job("web", "app:1", mark("ran"))))
	before := s.becomes("Job/web", "is complete", condition("Complete"))
	p := s.plan(4)
	c := p.want("Job/web", plan.Blocked, plan.ImmutableTakenOver)
	wantText(t, c.Reason.Detail, "takes over", "spec.template: field is immutable", "--replace", ssaAnnotation)
	equal(t, "fields", c.Fields, []plan.Field{
		{Path: "metadata.labels[kustomize.toolkit.fluxcd.io/name]", New: "app"},
		{Path: "metadata.labels[kustomize.toolkit.fluxcd.io/namespace]", New: s.ns},
		{Path: container + ".env", Old: `[{"name":"EXTRA","value":"1"}]`, ForcesRecreate: true},
	})
	s.apply(4)
	equal(t, "resource version", s.live("Job/web").GetResourceVersion(), before.GetResourceVersion())
	s.apply(0, "--replace", "web")
	live := s.live("Job/web")
	wantNoText(t, template(live), "EXTRA")
	equal(t, "marks", s.marks(), []string{"ran", "ran"})
	s.plan(0)
}

// TestMergeLeavesTheFieldsOfKubectl to kubectl.
func TestMergeLeavesTheFieldsOfKubectl(t *testing.T) {
	t.Parallel()
	s := one(t, annotate(deployment("web", "app:2"), ssaAnnotation, "Merge"))
	s.createAs(clientSideApply, extra(deployment("web", "app:1")))
	p := s.plan(1)
	c := p.want("Deployment/web", plan.Update, plan.Changed)
	for _, f := range c.Fields {
		wantNoText(t, f.Path, "env")
	}
	s.apply(0)
	live := s.live("Deployment/web")
	equal(t, "image", image(live), "app:2")
	wantText(t, template(live), "EXTRA")
	equal(t, "managers", managers(live), []string{"kustomize-controller Apply", clientSideApply + " Update"})
	s.plan(0)
}

// TestRecreationNamesOnlyWhatChanges, and nothing of what the cluster adds.
func TestRecreationNamesOnlyWhatChanges(t *testing.T) {
	t.Parallel()
	const pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: toolbox}\nspec: {containers: [{name: main, image: 'app:1', command: [sleep, '600']}]}\n"
	const service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n"
	s := one(t, pod+service+deployment("web", "app:1"), "force: true")
	s.apply(0)
	s.becomes("Deployment/web", "has its revision", func(u *unstructured.Unstructured) bool { return len(u.GetAnnotations()) > 0 })
	s.becomes("Pod/toolbox", "is on a node", func(u *unstructured.Unstructured) bool { return text(u, "spec", "nodeName") != "" })
	s.replace("app/all.yaml", "[sleep, '600']", "[sleep, '700']")
	s.replace("app/all.yaml", "selector: {app: web}", "clusterIP: None, selector: {app: web}")
	s.replace("app/all.yaml", "selector: {matchLabels: {app: web}}", "selector: {matchLabels: {app: web, tier: web}}")
	s.replace("app/all.yaml", "labels: {app: web}}", "labels: {app: web, tier: web}}")
	p := s.plan(1)
	want := map[string][]plan.Field{
		"Pod/toolbox": {{Path: "spec.containers[main].command[1]", Old: "600", New: "700", ForcesRecreate: true}},
		"Service/web": {{Path: "spec.clusterIP", New: "None", ForcesRecreate: true}},
		"Deployment/web": {
			{Path: "spec.selector.matchLabels.tier", New: "web", ForcesRecreate: true},
			{Path: "spec.template.metadata.labels.tier", New: "web"},
		},
	}
	for ref, fields := range want {
		equal(t, ref, p.want(ref, plan.Recreate, plan.ImmutableField).Fields, fields)
	}
}
