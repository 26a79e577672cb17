// Package manifest reads Flux Kustomizations and their sources from files,
// folders and standard input. Documents of other kinds are passed over.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/source"
)

// Stdin is the file name that stands for standard input.
const Stdin = "-"

// Kustomization is one Flux Kustomization with the place it was read from.
type Kustomization struct {
	kustomizev1.Kustomization
	// Raw is the document as it stands, for the fields that only an older API
	// version has.
	Raw *unstructured.Unstructured
	// Origin is "file:line" of the document's first line.
	Origin string
}

// Key returns namespace and name.
func (k *Kustomization) Key() object.Key {
	return object.Key{Namespace: k.Namespace, Name: k.Name}
}

// Source is one source of which source-controller makes an artifact of a tree,
// with the place it was read from, as that of a Kustomization.
type Source struct {
	*unstructured.Unstructured
	Origin string
}

// Documents are what was read, in the order in which it was found.
type Documents struct {
	Kustomizations []*Kustomization
	Sources        []*Source
}

// Options says what Read reads.
type Options struct {
	// Filenames are files, folders, or Stdin.
	Filenames []string
	// Recursive descends into sub-folders.
	Recursive bool
	// Namespace is given to what names none.
	Namespace string
	Stdin     io.Reader
}

// Read returns the Kustomizations and sources of all files. It is an error if
// there is no Kustomization, if a file or Kustomization cannot be read, or if
// two of a kind have the same namespace and name. All that is wrong is said in
// one error.
func Read(opts Options) (Documents, error) {
	var found Documents
	var errs []error
	origins := map[string]string{}
	isNew := func(kind string, key object.Key, origin string) bool {
		id := kind + " " + key.String()
		first, twice := origins[id]
		if twice {
			errs = append(errs, fmt.Errorf("%s: %s is defined twice, first at %s", origin, id, first))
			return false
		}
		origins[id] = origin
		return true
	}
	for _, name := range opts.Filenames {
		files, err := expand(name, opts.Recursive)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, file := range files {
			read, err := readFile(file, opts)
			if err != nil {
				errs = append(errs, err)
			}
			for _, k := range read.Kustomizations {
				if isNew(kustomizev1.KustomizationKind, k.Key(), k.Origin) {
					found.Kustomizations = append(found.Kustomizations, k)
				}
			}
			for _, s := range read.Sources {
				if isNew(s.GetKind(), object.RefOf(s.Unstructured).Key(), s.Origin) {
					found.Sources = append(found.Sources, s)
				}
			}
		}
	}
	if len(errs) == 0 && len(found.Kustomizations) == 0 {
		return found, fmt.Errorf("no Flux Kustomization (kustomize.toolkit.fluxcd.io) in %s", strings.Join(opts.Filenames, ", "))
	}
	return found, errors.Join(errs...)
}

// expand returns the files that name stands for, in lexical order.
func expand(name string, recursive bool) ([]string, error) {
	if name == Stdin {
		return []string{Stdin}, nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	var files []string
	err = filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != name && (!recursive || entry.Name() == ".git"):
			return filepath.SkipDir
		case !entry.IsDir() && isManifest(path):
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

func isManifest(path string) bool {
	switch filepath.Ext(path) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func readFile(file string, opts Options) (Documents, error) {
	var data []byte
	var err error
	if file == Stdin {
		file = "standard input"
		data, err = io.ReadAll(opts.Stdin)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return Documents{}, fmt.Errorf("read %s: %w", file, err)
	}
	var found Documents
	var errs []error
	for _, d := range split(data) {
		origin := fmt.Sprintf("%s:%d", file, d.line)
		read, err := decode(d.data)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", origin, err))
		}
		for _, k := range read.Kustomizations {
			k.Origin = origin
			if k.Namespace == "" {
				k.Namespace = opts.Namespace
				k.Raw.SetNamespace(opts.Namespace)
			}
		}
		for _, s := range read.Sources {
			s.Origin = origin
			if s.GetNamespace() == "" {
				s.SetNamespace(opts.Namespace)
			}
		}
		found.add(read)
	}
	return found, errors.Join(errs...)
}

func (d *Documents) add(more Documents) {
	d.Kustomizations = append(d.Kustomizations, more.Kustomizations...)
	d.Sources = append(d.Sources, more.Sources...)
}

type document struct {
	data []byte
	line int
}

// split cuts a YAML stream at its "---" lines and keeps each document's first
// line number.
func split(data []byte) []document {
	var docs []document
	start, first, line := 0, 1, 1
	for pos := 0; pos <= len(data); line++ {
		end := bytes.IndexByte(data[pos:], '\n')
		next := pos + end + 1
		if end < 0 {
			end, next = len(data)-pos, len(data)+1
		}
		text := bytes.TrimRight(data[pos:pos+end], " \t\r")
		if bytes.Equal(text, []byte("---")) || bytes.HasPrefix(text, []byte("--- ")) {
			docs = append(docs, document{data[start:pos], first})
			start, first = min(next, len(data)), line+1
		}
		pos = next
	}
	return append(docs, document{data[start:], first})
}

// decode returns what data holds: one object, or those of a List as
// `kubectl get -o yaml` prints it; nothing if it holds something else. A
// document that is not YAML at all is passed over unless it speaks of a Flux
// Kustomization.
func decode(data []byte) (Documents, error) {
	kustomization := bytes.Contains(data, []byte(kustomizev1.GroupVersion.Group))
	if !kustomization && !bytes.Contains(data, []byte(source.Group)) {
		return Documents{}, nil
	}
	var content map[string]any
	if err := yaml.Unmarshal(data, &content); err != nil && kustomization {
		return Documents{}, fmt.Errorf("not valid YAML: %w", err)
	}
	raw := &unstructured.Unstructured{Object: content}
	gvk := raw.GroupVersionKind()
	switch {
	case gvk.Group == kustomizev1.GroupVersion.Group && gvk.Kind == kustomizev1.KustomizationKind:
		k, err := decodeOne(data, raw)
		if err != nil {
			return Documents{}, fmt.Errorf("kustomization %q: %w", raw.GetName(), err)
		}
		return Documents{Kustomizations: []*Kustomization{k}}, nil
	case gvk.Group == source.Group && source.IsTree(gvk.Kind):
		return Documents{Sources: []*Source{{Unstructured: raw}}}, nil
	case strings.HasSuffix(gvk.Kind, "List") && raw.IsList():
		return decodeList(content)
	}
	return Documents{}, nil
}

func decodeList(content map[string]any) (Documents, error) {
	items, _, _ := unstructured.NestedSlice(content, "items")
	var found Documents
	var errs []error
	for _, item := range items {
		data, err := yaml.Marshal(item)
		if err != nil {
			return found, err
		}
		more, err := decode(data)
		found.add(more)
		errs = append(errs, err)
	}
	return found, errors.Join(errs...)
}

// Decode returns the Kustomization that an object describes.
func Decode(u *unstructured.Unstructured) (*Kustomization, error) {
	data, err := u.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return decodeOne(data, u)
}

func decodeOne(data []byte, raw *unstructured.Unstructured) (*Kustomization, error) {
	gvk := raw.GroupVersionKind()
	k := &Kustomization{Raw: raw}
	switch gvk.Version {
	case "v1", "v1beta1", "v1beta2":
	default:
		return nil, fmt.Errorf("API version %s is not known, use v1, v1beta2 or v1beta1", raw.GetAPIVersion())
	}
	if err := unmarshal(data, &k.Kustomization, gvk.Version == "v1"); err != nil {
		return nil, err
	}
	return k, check(k)
}

// unmarshal reads data as the API server does: the case of field names counts.
// If it is strict, unknown and repeated fields are errors.
func unmarshal(data []byte, into any, strict bool) error {
	convert := yaml.YAMLToJSON
	if strict {
		convert = yaml.YAMLToJSONStrict
	}
	content, err := convert(data)
	if err != nil {
		return err
	}
	mistakes, err := json.UnmarshalStrict(content, into)
	if err != nil || !strict {
		return err
	}
	return errors.Join(mistakes...)
}

// check answers what the CRD's schema would refuse and the plan hangs on.
func check(k *Kustomization) error {
	switch {
	case k.Name == "":
		return errors.New("metadata.name is missing")
	case k.Spec.SourceRef.Kind == "":
		return errors.New("spec.sourceRef.kind is missing")
	case k.Spec.SourceRef.Name == "":
		return errors.New("spec.sourceRef.name is missing")
	case k.Spec.Interval.Duration <= 0:
		return errors.New("spec.interval is missing")
	}
	return nil
}
