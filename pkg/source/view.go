package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	securefs "github.com/fluxcd/pkg/kustomize/filesys"
	"github.com/fluxcd/pkg/sourceignore"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// View is a tree as the artifact would hold it, for kustomize to build from:
// what the artifact leaves out does not exist in it, nor do symbolic links, and
// nothing leads out of it but to what kustomize fetches into folders of its own.
// The content of a file is that of the disk when it is read.
type View struct {
	filesys.FileSystem
	// Tree is what is looked at.
	Tree     Tree
	patterns []pattern
	// holds is what the artifact holds.
	holds listing
}

// listing are files and folders by their paths relative to the top, with slashes.
type listing map[string]fs.FileMode

// add puts in what is at the path, and the folders above.
func (l listing) add(name string, mode fs.FileMode) {
	l[name] = mode.Type()
	for dir := path.Dir(name); !l[dir].IsDir(); dir = path.Dir(dir) {
		l[dir] = fs.ModeDir
	}
}

// View looks at the tree by the rules. The tree is listed once, here.
func (t Tree) View(rules Rules) (*View, error) {
	disk, err := securefs.MakeFsOnDiskSecureBuild(t.Dir)
	if err != nil {
		return nil, fmt.Errorf("confine the build to %s: %w", t.Dir, err)
	}
	all, err := t.list(rules)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", t.Dir, err)
	}
	said := map[string]string{}
	for name, mode := range all {
		if path.Base(name) != sourceignore.IgnoreFile || mode.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(t.Dir, filepath.FromSlash(name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		said[name] = string(text)
	}
	v := &View{FileSystem: disk, Tree: t, patterns: rules.patterns(said), holds: listing{".": fs.ModeDir}}
	for name, mode := range all {
		// A folder stays if something in it does, and an empty one unless it is
		// left out itself; but a Bucket knows no empty ones.
		if (mode.IsRegular() || mode.IsDir() && rules.Kind != Bucket) && match(v.patterns, name, mode.IsDir()) == nil {
			v.holds.add(name, mode)
		}
	}
	return v, nil
}

// list returns what is in the tree, without Git's own folder. Of a Git work tree
// that stands for a GitRepository it is what a clone would have if everything
// were committed. Where git is not installed the tree is taken as it is.
func (t Tree) list(rules Rules) (listing, error) {
	found := listing{".": fs.ModeDir}
	if _, err := exec.LookPath("git"); err == nil && rules.Kind == GitRepository && workTree(t.Dir) != "" {
		err := found.addGit(t.Dir, "", rules.Submodules)
		// A folder that the work tree around it ignores is no part of it.
		if err != nil || len(found) > 1 {
			return found, err
		}
	}
	err := filepath.WalkDir(t.Dir, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrPermission) && name != t.Dir:
			return nil // it is an error when something in it is needed
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		}
		rel, err := filepath.Rel(t.Dir, name)
		found[filepath.ToSlash(rel)] = entry.Type()
		return err
	})
	return found, err
}

// addGit adds what Git has of dir or would take, below the prefix. A submodule
// is an empty folder unless its content is asked for.
func (l listing) addGit(dir, prefix string, submodules bool) error {
	out, err := exec.Command("git", "-C", dir, "ls-files", "--cached", "--others", "--exclude-standard", "-z").Output()
	if failed, is := errors.AsType[*exec.ExitError](err); is {
		err = errors.New(strings.TrimSpace(string(failed.Stderr)))
	}
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(string(out), "\x00") {
		// What ends in a slash is a repository that is no submodule.
		if name == "" || strings.HasSuffix(name, "/") {
			continue
		}
		file := filepath.Join(dir, filepath.FromSlash(name))
		info, err := os.Lstat(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue // deleted, and not yet from the index
		}
		if err != nil {
			return err
		}
		l.add(path.Join(prefix, name), info.Mode())
		if !info.IsDir() || !submodules {
			continue
		}
		if _, err := os.Lstat(filepath.Join(file, ".git")); err != nil {
			return fmt.Errorf("the submodule %s is not there: run git submodule update --init --recursive", path.Join(prefix, name))
		}
		if err := l.addGit(file, path.Join(prefix, name), submodules); err != nil {
			return err
		}
	}
	return nil
}

// within returns the path relative to the top, with slashes, and whether it
// lies in the tree.
func (v *View) within(name string) (string, bool) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", false
	}
	rel, err := filepath.Rel(v.Tree.Dir, abs)
	return filepath.ToSlash(rel), err == nil && filepath.IsLocal(rel)
}

// has says whether the artifact holds the file or folder. What lies outside of
// the tree is not hidden here.
func (v *View) has(name string) bool {
	rel, within := v.within(name)
	_, held := v.holds[rel]
	return !within || held
}

// LeftOut says by what the artifact leaves out a file or folder of the tree, ""
// if it does not, or if there is no such thing.
func (v *View) LeftOut(name string) string {
	if v.has(name) {
		return ""
	}
	info, err := os.Lstat(name)
	if err != nil {
		return ""
	}
	rel, _ := v.within(name)
	for dir := rel; dir != "."; dir = path.Dir(dir) {
		above, err := os.Lstat(filepath.Join(v.Tree.Dir, filepath.FromSlash(dir)))
		if err == nil && above.Mode()&fs.ModeSymlink != 0 {
			return dir + " is a symbolic link"
		}
	}
	if p := match(v.patterns, rel, info.IsDir()); p != nil {
		return p.place
	}
	if rule, _, _ := strings.Cut(git(v.Tree.Dir, "check-ignore", "-v", "--", rel), "\t"); rule != "" {
		return rule
	}
	return "there is nothing in it to pack"
}

// leftOut is why what is on the disk does not exist.
type leftOut string

func (l leftOut) Error() string { return "the artifact leaves it out (" + string(l) + ")" }

// Is implements the method that errors.Is looks for.
func (leftOut) Is(target error) bool { return target == fs.ErrNotExist }

func (v *View) check(op, name string) error {
	if by := v.LeftOut(name); by != "" {
		return &fs.PathError{Op: op, Path: name, Err: leftOut(by)}
	}
	return nil
}

// Link makes the empty folder to another dir of the view, with symbolic links to
// its files: for what reads nothing but the disk.
func (v *View) Link(dir, to string) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !v.has(name) && entry.IsDir():
			return fs.SkipDir
		case !v.has(name):
			return nil
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		return os.Symlink(name, filepath.Join(to, rel))
	})
}

// Exists implements filesys.FileSystem, as do the others that kustomize calls.
func (v *View) Exists(name string) bool { return v.has(name) && v.FileSystem.Exists(name) }

// IsDir implements filesys.FileSystem.
func (v *View) IsDir(name string) bool { return v.has(name) && v.FileSystem.IsDir(name) }

// ReadFile implements filesys.FileSystem.
func (v *View) ReadFile(name string) ([]byte, error) {
	if err := v.check("open", name); err != nil {
		return nil, err
	}
	return v.FileSystem.ReadFile(name)
}

// CleanedAbs implements filesys.FileSystem.
func (v *View) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	if err := v.check("lstat", name); err != nil {
		return "", "", err
	}
	return v.FileSystem.CleanedAbs(name)
}
