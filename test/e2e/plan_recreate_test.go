package e2e

import (
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// migrated is a space in which the Job "migrate" of image app:1 has run.
func migrated(t *testing.T, spec ...string) *space {
	t.Helper()
	s := one(t, job("migrate", "app:1", mark("ran")), spec...)
	s.apply(0)
	return s
}

func TestRecreateBySpecForce(t *testing.T) {
	t.Parallel()
	s := migrated(t, "force: true")
	uid := s.live("Job/migrate").GetUID()
	s.replace("app/all.yaml", "image: app:1", "image: app:2")
	p := s.plan(3)
	c := p.want("Job/migrate", plan.Recreate, plan.ImmutableField)
	equal(t, "allowed by", c.Reason.AllowedBy, "spec.force of "+s.ns+"/app")
	equal(t, "job", c.Job, &plan.Job{WillRun: true, Last: plan.Complete, WaitFor: "complete"})
	equal(t, "UID", c.Live.UID, string(uid))
	equal(t, "UID after the plan", s.live("Job/migrate").GetUID(), uid)
	a := s.apply(0)
	a.order("object-deleted Job/migrate", "object-applied Job/migrate", "job-started Job/migrate", "job-complete Job/migrate", "step-done app")
	equal(t, "written", a.wrote(), []string{"recreate Job/migrate"})
	if s.live("Job/migrate").GetUID() == uid {
		t.Error("the Job is still the old one")
	}
	equal(t, "marks", s.marks(), []string{"ran", "ran"})
	s.plan(0)
}

func TestRecreateByAnnotation(t *testing.T) {
	t.Parallel()
	s := one(t, annotate(job("migrate", "app:1", mark("ran")), forceAnnotation, "enabled"))
	s.apply(0)
	s.replace("app/all.yaml", "image: app:1", "image: app:2")
	p := s.plan(3)
	c := p.want("Job/migrate", plan.Recreate, plan.ImmutableField)
	wantText(t, c.Reason.AllowedBy, "annotation", forceAnnotation)
	s.apply(0)
	equal(t, "marks", s.marks(), []string{"ran", "ran"})
}

func TestRecreateRequested(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	uid := s.live("Job/migrate").GetUID()
	for _, name := range []string{"migrate", "@NS/migrate"} {
		p := s.plan(3, "--replace", name)
		c := p.want("Job/migrate", plan.Recreate, plan.Requested)
		equal(t, "allowed by", c.Reason.AllowedBy, "--replace")
	}
	s.apply(0, "--replace", "migrate")
	if s.live("Job/migrate").GetUID() == uid {
		t.Error("the Job is still the old one")
	}
	equal(t, "marks", s.marks(), []string{"ran", "ran"})
}

func TestReplaceOfAnUnknownJob(t *testing.T) {
	t.Parallel()
	s := one(t, job("migrate", "app:1", "true"))
	r := s.run(2, "plan", "-f", "flux.yaml", "-n", "@NS", "--replace", "other")
	wantText(t, r.stderr, "--replace other", "none of the Kustomizations renders such a Job")
}

func TestBlockedImmutableNotForced(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	s.write(files{
		"flux.yaml":      kustomization("app") + kustomization("web", after("app")) + kustomization("report", after("web")) + kustomization("other"),
		"web/all.yaml":   configMap("web", "1"),
		"report/a.yaml":  configMap("report", "1"),
		"other/all.yaml": configMap("other", "1"),
	})
	s.replace("app/all.yaml", "image: app:1", "image: app:2")
	before := s.versions(s.ns, "Job/migrate", "ConfigMap/fluxjob-inventory-app")
	p := s.plan(4)
	c := p.want("Job/migrate", plan.Blocked, plan.ImmutableNotForced)
	equal(t, "allowed by", c.Reason.AllowedBy, "")
	wantText(t, c.Reason.Detail, "immutable")
	equal(t, "held back", p.step("app").HoldsBack, s.keysOf("report", "web"))
	equal(t, "complete", p.Complete, true)
	equal(t, "applyable", p.Applyable, false)
	p.want("ConfigMap/other", plan.Create, plan.NotFound)
	s.run(0, "plan", "-f", "flux.yaml", "-n", "@NS")
	a := s.apply(4)
	wantText(t, a.stderr, "blocked", "nothing was written")
	s.absent("ConfigMap/web", "ConfigMap/report", "ConfigMap/other")
	equal(t, "versions", s.versions(s.ns, "Job/migrate", "ConfigMap/fluxjob-inventory-app"), before)
	table := s.run(4, "plan", "-f", "flux.yaml", "-n", "@NS", "--exit-code").stdout
	wantText(t, table, "Held: Kustomization "+s.ns+"/app cannot be applied and holds back "+s.ns+"/report, "+s.ns+"/web.")
}

// TestBlockedInvalidReplacement is the case in which Flux deletes the Job and
// then fails to create the new one.
func TestBlockedInvalidReplacement(t *testing.T) {
	t.Parallel()
	s := migrated(t, "force: true")
	before := s.versions(s.ns, "Job/migrate")
	s.replace("app/all.yaml", "restartPolicy: Never", "restartPolicy: Always")
	p := s.plan(4)
	c := p.want("Job/migrate", plan.Blocked, plan.Invalid)
	wantText(t, c.Reason.Detail, "restartPolicy")
	equal(t, "held back", len(p.step("app").HoldsBack), 0)
	s.apply(4)
	equal(t, "versions", s.versions(s.ns, "Job/migrate"), before)
	p = s.plan(4, "--replace", "migrate")
	p.want("Job/migrate", plan.Blocked, plan.Invalid)
}

func TestFieldsThatForceARecreation(t *testing.T) {
	t.Parallel()
	s := migrated(t, "force: true")
	s.replace("app/all.yaml", "image: app:1", "image: app:2")
	s.replace("app/all.yaml", "backoffLimit: 0", "backoffLimit: 2")
	p := s.plan(3)
	c := p.want("Job/migrate", plan.Recreate, plan.ImmutableField)
	equal(t, "fields", c.Fields, []plan.Field{
		{Path: "spec.backoffLimit", Old: "0", New: "2"},
		{Path: "spec.template.spec.containers[migrate].image", Old: "app:1", New: "app:2", ForcesRecreate: true},
	})
	table := s.run(0, "plan", "-f", "flux.yaml", "-n", "@NS").stdout
	wantText(t, table, "spec.template.spec.containers[migrate].image: app:1 → app:2", "recreate, will run")
	wantNoText(t, table, "backoffLimit")
}

// TestMutableFieldOfAJob changes nothing for which the Job would run again.
func TestMutableFieldOfAJob(t *testing.T) {
	t.Parallel()
	s := migrated(t, "force: true")
	uid := s.live("Job/migrate").GetUID()
	s.replace("app/all.yaml", "backoffLimit: 0", "backoffLimit: 2")
	p := s.plan(1)
	c := p.want("Job/migrate", plan.Update, plan.Changed)
	equal(t, "job", c.Job, &plan.Job{Last: plan.Complete})
	equal(t, "fields", c.Fields, []plan.Field{{Path: "spec.backoffLimit", Old: "0", New: "2"}})
	s.apply(0)
	equal(t, "UID", s.live("Job/migrate").GetUID(), uid)
	equal(t, "marks", s.marks(), []string{"ran"})
}

// TestImmutableFieldsOfOtherKinds covers what else the API server does not
// change: each is blocked without force and recreated with it.
func TestImmutableFieldsOfOtherKinds(t *testing.T) {
	t.Parallel()
	roleBinding := `---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: object}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: default, namespace: "@NS"}]
`
	for _, tt := range []struct{ ref, manifest, old, changed, field string }{
		{"Deployment/object", deployment("object", "app:1"), "app: object}", "app: object, tier: web}", "spec.selector.matchLabels.tier"},
		{"RoleBinding/object", roleBinding, "name: view", "name: edit", "roleRef.name"},
		{"ConfigMap/object", configMap("object", "1") + "immutable: true\n", `"1"`, `"2"`, "data.key"},
	} {
		t.Run(tt.ref, func(t *testing.T) {
			t.Parallel()
			s := one(t, tt.manifest)
			s.apply(0)
			before := s.live(tt.ref).GetUID()
			s.replace("app/all.yaml", tt.old, tt.changed)
			p := s.plan(4)
			c := p.want(tt.ref, plan.Blocked, plan.ImmutableNotForced)
			equal(t, "forcing field", forcingField(c, tt.field), true)
			s.apply(4)
			equal(t, "UID", s.live(tt.ref).GetUID(), before)

			s.write(files{"flux.yaml": kustomization("app", "force: true")})
			p = s.plan(1)
			c = p.want(tt.ref, plan.Recreate, plan.ImmutableField)
			equal(t, "forcing field", forcingField(c, tt.field), true)
			s.apply(0)
			if s.live(tt.ref).GetUID() == before {
				t.Error("it is still the old object")
			}
			s.plan(0)
		})
	}
}

func forcingField(c plan.Change, path string) bool {
	for _, f := range c.Fields {
		if f.Path == path {
			return f.ForcesRecreate
		}
	}
	return false
}
