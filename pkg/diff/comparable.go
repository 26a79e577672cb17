package diff

import (
	"github.com/fluxcd/pkg/ssa/normalize"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

// comparable returns a copy of u without what the server keeps for itself, so
// that two of them differ only in what somebody wants.
func comparable(u *unstructured.Unstructured) *unstructured.Unstructured {
	c := u.DeepCopy()
	unstructured.RemoveNestedField(c.Object, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"} {
		unstructured.RemoveNestedField(c.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(c.Object, "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
	return c
}

// replaceable returns a copy of u without its identity and without what the
// server generates anew for each object of its kind. A live object and the
// replacement that was proven under another name can be compared in this form.
func replaceable(u *unstructured.Unstructured) *unstructured.Unstructured {
	c := comparable(u)
	unstructured.RemoveNestedField(c.Object, "metadata", "name")
	switch ref := object.RefOf(u); {
	case ref.IsJob():
		withoutJobIdentity(c)
	case ref.Group == "" && ref.Kind == "Service":
		withoutAllocations(c)
	case ref.Group == "" && ref.Kind == "PersistentVolumeClaim":
		unstructured.RemoveNestedField(c.Object, "spec", "volumeName")
	}
	return c
}

// withoutJobIdentity removes the selector and labels that tie a Job to its
// pods (k8s.io/kubernetes pkg/registry/batch/job/strategy.go, generateSelector).
// A selector that the user wrote stays.
func withoutJobIdentity(job *unstructured.Unstructured) {
	labels := []string{"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"}
	if manual, _, _ := unstructured.NestedBool(job.Object, "spec", "manualSelector"); !manual {
		unstructured.RemoveNestedField(job.Object, "spec", "selector")
	}
	for _, l := range labels {
		unstructured.RemoveNestedField(job.Object, "spec", "template", "metadata", "labels", l)
		unstructured.RemoveNestedField(job.Object, "metadata", "labels", l)
	}
	unstructured.RemoveNestedField(job.Object, "spec", "template", "metadata", "creationTimestamp")
	if labels, _, _ := unstructured.NestedMap(job.Object, "spec", "template", "metadata", "labels"); len(labels) == 0 {
		unstructured.RemoveNestedField(job.Object, "spec", "template", "metadata", "labels")
	}
}

// withoutAllocations removes the addresses and ports that a Service was given.
func withoutAllocations(service *unstructured.Unstructured) {
	for _, field := range []string{"clusterIP", "clusterIPs", "healthCheckNodePort"} {
		unstructured.RemoveNestedField(service.Object, "spec", field)
	}
	ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
	for _, p := range ports {
		if port, isMap := p.(map[string]any); isMap {
			delete(port, "nodePort")
		}
	}
	if ports != nil {
		_ = unstructured.SetNestedSlice(service.Object, ports, "spec", "ports")
	}
}

// drifted says whether the dry-run changed the object, by the rule of
// fluxcd/pkg/ssa: labels, annotations, and all but metadata and status.
func drifted(live, dryRun *unstructured.Unstructured) bool {
	return !apiequality.Semantic.DeepEqual(dryRun.GetLabels(), live.GetLabels()) ||
		!apiequality.Semantic.DeepEqual(dryRun.GetAnnotations(), live.GetAnnotations()) ||
		!apiequality.Semantic.DeepEqual(content(dryRun).Object, content(live).Object)
}

func content(u *unstructured.Unstructured) *unstructured.Unstructured {
	c := u.DeepCopy()
	unstructured.RemoveNestedField(c.Object, "metadata")
	unstructured.RemoveNestedField(c.Object, "status")
	if err := normalize.DryRunUnstructured(c); err != nil {
		return u
	}
	return c
}
