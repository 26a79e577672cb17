package e2e

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

func replicas(u *unstructured.Unstructured) int64 {
	n, _, _ := unstructured.NestedInt64(u.Object, "spec", "replicas")
	return n
}

const ignoreReplicas = "ignore: [{paths: [/spec/replicas], target: {kind: Deployment}}]"

// TestIgnoredReplicasStay when nothing else changes, and when something does.
func TestIgnoredReplicasStay(t *testing.T) {
	t.Parallel()
	s := one(t, deployment("web", "app:1"), ignoreReplicas)
	s.apply(0)
	s.update("Deployment/web", `[{"op": "replace", "path": "/spec/replicas", "value": 0}]`)
	p := s.plan(0)
	p.want("Deployment/web", plan.Unchanged, "")

	s.replace("app/all.yaml", "app:1", "app:2")
	p = s.plan(1)
	c := p.want("Deployment/web", plan.Update, plan.Changed)
	equal(t, "ignored", c.Ignored, []string{"/spec/replicas"})
	equal(t, "fields", c.Fields, []plan.Field{{Path: "spec.template.spec.containers[web].image", Old: "app:1", New: "app:2"}})
	s.apply(0)
	live := s.live("Deployment/web")
	equal(t, "image", image(live), "app:2")
	equal(t, "replicas", replicas(live), int64(0))
	s.plan(0)
}

// TestIgnoredReplicasAreLeftToWhoAppliesThem: they are not ours any more then.
func TestIgnoredReplicasAreLeftToWhoAppliesThem(t *testing.T) {
	t.Parallel()
	s := one(t, deployment("web", "app:1"), ignoreReplicas)
	s.apply(0)
	scaled := s.parse("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 0}")[0]
	if _, err := s.in("Deployment", s.ns).Apply(t.Context(), "web", scaled, metav1.ApplyOptions{FieldManager: "scaler", Force: true}); err != nil {
		t.Fatal(err)
	}
	s.replace("app/all.yaml", "app:1", "app:2")
	s.apply(0)
	live := s.live("Deployment/web")
	equal(t, "image", image(live), "app:2")
	equal(t, "replicas", replicas(live), int64(0))
	for _, m := range live.GetManagedFields() {
		if m.Manager == "kustomize-controller" && m.Subresource == "" {
			wantNoText(t, m.FieldsV1.GetRawString(), "f:replicas")
		}
	}
	s.plan(0)
}

// TestIgnoredFieldThatLeftTheManifest blocks an update, as it fails Flux.
func TestIgnoredFieldThatLeftTheManifest(t *testing.T) {
	t.Parallel()
	config := func(data string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: " + data
	}
	s := one(t, config("{mine: a, theirs: a}"), "ignore: [{paths: [/data/theirs]}]")
	s.apply(0)
	s.write(files{"app/all.yaml": config("{mine: a}")})
	s.plan(0)
	s.write(files{"app/all.yaml": config("{mine: b}")})
	p := s.plan(4)
	c := p.want("ConfigMap/settings", plan.Blocked, plan.DryRunFailed)
	wantText(t, c.Reason.Detail, "spec.ignore: replace operation does not apply", "/data/theirs")
}
