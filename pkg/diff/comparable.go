package diff

import (
	"slices"
	"strings"

	"github.com/fluxcd/pkg/ssa/normalize"
	corev1 "k8s.io/api/core/v1"
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
	withoutNotes(c)
	switch ref := object.RefOf(u); {
	case ref.IsJob():
		withoutJobIdentity(c)
	case ref.Group == "" && ref.Kind == "Service":
		withoutAllocations(c)
		unstructured.RemoveNestedField(c.Object, "spec", "clusterIPs") // the same as clusterIP
	case ref.Group == "" && ref.Kind == "Pod":
		withoutPlace(c)
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

// withoutNotes removes the annotations in which Kubernetes' own controllers note
// what they did with an object.
func withoutNotes(u *unstructured.Unstructured) {
	annotations := u.GetAnnotations()
	for name := range annotations {
		if slices.ContainsFunc(notes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			unstructured.RemoveNestedField(u.Object, "metadata", "annotations", name)
		}
	}
	if len(u.GetAnnotations()) == 0 {
		unstructured.RemoveNestedField(u.Object, "metadata", "annotations")
	}
}

// notes begin the names of those annotations.
var notes = []string{
	"deployment.kubernetes.io/",
	"deprecated.daemonset.template.generation",
	"pv.kubernetes.io/bind-completed",
	"pv.kubernetes.io/bound-by-controller",
	"volume.beta.kubernetes.io/storage-provisioner",
	"volume.kubernetes.io/",
}

// withoutPlace removes the node that a Pod was put on, and the volume with its
// token that admission gave it, under a name of its own
// (k8s.io/kubernetes plugin/pkg/admission/serviceaccount).
func withoutPlace(pod *unstructured.Unstructured) {
	const token = "kube-api-access-"
	unstructured.RemoveNestedField(pod.Object, "spec", "nodeName")
	withoutNamed(pod.Object, token, "spec", "volumes")
	for _, kind := range []string{"initContainers", "containers"} {
		containers, _, _ := unstructured.NestedSlice(pod.Object, "spec", kind)
		for _, c := range containers {
			if container, isMap := c.(map[string]any); isMap {
				withoutNamed(container, token, "volumeMounts")
			}
		}
		if containers != nil {
			_ = unstructured.SetNestedSlice(pod.Object, containers, "spec", kind)
		}
	}
}

// withoutNamed removes the items of a list whose names begin with prefix.
func withoutNamed(in map[string]any, prefix string, list ...string) {
	items, _, _ := unstructured.NestedSlice(in, list...)
	left := slices.DeleteFunc(items, func(item any) bool {
		m, _ := item.(map[string]any)
		name, _ := m["name"].(string)
		return strings.HasPrefix(name, prefix)
	})
	if len(left) == 0 {
		unstructured.RemoveNestedField(in, list...)
		return
	}
	_ = unstructured.SetNestedSlice(in, left, list...)
}

// withoutAllocations removes the addresses and ports that a Service was given.
// That it has none is no allocation.
func withoutAllocations(service *unstructured.Unstructured) {
	if ip, _, _ := unstructured.NestedString(service.Object, "spec", "clusterIP"); ip != corev1.ClusterIPNone {
		unstructured.RemoveNestedField(service.Object, "spec", "clusterIP")
		unstructured.RemoveNestedField(service.Object, "spec", "clusterIPs")
	}
	unstructured.RemoveNestedField(service.Object, "spec", "healthCheckNodePort")
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
