// Package render builds the objects of one Kustomization from a tree, in the
// steps in which kustomize-controller does: generate, build, substitute,
// label, normalise.
package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sort"

	cliobject "github.com/fluxcd/cli-utils/pkg/object"
	"github.com/fluxcd/pkg/kustomize"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/normalize"
	"github.com/fluxcd/pkg/ssa/utils"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/resmap"

	"github.com/fluxjob/kubectl-fluxjob/pkg/manifest"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/source"
)

// The labels by which the controller marks what a Kustomization owns.
const (
	OwnerName      = "kustomize.toolkit.fluxcd.io/name"
	OwnerNamespace = "kustomize.toolkit.fluxcd.io/namespace"
)

// Rendered is what a Kustomization wants the cluster to hold.
type Rendered struct {
	// Objects stand in the order in which the controller applies them within
	// a stage.
	Objects []*unstructured.Unstructured
	// Secrets are values that were decrypted, or came from a Secret through
	// substitution, and may stand anywhere in Objects.
	Secrets []string
	// Encrypted tells of those Objects that hang on what could not be decrypted
	// what that is and what to do about it. They hold stand-ins, and a name that
	// hangs on it, too, ends with UnknownName.
	Encrypted map[*unstructured.Unstructured]string
}

// Error is a failed render with the reason the controller would give.
type Error struct {
	// Reason is one of the reasons of plan.Problem.
	Reason string
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Renderer renders Kustomizations.
type Renderer struct {
	Vars Vars
}

// Render returns the objects of k as they stand in the tree. A failure is an
// *Error; its text may quote one of the Secrets that are returned even then.
func (r *Renderer) Render(ctx context.Context, k *manifest.Kustomization, tree *source.View) (*Rendered, error) {
	dir, err := locate(tree, k.Spec.Path)
	if err != nil {
		return nil, &Error{plan.ArtifactFailed, err}
	}
	rendered := &Rendered{}
	if err := r.build(ctx, k, tree, dir, rendered); err != nil {
		failed, is := errors.AsType[*Error](err)
		switch {
		case errors.Is(err, ErrEncrypted):
			failed = &Error{plan.NotDecrypted, err}
		case !is:
			failed = &Error{plan.BuildFailed, err}
		}
		return &Rendered{Secrets: rendered.Secrets}, failed
	}
	return rendered, nil
}

// locate returns the directory of path, confined to the tree: as there are no
// symbolic links in it, what leads above its top leads to the top.
func locate(tree *source.View, path string) (string, error) {
	root := tree.Tree.Dir
	dir := filepath.Join(root, filepath.Clean(string(filepath.Separator)+path))
	switch {
	case tree.LeftOut(dir) != "":
		return "", fmt.Errorf("kustomization path not found: the artifact leaves out %s (%s)", dir, tree.LeftOut(dir))
	case !tree.Exists(dir):
		return "", fmt.Errorf("kustomization path not found: %s has no folder %q", root, path)
	case !tree.IsDir(dir):
		return "", fmt.Errorf("kustomization path %q is not a folder of %s", path, root)
	}
	return dir, nil
}

// build fills in rendered, of which the Secrets are told even with an error.
func (r *Renderer) build(ctx context.Context, k *manifest.Kustomization, tree *source.View, dir string, rendered *Rendered) error {
	d, err := r.decryptor(ctx, k)
	if err != nil {
		return err
	}
	objects, err := r.objects(ctx, k, tree, dir, d, rendered)
	if len(d.missing) > 0 {
		twin := *d
		twin.other = true
		var others []*unstructured.Unstructured
		if err == nil {
			others, err = r.objects(ctx, k, tree, dir, &twin, rendered)
		}
		if err != nil {
			return &Error{plan.NotDecrypted, fmt.Errorf("%s; with something else in its place: %w", detailOf(nil, d.missing), err)}
		}
		if rendered.Encrypted, err = hanging(objects, others, d.missing); err != nil {
			return &Error{plan.NotDecrypted, err}
		}
	}
	if err != nil {
		return err
	}
	sort.Sort(ssa.SortableUnstructureds(objects))
	rendered.Objects = objects
	return nil
}

// objects returns what k renders, in the order of the build.
func (r *Renderer) objects(ctx context.Context, k *manifest.Kustomization, tree *source.View, dir string, d *decryptor, rendered *Rendered) ([]*unstructured.Unstructured, error) {
	defer func() { rendered.hide(d.secrets) }()
	resources, err := buildDir(k, tree, dir, d)
	if err != nil {
		return nil, err
	}
	if err := d.resources(resources); err != nil {
		return nil, err
	}
	secrets, err := r.substitute(ctx, k, resources)
	rendered.hide(secrets)
	if err != nil {
		return nil, err
	}
	out, err := resources.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("kustomize build: %w", err)
	}
	objects, err := utils.ReadObjects(bytes.NewReader(out))
	if err != nil {
		return nil, fmt.Errorf("read the built objects: %w", err)
	}
	utils.SetCommonMetadata(objects, map[string]string{OwnerName: k.Name, OwnerNamespace: k.Namespace}, nil)
	if err := normalize.UnstructuredList(objects); err != nil {
		return nil, fmt.Errorf("normalise the built objects: %w", err)
	}
	if meta := k.Spec.CommonMetadata; meta != nil {
		utils.SetCommonMetadata(objects, meta.Labels, meta.Annotations)
	}
	if err := undecrypted(objects); err != nil {
		return nil, &Error{plan.ReconciliationFailed, err}
	}
	for _, o := range objects {
		if utils.IsCRD(o) {
			utils.RemoveCABundleFromCRD(o)
		}
	}
	return objects, nil
}

// hide adds to the secrets.
func (r *Rendered) hide(secrets []string) {
	r.Secrets = append(r.Secrets, secrets...)
	slices.Sort(r.Secrets)
	r.Secrets = slices.Compact(r.Secrets)
}

// buildDir runs kustomize over dir with the fields of k merged into its
// kustomization.yaml and with what d decrypts, confined to the tree and without
// writing to the disk.
func buildDir(k *manifest.Kustomization, tree *source.View, dir string, d *decryptor) (resmap.ResMap, error) {
	data, file, err := generate(k, tree, dir)
	if err != nil {
		return nil, fmt.Errorf("generate kustomization.yaml: %w", err)
	}
	laid := overlay{tree, map[string][]byte{file: data}}
	if err := d.sources(laid, tree.Tree.Dir, dir); err != nil {
		return nil, err
	}
	resources, err := kustomize.Build(laid, dir)
	if err != nil {
		return nil, fmt.Errorf("kustomize build failed: %w", err)
	}
	for _, res := range resources.Resources() {
		if res.GetName() == "" || res.GetKind() == "" || res.GetApiVersion() == "" {
			return nil, fmt.Errorf("an object has no name, kind or apiVersion: %q %q %q", res.GetApiVersion(), res.GetKind(), res.GetName())
		}
	}
	return resources, nil
}

// Stage returns the stage in which the controller applies u, from 1: cluster
// definitions, classes, everything else (fluxcd/pkg/ssa ApplyAllStaged).
func Stage(u *unstructured.Unstructured) int {
	switch {
	case utils.IsClusterDefinition(u):
		return 1
	case utils.IsClassDefinition(u):
		return 2
	}
	return 3
}

// SortRefs brings refs into the order in which the controller applies.
func SortRefs(refs []object.Ref) {
	slices.SortStableFunc(refs, func(a, b object.Ref) int {
		pair := ssa.SortableMetas{metaOf(a), metaOf(b)}
		switch {
		case pair.Less(0, 1):
			return -1
		case pair.Less(1, 0):
			return 1
		}
		return 0
	})
}

func metaOf(r object.Ref) cliobject.ObjMetadata {
	return cliobject.ObjMetadata{Namespace: r.Namespace, Name: r.Name, GroupKind: r.GVK().GroupKind()}
}
