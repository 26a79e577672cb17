package source

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/fluxcd/pkg/sourceignore"
	"github.com/fluxcd/pkg/sourceignore/gitignore"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Group is the API group of the sources.
const Group = "source.toolkit.fluxcd.io"

// The kinds of sources whose artifacts are made of trees.
const (
	GitRepository = "GitRepository"
	OCIRepository = "OCIRepository"
	Bucket        = "Bucket"
)

// IsTree says whether kind is one of them.
func IsTree(kind string) bool {
	return kind == GitRepository || kind == OCIRepository || kind == Bucket
}

// Rules say what source-controller leaves out of a source's artifact. Without a
// kind that is nothing but symbolic links, which are in no artifact.
type Rules struct {
	Kind string
	// Ignore is spec.ignore.
	Ignore string
	// Submodules is spec.recurseSubmodules of a GitRepository.
	Submodules bool
}

// RulesOf returns the rules of a source, and the first field of it that changes
// its artifact and is not followed here, "" if there is none.
func RulesOf(u *unstructured.Unstructured) (rules Rules, unsupported string) {
	if operation, _, _ := unstructured.NestedString(u.Object, "spec", "layerSelector", "operation"); operation == "copy" {
		return Rules{}, ""
	}
	rules.Kind = u.GetKind()
	rules.Ignore, _, _ = unstructured.NestedString(u.Object, "spec", "ignore")
	rules.Submodules, _, _ = unstructured.NestedBool(u.Object, "spec", "recurseSubmodules")
	for _, field := range []string{"include", "sparseCheckout", "prefix"} {
		if value, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", field); value != nil && !reflect.ValueOf(value).IsZero() {
			return rules, "spec." + field
		}
	}
	return rules, ""
}

// pattern is a gitignore.Pattern with the place at which it stands, as
// "FILE:LINE:TEXT".
type pattern struct {
	gitignore.Pattern
	place string
}

// patterns are those of the .sourceignore files, of which the texts are given by
// their paths, and of spec.ignore. The later one wins.
//
// It is the rule of source-controller v1.9.5: what is said takes the place of
// the default excludes, all but those of Git's own files. For a Bucket only the
// .sourceignore at its top counts, and there are no defaults.
func (r Rules) patterns(files map[string]string) []pattern {
	if !IsTree(r.Kind) {
		return nil
	}
	depth := func(file string) int { return strings.Count(file, "/") }
	var said []pattern
	for _, file := range slices.SortedFunc(maps.Keys(files), func(a, b string) int { return cmp.Or(depth(a)-depth(b), cmp.Compare(a, b)) }) {
		if r.Kind != Bucket || depth(file) == 0 {
			said = append(said, read(file, files[file], strings.Split(file, "/")[:depth(file)])...)
		}
	}
	said = append(said, read("spec.ignore", r.Ignore, nil)...)
	switch {
	case r.Kind == Bucket:
		return append(said, defaults("/"+sourceignore.IgnoreFile)...)
	case len(said) == 0:
		return defaults(sourceignore.ExcludeVCS, sourceignore.ExcludeExt, sourceignore.ExcludeCI, sourceignore.ExcludeExtra)
	}
	return append(defaults(sourceignore.ExcludeVCS), said...)
}

func read(file, text string, domain []string) []pattern {
	var found []pattern
	number := 0
	for line := range strings.Lines(text) {
		number++
		for _, p := range sourceignore.ReadPatterns(strings.NewReader(line), domain) {
			found = append(found, pattern{p, fmt.Sprintf("%s:%d:%s", file, number, strings.TrimSpace(line))})
		}
	}
	return found
}

func defaults(lists ...string) []pattern {
	var found []pattern
	for text := range strings.SplitSeq(strings.Join(lists, ","), ",") {
		found = append(found, pattern{gitignore.ParsePattern(text, nil), "the default excludes:" + text})
	}
	return found
}

// match returns the pattern that leaves out the path, which is relative to the
// top and has slashes; nil if it stays.
func match(patterns []pattern, name string, isDir bool) *pattern {
	parts := strings.Split(name, "/")
	for _, p := range slices.Backward(patterns) {
		switch p.Match(parts, isDir) {
		case gitignore.Exclude:
			return &p
		case gitignore.Include:
			return nil
		case gitignore.NoMatch:
		}
	}
	return nil
}
