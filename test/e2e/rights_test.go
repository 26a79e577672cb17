package e2e

import (
	"strings"
	"testing"
)

// TestExplainedRightsAreEnough to make the plan and to run it.
func TestExplainedRightsAreEnough(t *testing.T) {
	t.Parallel()
	s := newSpace(t, release(mark("ran")))
	roles := s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "--explain-rbac").stdout
	wantText(t, roles, "kind: Role", "name: fluxjob", "namespace: "+s.ns, "pods/log")
	s.create(roles + `---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: fluxjob}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: fluxjob}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "runner-@NS"}]
`)
	s.mayGet("runner-"+s.ns, "Job/migrate")
	a := s.apply(0, "--as", "runner-@NS")
	if strings.Contains(a.stderr, "cannot") {
		t.Errorf("something was not allowed:\n%s", a.stderr)
	}
	s.live("Deployment/application")
	equal(t, "marks", s.marks(), []string{"ran"})
}
