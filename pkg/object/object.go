// Package object holds the identity of a Kubernetes object and pure helpers on
// unstructured ones. Everything above it names objects by these types.
package object

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	cliobject "github.com/fluxcd/cli-utils/pkg/object"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Key names a Kustomization, or any other object whose kind is known.
type Key struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String returns "namespace/name".
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Compare orders keys by namespace, then by name.
func (k Key) Compare(o Key) int {
	switch {
	case k == o:
		return 0
	case k.Namespace < o.Namespace, k.Namespace == o.Namespace && k.Name < o.Name:
		return -1
	}
	return 1
}

// Ref names one object. Two refs that differ only in Version name the same
// object: compare them by ID.
type Ref struct {
	Group     string `json:"group"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// RefOf returns the Ref of u.
func RefOf(u *unstructured.Unstructured) Ref {
	gvk := u.GroupVersionKind()
	return Ref{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Namespace: u.GetNamespace(), Name: u.GetName()}
}

// ID returns the identity without the version, in the format of a Flux
// inventory entry: "<namespace>_<name>_<group>_<kind>".
func (r Ref) ID() string {
	return cliobject.ObjMetadata{
		Namespace: r.Namespace,
		Name:      r.Name,
		GroupKind: schema.GroupKind{Group: r.Group, Kind: r.Kind},
	}.String()
}

// ParseID is the inverse of ID; version becomes the Ref's version.
func ParseID(id, version string) (Ref, error) {
	m, err := cliobject.ParseObjMetadata(id)
	if err != nil {
		return Ref{}, fmt.Errorf("parse inventory entry %q: %w", id, err)
	}
	return Ref{Group: m.GroupKind.Group, Version: version, Kind: m.GroupKind.Kind, Namespace: m.Namespace, Name: m.Name}, nil
}

// GVK returns the group, version and kind.
func (r Ref) GVK() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
}

// Key returns namespace and name.
func (r Ref) Key() Key { return Key{Namespace: r.Namespace, Name: r.Name} }

// String returns "Kind/namespace/name", or "Kind/name" for a cluster-scoped
// object, the way Flux writes it.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + "/" + r.Name
	}
	return r.Kind + "/" + r.Namespace + "/" + r.Name
}

// IsJob says whether r names a batch Job.
func (r Ref) IsJob() bool { return r.Group == "batch" && r.Kind == "Job" }

// IsKustomization says whether r names a Flux Kustomization.
func (r Ref) IsKustomization() bool {
	return r.Group == "kustomize.toolkit.fluxcd.io" && r.Kind == "Kustomization"
}

// IsSecret says whether r names a core Secret.
func (r Ref) IsSecret() bool { return r.Group == "" && r.Kind == "Secret" }

// IsNamespace says whether r names a Namespace.
func (r Ref) IsNamespace() bool { return r.Group == "" && r.Kind == "Namespace" }

// IsCRD says whether r names a CustomResourceDefinition.
func (r Ref) IsCRD() bool {
	return r.Group == "apiextensions.k8s.io" && r.Kind == "CustomResourceDefinition"
}

// Digest returns "sha256:<hex>" of u's canonical JSON.
func Digest(u *unstructured.Unstructured) string {
	data, err := json.Marshal(u.Object)
	if err != nil {
		// Unstructured content comes from JSON or YAML and always marshals.
		return "sha256:unmarshalable:" + err.Error()
	}
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}
