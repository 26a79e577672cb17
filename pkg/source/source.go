// Package source turns a Flux source reference into the directory that stands
// for its artifact, and shows of it what the artifact would hold.
package source

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Ref names a Flux source.
type Ref struct {
	Kind, Namespace, Name string
}

// String returns "Kind/namespace/name".
func (r Ref) String() string { return r.Kind + "/" + r.Namespace + "/" + r.Name }

// Tree is a directory that stands for a source's artifact.
type Tree struct {
	// Dir is an absolute path without symbolic links.
	Dir string
	// Revision is "<branch>@sha1:<commit>" as Flux writes it, followed by
	// "+uncommitted" if the work tree differs; empty outside of Git.
	Revision string
}

// Local resolves sources to local directories.
type Local struct {
	byName   []mapping
	fallback *Tree
}

type mapping struct {
	kind, namespace, name string
	tree                  Tree
}

// ParseLocal reads --local-source values: "[KIND/][NAMESPACE/]NAME=DIR", or a
// bare DIR that stands in for every source that has no value of its own.
func ParseLocal(values []string) (*Local, error) {
	l := &Local{}
	for _, v := range values {
		name, dir, named := strings.Cut(v, "=")
		if !named {
			dir = v
		}
		if dir == "" {
			return nil, fmt.Errorf("--local-source %s: want [KIND/][NAMESPACE/]NAME=DIR or DIR", v)
		}
		tree, err := Open(dir)
		if err != nil {
			return nil, fmt.Errorf("--local-source %s: %w", v, err)
		}
		if !named {
			if l.fallback != nil {
				return nil, fmt.Errorf("--local-source %s: %s already stands in for every source; write NAME=DIR", v, l.fallback.Dir)
			}
			l.fallback = &tree
			continue
		}
		m := mapping{tree: tree}
		switch parts := strings.Split(name, "/"); len(parts) {
		case 1:
			m.name = parts[0]
		case 2:
			m.namespace, m.name = parts[0], parts[1]
		case 3:
			m.kind, m.namespace, m.name = parts[0], parts[1], parts[2]
		default:
			return nil, fmt.Errorf("--local-source %s: want [KIND/][NAMESPACE/]NAME=DIR", v)
		}
		if m.name == "" {
			return nil, fmt.Errorf("--local-source %s: want [KIND/][NAMESPACE/]NAME=DIR", v)
		}
		l.byName = append(l.byName, m)
	}
	return l, nil
}

// Everything returns a Local in which tree stands in for every source.
func Everything(tree Tree) *Local { return &Local{fallback: &tree} }

// Resolve returns the tree that stands in for ref.
func (l *Local) Resolve(ref Ref) (Tree, error) {
	for _, m := range l.byName {
		if m.name == ref.Name && (m.namespace == "" || m.namespace == ref.Namespace) && (m.kind == "" || strings.EqualFold(m.kind, ref.Kind)) {
			return m.tree, nil
		}
	}
	if l.fallback != nil {
		return *l.fallback, nil
	}
	return Tree{}, fmt.Errorf("no local tree stands in for %s: add --local-source %s/%s=DIR", ref, ref.Namespace, ref.Name)
}

// Open returns the tree at dir.
func Open(dir string) (Tree, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Tree{}, err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return Tree{}, err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return Tree{}, err
	}
	if !info.IsDir() {
		return Tree{}, fmt.Errorf("%s is not a directory", dir)
	}
	return Tree{Dir: abs, Revision: revision(abs)}, nil
}

// Find returns the tree for Kustomizations read from file, whose spec.path are
// paths: the Git work tree that holds the file, else the file's folder, else
// the nearest parent. Of these it takes the first in which every path exists;
// if there is none, the first of all, so that the missing path is told for it.
// An empty file, which stands for standard input, starts at the working
// directory.
func Find(file string, paths []string) (Tree, error) {
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return Tree{}, err
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		dir = filepath.Join(dir, filepath.Base(file))
	}
	var candidates []string
	if top := workTree(dir); top != "" {
		candidates = append(candidates, top)
	}
	for parent := dir; ; parent = filepath.Dir(parent) {
		candidates = append(candidates, parent)
		if parent == filepath.Dir(parent) {
			break
		}
	}
	for _, c := range candidates {
		if holds(c, paths) {
			return Open(c)
		}
	}
	return Open(candidates[0])
}

func holds(dir string, paths []string) bool {
	for _, p := range paths {
		if info, err := os.Stat(filepath.Join(dir, p)); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// workTree returns the top of the Git work tree around dir, or "".
func workTree(dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// revision asks git; without git, or outside of a work tree, it is empty.
func revision(dir string) string {
	if workTree(dir) == "" {
		return ""
	}
	commit := git(dir, "rev-parse", "HEAD")
	if commit == "" {
		return ""
	}
	rev := "sha1:" + commit
	if branch := git(dir, "symbolic-ref", "--short", "-q", "HEAD"); branch != "" {
		rev = branch + "@" + rev
	}
	if git(dir, "status", "--porcelain", "--untracked-files=normal", "--", ".") != "" {
		rev += "+uncommitted"
	}
	return rev
}

func git(dir string, args ...string) string {
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
