package e2e

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// noSecret runs plan in every format, and apply, and checks that no output
// holds any of the values, plain or in base64.
func (s *space) noSecret(planCode, applyCode int, values ...string) {
	s.t.Helper()
	var forms []string
	for _, v := range values {
		forms = append(forms, v, base64.StdEncoding.EncodeToString([]byte(v)))
	}
	for _, format := range []string{"table", "diff", "json"} {
		r := s.run(planCode, "plan", "-n", "@NS", "-f", "flux.yaml", "-o", format, "--exit-code", "--show-unchanged")
		wantNoText(s.t, r.stdout+r.stderr, forms...)
	}
	r := s.run(applyCode, "apply", "-n", "@NS", "-f", "flux.yaml", "--yes", "--logs=all")
	wantNoText(s.t, r.stdout+r.stderr, forms...)
}

const (
	oldPassword = "correct-horse-battery"
	newPassword = "staple-of-the-stable"
)

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	s := one(t, secret("access", oldPassword))
	s.noSecret(1, 0, oldPassword)
	equal(t, "data", text(s.live("Secret/access"), "data", "key"), base64.StdEncoding.EncodeToString([]byte(oldPassword)))
	s.noSecret(0, 0, oldPassword)

	s.replace("app/all.yaml", oldPassword, newPassword)
	p := s.plan(1)
	c := p.want("Secret/access", plan.Update, plan.Changed)
	equal(t, "fields", c.Fields, []plan.Field{{Path: "data.key", Old: "(secret)", New: "(secret, changed)"}})
	s.noSecret(1, 0, oldPassword, newPassword)

	s.write(files{"app/all.yaml": configMap("other", "1")})
	s.noSecret(1, 0, newPassword)
	s.absent("Secret/access")
}

// TestSecretsOfKubectlAreNotShown has a copy of the data in an annotation.
func TestSecretsOfKubectlAreNotShown(t *testing.T) {
	t.Parallel()
	s := one(t, secret("access", newPassword))
	copied := `{"data": {"key": "` + base64.StdEncoding.EncodeToString([]byte(oldPassword)) + `"}}`
	s.createAs("kubectl-client-side-apply", annotate(secret("access", oldPassword), "kubectl.kubernetes.io/last-applied-configuration", copied))
	s.noSecret(1, 0, oldPassword, newPassword)
}

func TestSecretsOfAnInvalidSecretAreNotShown(t *testing.T) {
	t.Parallel()
	for name, manifest := range map[string]string{
		"wrong key":       strings.Replace(secret("access", newPassword), "key:", `"k e y":`, 1),
		"wrong type":      secret("access", newPassword) + "type: kubernetes.io/dockerconfigjson\n",
		"wrong base64":    strings.Replace(secret("access", newPassword), "stringData", "data", 1),
		"immutable":       secret("access", newPassword) + "immutable: true\n",
		"immutable force": annotate(secret("access", newPassword)+"immutable: true\n", forceAnnotation, "enabled"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := one(t, manifest)
			plans, applies := 4, 4
			switch name {
			case "immutable":
				s.create(secret("access", oldPassword) + "immutable: true\n")
			case "immutable force":
				s.create(secret("access", oldPassword) + "immutable: true\n")
				plans, applies = 1, 0
			case "wrong base64":
				// It is no object at all, so that nothing can be planned.
				plans, applies = s.planCode(), s.planCode()
			}
			s.noSecret(plans, applies, oldPassword, newPassword)
		})
	}
}

// planCode is the exit code of a plan, whatever it is.
func (s *space) planCode() int {
	p := s.start(nil, "plan", "-n", "@NS", "-f", "flux.yaml", "--exit-code")
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// TestSubstitutedSecretsAreNotShown puts a Secret's value into other objects,
// where it is part of fields, errors, logs and reasons.
func TestSubstitutedSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	const vars = "postBuild: {substituteFrom: [{kind: Secret, name: vars}]}"
	s := newSpace(t, files{
		"flux.yaml":  kustomization("app", vars, "force: true"),
		"app/a.yaml": configMap("url", "https://user:${password}@host") + job("migrate", "app:1", "echo with ${password}"),
	})
	s.create("apiVersion: v1\nkind: Secret\nmetadata: {name: vars}\nstringData: {password: " + oldPassword + "}\n")
	s.noSecret(3, 0, oldPassword)
	equal(t, "data", text(s.live("ConfigMap/url"), "data", "key"), "https://user:"+oldPassword+"@host")
	s.noSecret(0, 0, oldPassword)

	s.update("Secret/vars", `[{"op": "replace", "path": "/data/password", "value": "`+base64.StdEncoding.EncodeToString([]byte(newPassword))+`"}]`)
	s.noSecret(3, 0, oldPassword, newPassword)

	s.write(files{"app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: bad\n  labels:\n    team: \"${password}!\"\n"})
	p := s.plan(4)
	p.want("ConfigMap/bad", plan.Blocked, plan.Invalid)
	p.want("ConfigMap/url", plan.Delete, plan.Pruned)
	s.noSecret(4, 4, newPassword)

	t.Log("what is deleted holds the value too")
	s.write(files{"app/a.yaml": configMap("other", "1")})
	s.noSecret(1, 0, newPassword)
	s.absent("ConfigMap/url", "Job/migrate")
}

// TestOldSubstitutedSecretsAreNotShown changes the Secret after its value was
// applied: the old value stands in the cluster and in no Secret any more.
func TestOldSubstitutedSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	s := newSpace(t, files{
		"flux.yaml":  kustomization("app", "postBuild: {substituteFrom: [{kind: Secret, name: vars}]}"),
		"app/a.yaml": configMap("url", "https://user:${password}@host") + configMap("lines", "first\nsecond ${password}\nthird"),
	})
	s.create("apiVersion: v1\nkind: Secret\nmetadata: {name: vars}\nstringData: {password: " + oldPassword + "}\n")
	s.apply(0)
	s.update("Secret/vars", `[{"op": "replace", "path": "/data/password", "value": "`+base64.StdEncoding.EncodeToString([]byte(newPassword))+`"}]`)
	p := s.plan(1)
	c := p.want("ConfigMap/url", plan.Update, plan.Changed)
	equal(t, "fields", c.Fields, []plan.Field{{Path: "data.key", Old: "(secret)", New: "(secret, changed)"}})
	wantText(t, s.run(0, "plan", "-n", "@NS", "-f", "flux.yaml", "-o", "diff").stdout, "     first\n-    (secret)\n+    second (secret)\n     third\n")
	s.noSecret(1, 0, oldPassword, newPassword)
}
