package diff

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWithoutLost(t *testing.T) {
	const (
		live = `
metadata:
  name: web
  annotations: {note: theirs}
spec:
  replicas: 3
  paused: true
  strategy: {type: Recreate, server: filled}
  template:
    spec:
      containers:
      - {name: main, image: "m:1", env: [{name: A, value: x}, {name: B, value: y}]}
      finalizers: [a, b]
`
		image = `"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:name":{},"f:image":{}}}}}}`
		// withEnv has the variables that are put in.
		withEnv = `"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:name":{},"f:image":{},"f:env":{".":{},"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}}%s}}}}}}`
	)
	entry := func(manager string, operation metav1.ManagedFieldsOperationType, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1("{" + fields + "}")}
	}
	const apply, update = metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	tests := []struct {
		name           string
		owned, desired string
		other          string
		// lost is what is not left of live.
		lost string
	}{
		{"nothing that the desired object does not have", image, image, "", ""},
		{"a field", `"f:spec":{"f:paused":{}}`, image, "", "  paused: true\n"},
		{"a field that another manager has as well", `"f:spec":{"f:paused":{}}`, image, `"f:spec":{"f:paused":{}}`, ""},
		{"a map with all that is in it", `"f:metadata":{"f:annotations":{".":{},"f:note":{}}}`, image, "", "  annotations: {note: theirs}\n"},
		{"a map of which another manager has something", `"f:metadata":{"f:annotations":{".":{}}}`, image, `"f:metadata":{"f:annotations":{"f:note":{}}}`, ""},
		{"a list of which nothing is desired", fmt.Sprintf(withEnv, `,"k:{\"name\":\"B\"}":{".":{},"f:name":{},"f:value":{}}`), image, "", ", env: [{name: A, value: x}, {name: B, value: y}]"},
		{"an item of a list by its key", fmt.Sprintf(withEnv, `,"k:{\"name\":\"B\"}":{".":{},"f:name":{},"f:value":{}}`), fmt.Sprintf(withEnv, ""), "", ", {name: B, value: y}"},
		{"an item of a set by its value", `"f:spec":{"f:template":{"f:spec":{"f:finalizers":{"v:\"a\"":{}}}}}`, image, `"f:spec":{"f:template":{"f:spec":{"f:finalizers":{"v:\"b\"":{}}}}}`, "a, "},
		{"a structure of which nothing is left", `"f:spec":{"f:strategy":{"f:type":{}}}`, image, "", "  strategy: {type: Recreate, server: filled}\n"},
		{"a field that is gone already", `"f:spec":{"f:suspend":{"f:deep":{}}}`, image, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			taken, dryRun, want := parsed(t, live), parsed(t, live), parsed(t, strings.Replace(live, tt.lost, "", 1))
			others := entry("other", update, tt.other)
			taken.SetManagedFields([]metav1.ManagedFieldsEntry{others, entry("kustomize-controller", apply, tt.owned)})
			dryRun.SetManagedFields([]metav1.ManagedFieldsEntry{others, entry("kubectl", update, tt.owned), entry("kustomize-controller", apply, tt.desired)})
			got, err := withoutLost(taken, dryRun)
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(comparable(want).Object, comparable(got).Object); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestWithoutLostTellsWhatItCannotRead(t *testing.T) {
	u := parsed(t, "metadata: {name: a}")
	u.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "odd", FieldsV1: metav1.NewFieldsV1("[]")}})
	if _, err := withoutLost(u, u); err == nil {
		t.Error("want an error about the manager odd")
	}
}
