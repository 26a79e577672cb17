package e2e

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// sopsFixtures holds an age key, and what is encrypted to it: the old and the
// new password, each as a Secret "access" and as a file of variables.
const sopsFixtures = "../fixtures/sops"

func sopsFixture(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(sopsFixtures, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// encrypted is a space with the Kustomization "app". It has the encrypted Secret
// "access", a Secret "app-HASH" that is generated from an encrypted file, the
// Job "migrate" that uses it, and the ConfigMap "settings".
func encrypted(t *testing.T, decryption string) *space {
	t.Helper()
	s := newSpace(t, files{
		"flux.yaml": kustomization("app", "force: true", "decryption: "+decryption),
		"app/kustomization.yaml": `resources: [access.yaml, all.yaml]
secretGenerator:
- name: app
  envs: [app.env]
`,
		"app/all.yaml": configMap("settings", "1") + job("migrate", "app:1", mark(`"$PASSWORD"`)) +
			"        envFrom: [{secretRef: {name: app}}]\n",
	})
	s.encryptedIs("old")
	return s
}

func (s *space) encryptedIs(version string) {
	s.t.Helper()
	s.write(files{
		"app/access.yaml": sopsFixture(s.t, "access-"+version+".yaml"),
		"app/app.env":     sopsFixture(s.t, "app-"+version+".env"),
	})
}

// keysInCluster creates the Secret with the age key.
func (s *space) keysInCluster() {
	s.t.Helper()
	s.create("apiVersion: v1\nkind: Secret\nmetadata: {name: sops-keys}\nstringData:\n  a.agekey: |\n    " +
		strings.ReplaceAll(sopsFixture(s.t, "key.agekey"), "\n", "\n    "))
}

// ageIdentity is the line of the key file that is secret.
func ageIdentity(t *testing.T) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(sopsFixture(t, "key.agekey")), "\n")
	return lines[len(lines)-1]
}

func (s *space) wantPassword(password string) {
	s.t.Helper()
	equal(s.t, "data of the Secret", text(s.live("Secret/access"), "data", "key"), base64.StdEncoding.EncodeToString([]byte(password)))
	marks := s.marks()
	if len(marks) == 0 || marks[len(marks)-1] != password {
		s.t.Errorf("the Job was given %v, want %q at last", marks, password)
	}
}

const fromCluster = "{provider: sops, secretRef: {name: sops-keys}}"

func TestSOPSWithTheKeyInTheCluster(t *testing.T) {
	t.Parallel()
	s := encrypted(t, fromCluster)
	s.keysInCluster()
	s.noSecret(3, 0, oldPassword, ageIdentity(t))
	s.wantPassword(oldPassword)

	s.encryptedIs("new")
	p := s.plan(3)
	c := p.want("Secret/access", plan.Update, plan.Changed)
	equal(t, "fields", c.Fields, []plan.Field{{Path: "data.key", Old: "(secret)", New: "(secret, changed)"}})
	p.want("Job/migrate", plan.Recreate, plan.ImmutableField)
	equal(t, "summary", p.Summary, plan.Summary{Create: 1, Update: 1, Recreate: 1, Delete: 1, Unchanged: 1, JobsToRun: 1})
	s.noSecret(3, 0, oldPassword, newPassword, ageIdentity(t))
	s.wantPassword(newPassword)
	s.plan(0)
}

func TestSOPSWithTheUsersKey(t *testing.T) {
	t.Parallel()
	file, err := filepath.Abs(filepath.Join(sopsFixtures, "key.agekey"))
	if err != nil {
		t.Fatal(err)
	}
	for name, variable := range map[string]string{
		"as text": "SOPS_AGE_KEY=" + ageIdentity(t),
		"in file": "SOPS_AGE_KEY_FILE=" + file,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := encrypted(t, "{provider: sops}")
			s.env = []string{variable}
			s.noSecret(3, 0, oldPassword, ageIdentity(t))
			s.wantPassword(oldPassword)
		})
	}
}

// TestSOPSWithoutAKey is asked after a change of which nothing can be known.
func TestSOPSWithoutAKey(t *testing.T) {
	t.Parallel()
	s := encrypted(t, "{provider: sops}")
	s.env = []string{"SOPS_AGE_KEY=" + ageIdentity(t)}
	s.run(0, "apply", "-n", "@NS", "-f", "flux.yaml", "--yes")
	generated := "Secret/" + envFrom(s.live("Job/migrate"))
	all := []string{"Secret/access", generated, "Job/migrate", "ConfigMap/settings"}
	before := s.versions(s.ns, all...)

	s.env = nil
	s.encryptedIs("new")
	p := s.plan(2)
	const advice = "set SOPS_AGE_KEY or SOPS_AGE_KEY_FILE"
	for _, ref := range []string{"Secret/access", "Secret/app-?", generated, "Job/migrate"} {
		wantText(t, p.want(ref, plan.Unknown, plan.Encrypted).Reason.Detail, advice)
	}
	p.want("ConfigMap/settings", plan.Unchanged, "")
	equal(t, "summary", p.Summary, plan.Summary{Unknown: 4, Unchanged: 1})
	if p.Complete || p.Applyable {
		t.Errorf("complete %t, applyable %t, want neither", p.Complete, p.Applyable)
	}
	wantNoText(t, s.run(2, "plan", "-n", "@NS", "-f", "flux.yaml", "-o", "diff", "--show-unchanged").stdout, ": aaaa", ": bbbb")
	r := s.run(2, "apply", "-n", "@NS", "-f", "flux.yaml", "--yes")
	wantText(t, r.stdout+r.stderr, s.expand("Secret/@NS/access"), advice, "nothing was written")
	equal(t, "what is live", s.versions(s.ns, all...), before)

	// The key that Flux is given decides, whatever the user has.
	s.write(files{"flux.yaml": kustomization("app", "decryption: "+fromCluster)})
	s.create("apiVersion: v1\nkind: Secret\nmetadata: {name: sops-keys}\nstringData: {a.agekey: " + otherIdentity + "}\n")
	s.env = []string{"SOPS_AGE_KEY=" + ageIdentity(t)}
	p = s.plan(2)
	equal(t, "problem", p.step("app").Problem.Reason, plan.BuildFailed)
	s.run(2, "apply", "-n", "@NS", "-f", "flux.yaml", "--yes")
	equal(t, "what is live", s.versions(s.ns, all...), before)
}

// otherIdentity is a throw-away age key for tests, to which nothing is encrypted.
const otherIdentity = "AGE-SECRET-KEY-12ATWENXXP0VER2LMM0PGHACJLDEM07AMZXUJ8MJSDZGCTZMFZ8AQST2253"

// envFrom returns the name of the Secret of which the Job's container has its
// variables.
func envFrom(job *unstructured.Unstructured) string {
	containers, _, _ := unstructured.NestedSlice(job.Object, "spec", "template", "spec", "containers")
	for _, c := range containers {
		from, _, _ := unstructured.NestedSlice(c.(map[string]any), "envFrom")
		for _, f := range from {
			name, _, _ := unstructured.NestedString(f.(map[string]any), "secretRef", "name")
			return name
		}
	}
	return ""
}
