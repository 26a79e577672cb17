package render

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/source"
)

// generate returns the kustomization.yaml of dir with the fields of k merged
// into it, and its path. The controller's generator reads nothing but the disk:
// it is given a temporary folder with links to what the tree holds of dir.
func generate(k *manifest.Kustomization, tree *source.View, dir string) (data []byte, file string, err error) {
	links, err := os.MkdirTemp("", "fluxjob-")
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(links)) }()
	if err := tree.Link(dir, links); err != nil {
		return nil, "", err
	}
	// Without a root the links may lead out of their folder.
	data, file, _, err = kustomize.NewGenerator("", *withComponents(k, tree, dir)).GenerateManifest(links)
	if err != nil {
		return nil, "", errors.New(strings.ReplaceAll(err.Error(), links, dir))
	}
	return data, filepath.Join(dir, filepath.Base(file)), nil
}

// withComponents returns the document of k without the components that are to be
// passed over, which the generator cannot see from its folder.
func withComponents(k *manifest.Kustomization, tree *source.View, dir string) *unstructured.Unstructured {
	if !k.Spec.IgnoreMissingComponents {
		return k.Raw
	}
	raw := k.Raw.DeepCopy()
	unstructured.RemoveNestedField(raw.Object, "spec", "ignoreMissingComponents")
	there := slices.DeleteFunc(slices.Clone(k.Spec.Components), func(component string) bool {
		return kustomize.IsLocalRelativePath(component) && !tree.Exists(filepath.Join(dir, component))
	})
	_ = unstructured.SetNestedStringSlice(raw.Object, there, "spec", "components")
	return raw
}
