package conformance

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

// jobText is a Job as the server returns it: NS stands for its namespace, ID
// for what the server makes up.
const jobText = `
apiVersion: batch/v1
kind: Job
metadata:
  namespace: NS
  name: migrate-NS
  uid: uid-ID
  resourceVersion: "1ID"
  generation: 1
  creationTimestamp: 2026-01-01T00:00:0IDZ
  labels: {app: NS}
  annotations: {note: one}
  finalizers: [example.com/hold]
  managedFields:
  - manager: kustomize-controller
    operation: Apply
    apiVersion: batch/v1
    time: 2026-01-01T00:00:0IDZ
    fieldsType: FieldsV1
    fieldsV1: {"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"NS\"}": {}}}}}}
  - manager: kube-controller-manager
    operation: Update
    subresource: status
    apiVersion: batch/v1
    time: 2026-01-01T00:00:0IDZ
    fieldsType: FieldsV1
    fieldsV1: {"f:status": {"f:active": {}}}
spec:
  selector: {matchLabels: {batch.kubernetes.io/controller-uid: uid-ID}}
  template:
    metadata: {labels: {batch.kubernetes.io/controller-uid: uid-ID}}
    spec: {containers: [{name: NS, image: busybox}]}
status: {active: ID}
`

func jobIn(t *testing.T, namespace, id string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(strings.NewReplacer("NS", namespace, "ID", id).Replace(jobText)), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestApartTellsWhatDiffers(t *testing.T) {
	set := func(value any, path ...string) func(*testing.T, *unstructured.Unstructured) {
		return func(t *testing.T, u *unstructured.Unstructured) {
			t.Helper()
			if err := unstructured.SetNestedField(u.Object, value, path...); err != nil {
				t.Fatal(err)
			}
		}
	}
	managed := func(change func([]metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry) func(*testing.T, *unstructured.Unstructured) {
		return func(_ *testing.T, u *unstructured.Unstructured) { u.SetManagedFields(change(u.GetManagedFields())) }
	}
	entry := plan.Entry{ID: "case_migrate-case_batch_Job", Version: "v1"}
	for name, tc := range map[string]struct {
		change  func(*testing.T, *unstructured.Unstructured)
		missing bool
		entries []plan.Entry
		// want is a part of what is told; "" if the states are equal.
		want string
	}{
		"two namespaces":      {},
		"a label":             {change: set("two", "metadata", "labels", "app"), want: `"app":`},
		"an annotation":       {change: set("two", "metadata", "annotations", "note"), want: `"note":`},
		"a finalizer":         {change: set([]any{}, "metadata", "finalizers"), want: `"finalizers":`},
		"the generation":      {change: set(int64(2), "metadata", "generation"), want: `"generation":`},
		"the spec":            {change: set(int64(3), "spec", "backoffLimit"), want: `"backoffLimit":`},
		"the status":          {change: set(int64(3), "status", "active")},
		"a missing object":    {missing: true, want: `"case_migrate-case_batch_Job":`},
		"an inventory":        {entries: []plan.Entry{}, want: "Inventories"},
		"an entry's version":  {entries: []plan.Entry{{ID: entry.ID, Version: "v2"}}, want: `"v2"`},
		"an entry of another": {entries: []plan.Entry{entry, {ID: "case_other_batch_Job", Version: "v1"}}, want: `"case_other_batch_Job"`},
		"a managed field": {change: managed(func(e []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
			e[0].FieldsV1.SetRawString(strings.Replace(e[0].FieldsV1.GetRawString(), `"f:app":{}`, `"f:app":{},"f:other":{}`, 1))
			return e
		}), want: `"f:other":`},
		"a manager": {change: managed(func(e []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
			e[0].Manager = "kubectl-fluxjob"
			return e
		}), want: `"manager":`},
		"an operation": {change: managed(func(e []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
			e[0].Operation = metav1.ManagedFieldsOperationUpdate
			return e
		}), want: `"operation":`},
		"a subresource": {change: managed(func(e []metav1.ManagedFieldsEntry) []metav1.ManagedFieldsEntry {
			e[0].Subresource = "scale"
			return e
		}), want: `"subresource":`},
	} {
		t.Run(name, func(t *testing.T) {
			controller := stateOf(t, jobIn(t, "case", "1"), "case", []plan.Entry{entry})
			job := jobIn(t, "twin-case", "2")
			if tc.change != nil {
				tc.change(t, job)
			}
			entries := tc.entries
			if entries == nil {
				entries = []plan.Entry{entry}
			}
			plugin := stateOf(t, job, "twin-case", entries)
			if tc.missing {
				plugin.Objects = map[string]map[string]any{}
			}
			got := apart(controller, plugin)
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("want a difference with %q, got:\n%s", tc.want, got)
			}
		})
	}
}

// stateOf is the state with one object, named as in the case.
func stateOf(t *testing.T, u *unstructured.Unstructured, namespace string, entries []plan.Entry) state {
	t.Helper()
	seen, err := view(u, namespace, "case")
	if err != nil {
		t.Fatal(err)
	}
	return state{
		Objects:     map[string]map[string]any{"case_migrate-case_batch_Job": seen},
		Inventories: map[string][]plan.Entry{kustomizationName: entries},
	}
}

func TestAnExpiredJobIsNoDifference(t *testing.T) {
	job := jobIn(t, "case", "1")
	if err := unstructured.SetNestedField(job.Object, int64(0), "spec", "ttlSecondsAfterFinished"); err != nil {
		t.Fatal(err)
	}
	there := stateOf(t, job, "case", nil)
	absent := state{Objects: map[string]map[string]any{}, Inventories: there.Inventories}
	if got := apart(there, absent) + apart(absent, there); got != "" {
		t.Errorf("want no difference, got:\n%s", got)
	}
}

func TestWritten(t *testing.T) {
	job := func(change func(*unstructured.Unstructured)) *unstructured.Unstructured {
		u := jobIn(t, "case", "1")
		change(u)
		return u
	}
	same := func(*unstructured.Unstructured) {}
	set := func(value any, path ...string) func(*unstructured.Unstructured) {
		return func(u *unstructured.Unstructured) {
			if err := unstructured.SetNestedField(u.Object, value, path...); err != nil {
				t.Fatal(err)
			}
		}
	}
	expiring := set(int64(0), "spec", "ttlSecondsAfterFinished")
	for name, tc := range map[string]struct {
		before, after *unstructured.Unstructured
		want          bool
	}{
		"nothing happened":               {job(same), job(same), false},
		"the status moved":               {job(same), job(func(u *unstructured.Unstructured) { set(int64(2), "status", "active")(u); u.SetResourceVersion("3") }), false},
		"a write that changed nothing":   {job(same), job(func(u *unstructured.Unstructured) { u.SetResourceVersion("3") }), true},
		"a label":                        {job(same), job(set("two", "metadata", "labels", "app")), true},
		"another object of the name":     {job(same), job(func(u *unstructured.Unstructured) { u.SetUID("another") }), true},
		"it is gone":                     {job(same), nil, true},
		"it is new":                      {nil, job(same), true},
		"it is absent":                   {nil, nil, false},
		"its TTL removed it":             {job(expiring), nil, false},
		"its TTL removed it, it is back": {job(expiring), job(func(u *unstructured.Unstructured) { expiring(u); u.SetUID("another") }), false},
		"it was gone by its TTL":         {nil, job(expiring), false},
	} {
		if got := written(tc.before, tc.after); got != tc.want {
			t.Errorf("%s: want %t, got %t", name, tc.want, got)
		}
	}
}
