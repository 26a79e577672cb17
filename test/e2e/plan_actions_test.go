package e2e

import (
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// one is a space with one Kustomization, "app", whose folder holds one file.
func one(t *testing.T, manifests string, spec ...string) *space {
	t.Helper()
	return newSpace(t, files{"flux.yaml": kustomization("app", spec...), "app/all.yaml": manifests})
}

func TestCreateNotFound(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("settings", "1")+job("migrate", "app:1", mark("ran")))
	p := s.plan(3)
	c := p.want("ConfigMap/settings", plan.Create, plan.NotFound)
	if c.Live != nil || c.Job != nil {
		t.Errorf("want neither a live object nor a Job, got %+v %+v", c.Live, c.Job)
	}
	c = p.want("Job/migrate", plan.Create, plan.NotFound)
	equal(t, "job", c.Job, &plan.Job{WillRun: true, WaitFor: "complete"})
	equal(t, "summary", p.Summary, plan.Summary{Create: 2, JobsToRun: 1})
	s.absent("ConfigMap/settings", "Job/migrate")
	equal(t, "written", new(s.apply(0)).wrote(), []string{"create ConfigMap/settings", "create Job/migrate"})
	equal(t, "marks", s.marks(), []string{"ran"})
}

func TestChangesWithoutAJob(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("settings", "1"))
	p := s.plan(1)
	p.want("ConfigMap/settings", plan.Create, plan.NotFound)
}

func TestUnchangedJobDoesNotRunAgain(t *testing.T) {
	t.Parallel()
	s := one(t, job("migrate", "app:1", mark("ran")), "force: true")
	s.apply(0)
	before := s.versions(s.ns, "Job/migrate")
	p := s.plan(0)
	c := p.want("Job/migrate", plan.Unchanged, "")
	equal(t, "job", c.Job, &plan.Job{Last: plan.Complete})
	a := s.apply(0)
	equal(t, "written", a.wrote(), []string{})
	equal(t, "versions", s.versions(s.ns, "Job/migrate"), before)
	equal(t, "pods", len(s.pods("migrate")), 1)
	equal(t, "marks", s.marks(), []string{"ran"})
}

func TestRemovedJobRunsAgain(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("settings", "1")+job("migrate", "app:1", mark("ran")))
	s.apply(0)
	s.delete("Job/migrate")
	s.delete("ConfigMap/settings")
	p := s.plan(3)
	c := p.want("Job/migrate", plan.Create, plan.RemovedAfterRun)
	equal(t, "job", c.Job, &plan.Job{WillRun: true, WaitFor: "complete"})
	p.want("ConfigMap/settings", plan.Create, plan.NotFound)
	wantText(t, s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml").stdout, "create, will run again (was removed)")
	s.apply(0)
	equal(t, "marks", s.marks(), []string{"ran", "ran"})
}

func TestCreateAfterNamespace(t *testing.T) {
	t.Parallel()
	s := one(t, namespace("@NS-new")+placed(configMap("settings", "1"), "@NS-new"), "targetNamespace:")
	removeNamespace(s, s.ns+"-new")
	p := s.plan(1)
	p.want("Namespace/"+s.ns+"-new", plan.Create, plan.NotFound)
	p.want("ConfigMap/settings", plan.Create, plan.AfterNamespace)
	equal(t, "complete", p.Complete, true)
	s.apply(0)
	s.liveIn(s.ns+"-new", "ConfigMap/settings")
	s.plan(0)
}

func TestCreateAfterNamespaceOfADependency(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":      kustomization("infra", "targetNamespace:") + kustomization("app", "targetNamespace: \"@NS-new\"", after("infra")),
		"infra/all.yaml": namespace("@NS-new"),
		"app/all.yaml":   configMap("settings", "1"),
	})
	removeNamespace(s, s.ns+"-new")
	p := s.plan(1)
	p.want("ConfigMap/settings", plan.Create, plan.AfterNamespace)
	s.apply(0)
	s.liveIn(s.ns+"-new", "ConfigMap/settings")
}

func TestNamespaceOfAKustomizationThatIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":      kustomization("infra", "targetNamespace:") + kustomization("app", "targetNamespace: \"@NS-new\""),
		"infra/all.yaml": namespace("@NS-new"),
		"app/all.yaml":   configMap("settings", "1"),
	})
	p := s.plan(4)
	c := p.want("ConfigMap/settings", plan.Blocked, plan.DryRunFailed)
	wantText(t, c.Reason.Detail, "Kustomization "+s.ns+"/infra brings it", "spec.dependsOn")
	p.want("Namespace/"+s.ns+"-new", plan.Create, plan.NotFound)
}

// widgets defines a kind of the test's own.
const widgets = `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.@NS.example.com}
spec:
  group: "@NS.example.com"
  names: {kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

const widget = `---
apiVersion: "@NS.example.com/v1"
kind: Widget
metadata: {name: big}
spec: {size: 3}
`

func TestCreateAfterCRD(t *testing.T) {
	t.Parallel()
	s := one(t, widget+widgets)
	p := s.plan(1)
	p.want("CustomResourceDefinition/widgets."+s.ns+".example.com", plan.Create, plan.NotFound)
	p.want("Widget/big", plan.Create, plan.AfterCRD)
	a := s.apply(0)
	a.order("object-applied CustomResourceDefinition/widgets."+s.ns+".example.com", "object-applied Widget/big", "step-done app")
	p = s.plan(0)
	p.want("Widget/big", plan.Unchanged, "")
}

func TestCreateAfterCRDOfADependency(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":      kustomization("kinds") + kustomization("app", after("kinds")),
		"kinds/all.yaml": widgets,
		"app/all.yaml":   widget,
	})
	p := s.plan(1)
	p.want("Widget/big", plan.Create, plan.AfterCRD)
	s.apply(0)
	p = s.plan(0)
	p.want("Widget/big", plan.Unchanged, "")
}

func TestUpdateChanged(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("settings", "1"))
	s.apply(0)
	s.replace("app/all.yaml", `"1"`, `"2"`)
	p := s.plan(1)
	c := p.want("ConfigMap/settings", plan.Update, plan.Changed)
	equal(t, "fields", c.Fields, []plan.Field{{Path: "data.key", Old: "1", New: "2"}})
	uid := s.live("ConfigMap/settings").GetUID()
	equal(t, "written", new(s.apply(0)).wrote(), []string{"update ConfigMap/settings"})
	u := s.live("ConfigMap/settings")
	equal(t, "UID", u.GetUID(), uid)
	equal(t, "data", text(u, "data", "key"), "2")
}

// TestUpdateOfAHandMadeChange undoes what somebody changed in the cluster.
func TestUpdateOfAHandMadeChange(t *testing.T) {
	t.Parallel()
	s := one(t, deployment("app", "app:1"))
	s.apply(0)
	s.update("Deployment/app", `[{"op": "replace", "path": "/spec/replicas", "value": 2}]`)
	p := s.plan(1)
	c := p.want("Deployment/app", plan.Update, plan.Changed)
	equal(t, "fields", c.Fields, []plan.Field{{Path: "spec.replicas", Old: "2", New: "1"}})
}

func TestUpdateOwnershipOfKubectl(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("settings", "1"))
	made := annotate(configMap("settings", "1"), "kubectl.kubernetes.io/last-applied-configuration", "{}")
	s.createAs("kubectl-client-side-apply", labelled(made, s.ns, "app"))
	p := s.plan(1)
	c := p.want("ConfigMap/settings", plan.Update, plan.Ownership)
	wantText(t, c.Reason.Detail, "takes over")
	uid := s.live("ConfigMap/settings").GetUID()
	equal(t, "written", new(s.apply(0)).wrote(), []string{"update ConfigMap/settings"})
	u := s.live("ConfigMap/settings")
	equal(t, "UID", u.GetUID(), uid)
	equal(t, "annotations", u.GetAnnotations(), nil)
	equal(t, "managers", managers(u), []string{"kustomize-controller Apply"})
	s.plan(0)
}

func TestUpdateOwnershipByLabels(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("settings", "1"))
	s.create(configMap("settings", "1"))
	p := s.plan(1)
	c := p.want("ConfigMap/settings", plan.Update, plan.Ownership)
	wantText(t, c.Reason.Detail, "owner labels")
	s.apply(0)
	equal(t, "labels", s.live("ConfigMap/settings").GetLabels(), owner(s.ns, "app"))
	s.plan(0)
}

func TestDeletePruned(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{"flux.yaml": kustomization("app"), "app/kept.yaml": configMap("kept", "1"), "app/old.yaml": configMap("old", "1") + job("once", "app:1", mark("ran"))})
	s.apply(0)
	s.remove("app/old.yaml")
	p := s.plan(1)
	p.want("ConfigMap/old", plan.Delete, plan.Pruned)
	c := p.want("Job/once", plan.Delete, plan.Pruned)
	equal(t, "job", c.Job, &plan.Job{Last: plan.Complete})
	p.want("ConfigMap/kept", plan.Unchanged, "")
	s.live("ConfigMap/old")
	equal(t, "written", new(s.apply(0)).wrote(), []string{"delete Job/once", "delete ConfigMap/old"})
	s.absent("ConfigMap/old", "Job/once")
	s.live("ConfigMap/kept")
	s.plan(0)
}

// TestUnknownForbidden plans with rights that do not reach every object.
func TestUnknownForbidden(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("settings", "1")+job("migrate", "app:1", "true")+deployment("app", "app:1"))
	s.create(`apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: viewer}
rules:
- {apiGroups: ["", kustomize.toolkit.fluxcd.io], resources: [configmaps, kustomizations], verbs: [get, list, patch, create]}
- {apiGroups: [apps], resources: [deployments], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: viewer}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "viewer-@NS"}]
`)
	s.mayGet("viewer-"+s.ns, "Deployment/app")
	p := s.plan(2, "--as", "viewer-@NS")
	p.want("ConfigMap/settings", plan.Create, plan.NotFound)
	c := p.want("Job/migrate", plan.Unknown, plan.Forbidden)
	wantText(t, c.Reason.Detail, "viewer-"+s.ns, "cannot get resource")
	c = p.want("Deployment/app", plan.Unknown, plan.Forbidden)
	wantText(t, c.Reason.Detail, "viewer-"+s.ns, "cannot patch resource")
	equal(t, "complete", p.Complete, false)
	a := s.apply(4, "--as", "viewer-@NS")
	wantText(t, a.stderr, "these rights are missing, nothing was written", "patch deployments.apps in namespace "+s.ns, "get jobs.batch in namespace "+s.ns)
	s.absent("ConfigMap/settings")
}

// TestBlockedForbidden plans an object that a rule of the cluster refuses.
func TestBlockedForbidden(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("settings", "1")+`---
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  containers: [{name: main, image: app, resources: {limits: {cpu: "4"}}}]
`)
	s.create("apiVersion: v1\nkind: LimitRange\nmetadata: {name: small}\nspec: {limits: [{type: Container, max: {cpu: \"1\"}}]}\n")
	p := s.plan(4)
	c := p.want("Pod/greedy", plan.Blocked, plan.Forbidden)
	wantText(t, c.Reason.Detail, "maximum cpu usage per Container is 1")
	p.want("ConfigMap/settings", plan.Create, plan.NotFound)
	s.apply(4)
	s.absent("ConfigMap/settings")
}

func TestBlockedKindThatIsNotServed(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("settings", "1")+widget)
	p := s.plan(4)
	c := p.want("Widget/big", plan.Blocked, plan.DryRunFailed)
	wantText(t, c.Reason.Detail, "does not serve "+s.ns+".example.com/v1 Widget")
	p.want("ConfigMap/settings", plan.Create, plan.NotFound)
	s.apply(4)
	s.absent("ConfigMap/settings")
}

func TestBlockedNamespaceThatNothingBrings(t *testing.T) {
	t.Parallel()
	s := one(t, placed(configMap("lost", "1"), "@NS-absent")+placed(configMap("settings", "1"), "@NS"), "targetNamespace:")
	p := s.plan(4)
	c := p.want("ConfigMap/lost", plan.Blocked, plan.DryRunFailed)
	wantText(t, c.Reason.Detail, s.ns+"-absent", "not found")
	p.want("ConfigMap/settings", plan.Create, plan.NotFound)
}

func TestBlockedInvalidCreate(t *testing.T) {
	t.Parallel()
	s := one(t, job("bad", "app:1", "true", "parallelism: -1")+configMap("settings", "1"))
	p := s.plan(4)
	c := p.want("Job/bad", plan.Blocked, plan.Invalid)
	wantText(t, c.Reason.Detail, "spec.parallelism")
	p.want("ConfigMap/settings", plan.Create, plan.NotFound)
}
