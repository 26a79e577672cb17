package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// versions returns UID and resourceVersion of objects by "Kind/name": they stay
// the same if, and only if, nobody wrote.
func (s *space) versions(namespace string, refs ...string) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, ref := range refs {
		u := s.liveIn(namespace, ref)
		all[ref] = string(u.GetUID()) + " " + u.GetResourceVersion()
	}
	return all
}

// settled waits until a Deployment has its pods and no controller writes to it
// any more.
func (s *space) settled(namespace, name string) {
	s.t.Helper()
	inNamespace := *s
	inNamespace.ns = namespace
	inNamespace.becomes("Deployment/"+name, "is settled", func(u *unstructured.Unstructured) bool {
		number := func(field string) int64 {
			n, _, _ := unstructured.NestedInt64(u.Object, "status", field)
			return n
		}
		return condition("Available")(u) && condition("Progressing")(u) && strings.Contains(conditionReasons(u), "NewReplicaSetAvailable") &&
			number("observedGeneration") == u.GetGeneration() && number("replicas") == number("availableReplicas") &&
			number("updatedReplicas") == number("availableReplicas") && number("terminatingReplicas") == 0
	})
}

// conditionReasons lists the reasons of an object's conditions.
func conditionReasons(u *unstructured.Unstructured) string {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	var reasons []string
	for _, item := range list {
		c, _ := item.(map[string]any)
		reason, _ := c["reason"].(string)
		reasons = append(reasons, reason)
	}
	return strings.Join(reasons, " ")
}

// writtenAt is when the cluster says that Flux's field manager wrote last to
// the object.
func (s *space) writtenAt(namespace, ref string) string {
	s.t.Helper()
	for _, m := range s.liveIn(namespace, ref).GetManagedFields() {
		if m.Manager == "kustomize-controller" && m.Operation == metav1.ManagedFieldsOperationApply {
			return m.Time.UTC().Format(time.RFC3339)
		}
	}
	s.t.Fatalf("%s was not applied by kustomize-controller", ref)
	return ""
}

// notBefore checks the order of two of the cluster's timestamps, which count in
// whole seconds.
func (s *space) notBefore(later, earlier string) {
	s.t.Helper()
	parse := func(stamp string) time.Time {
		at, err := time.Parse(time.RFC3339, stamp)
		if err != nil {
			s.t.Fatal(err)
		}
		return at
	}
	if parse(later).Before(parse(earlier)) {
		s.t.Errorf("%s is before %s", later, earlier)
	}
}

// managers lists the field managers of an object, as "name operation".
func managers(u *unstructured.Unstructured) []string {
	var all []string
	for _, m := range u.GetManagedFields() {
		if m.Subresource == "" {
			all = append(all, m.Manager+" "+string(m.Operation))
		}
	}
	return all
}

// kustomizationCRD defines the kind of Flux's live objects, without a schema.
const kustomizationCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kustomizations.kustomize.toolkit.fluxcd.io}
spec:
  group: kustomize.toolkit.fluxcd.io
  names: {kind: Kustomization, listKind: KustomizationList, plural: kustomizations, singular: kustomization}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
`

var (
	fluxOnce      sync.Once
	fluxIsDefined atomic.Bool
)

// withFlux makes the cluster serve Flux's Kustomizations. No controller
// reconciles them. Only tests that run in parallel call it, so that those which
// do not find a cluster without Flux.
func withFlux(t *testing.T, s *space) {
	t.Helper()
	fluxOnce.Do(func() {
		fluxIsDefined.Store(true)
		s.create(kustomizationCRD)
	})
	s.becomes("CustomResourceDefinition/kustomizations.kustomize.toolkit.fluxcd.io", "is established", condition("Established"))
}

// update changes a live object by a JSON patch, by the hand of somebody else.
func (s *space) update(ref, patch string) {
	s.t.Helper()
	s.patch(ref, patch)
}

// updateStatus changes the status of a live object by a JSON patch.
func (s *space) updateStatus(ref, patch string) {
	s.t.Helper()
	s.patch(ref, patch, "status")
}

func (s *space) patch(ref, patch string, subresources ...string) {
	s.t.Helper()
	kind, name, _ := strings.Cut(ref, "/")
	_, err := s.in(kind, s.ns).Patch(s.t.Context(), name, types.JSONPatchType, []byte(s.expand(patch)), metav1.PatchOptions{FieldManager: "somebody"}, subresources...)
	if err != nil {
		s.t.Fatalf("patch %s: %v", ref, err)
	}
}

// owner are the labels by which Flux marks what a Kustomization owns.
func owner(namespace, name string) map[string]string {
	return map[string]string{"kustomize.toolkit.fluxcd.io/namespace": namespace, "kustomize.toolkit.fluxcd.io/name": name}
}

// removeNamespace removes a further namespace at the test's end.
func removeNamespace(s *space, name string) {
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = client.Resource(resources["Namespace"]).Delete(ctx, name, metav1.DeleteOptions{})
	})
}

// inventory lists the entries of the plugin's own inventory of a Kustomization.
func (s *space) inventory(name string) []string {
	s.t.Helper()
	var entries []plan.Entry
	if err := json.Unmarshal([]byte(text(s.live("ConfigMap/fluxjob-inventory-"+name), "data", "entries")), &entries); err != nil {
		s.t.Fatal(err)
	}
	ids := []string{}
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	return ids
}

// The shell commands by which a Job tells that it has started, and by which it
// waits until the test lets it go.
const (
	tellStarted = "touch @OUT/started"
	awaitGo     = "until [ -e @OUT/go ]; do sleep 0.1; done"
)

// hasStarted waits until a Job has run tellStarted.
func (s *space) hasStarted() {
	s.t.Helper()
	s.eventually("a Job tells that it has started", func(context.Context) (bool, error) {
		_, err := os.Stat(filepath.Join(s.out, "started"))
		return err == nil, nil
	})
}

// letGo ends awaitGo.
func (s *space) letGo() {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.out, "go"), nil, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// inForce says whether the controller of quotas has taken up a ResourceQuota.
func inForce(u *unstructured.Unstructured) bool {
	used, _, _ := unstructured.NestedMap(u.Object, "status", "used")
	return len(used) > 0
}

// goneByItself waits until an object does not exist any more.
func (s *space) goneByItself(ref string) {
	s.t.Helper()
	kind, name, _ := strings.Cut(ref, "/")
	s.eventually(ref+" is gone", func(ctx context.Context) (bool, error) {
		_, err := s.in(kind, s.ns).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

// mayGet waits until a user may get an object, which need not exist.
func (s *space) mayGet(user, ref string) {
	s.t.Helper()
	as := rest.CopyConfig(config)
	as.Impersonate.UserName = user
	users, err := dynamic.NewForConfig(as)
	if err != nil {
		s.t.Fatal(err)
	}
	kind, name, _ := strings.Cut(ref, "/")
	s.eventually(user+" may get "+ref, func(ctx context.Context) (bool, error) {
		_, err := users.Resource(resources[kind]).Namespace(s.ns).Get(ctx, name, metav1.GetOptions{})
		return err == nil || apierrors.IsNotFound(err), nil
	})
}
