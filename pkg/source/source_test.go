package source_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/fluxjob/kubectl-fluxjob/pkg/source"
)

var fleet = source.Ref{Kind: "GitRepository", Namespace: "flux-system", Name: "fleet"}

func TestResolve(t *testing.T) {
	tests := []struct {
		name   string
		values []string
		ref    source.Ref
		want   string
	}{
		{"a bare folder stands in for every source", []string{"a"}, fleet, "a"},
		{"a name in any namespace", []string{"fleet=a"}, fleet, "a"},
		{"a name in its namespace", []string{"flux-system/fleet=a"}, fleet, "a"},
		{"kind, namespace and name", []string{"GitRepository/flux-system/fleet=a"}, fleet, "a"},
		{"the kind in another case", []string{"gitrepository/flux-system/fleet=a"}, fleet, "a"},
		{"a named folder beats the bare one, wherever it stands", []string{"a", "fleet=b"}, fleet, "b"},
		{"the bare folder takes what no name takes", []string{"other=b", "a"}, fleet, "a"},
		{"the first of the names that fit", []string{"other=c", "fleet=a", "flux-system/fleet=b"}, fleet, "a"},
		{"another namespace does not fit", []string{"apps/fleet=b", "flux-system/fleet=a"}, fleet, "a"},
		{"another kind does not fit", []string{"Bucket/flux-system/fleet=b", "a"}, fleet, "a"},
		{"a folder with an equals sign", []string{"fleet=a=b"}, fleet, "a=b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			top := folders(t, "a", "b", "c", "a=b")
			t.Chdir(top)
			local, err := source.ParseLocal(tt.values)
			if err != nil {
				t.Fatal(err)
			}
			got, err := local.Resolve(tt.ref)
			if err != nil {
				t.Fatal(err)
			}
			if d := gocmp.Diff(source.Tree{Dir: filepath.Join(top, tt.want)}, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestResolveSaysHowToNameATree(t *testing.T) {
	t.Chdir(folders(t, "a"))
	local, err := source.ParseLocal([]string{"other=a", "apps/fleet=a", "Bucket/flux-system/fleet=a"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = local.Resolve(fleet)
	const want = "no local tree stands in for GitRepository/flux-system/fleet: add --local-source flux-system/fleet=DIR"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestParseLocalMistakes(t *testing.T) {
	tests := []struct {
		name   string
		values []string
		want   string
	}{
		{"too many parts", []string{"a/b/c/d=x"}, "--local-source a/b/c/d=x: want [KIND/][NAMESPACE/]NAME=DIR"},
		{"no name", []string{"=x"}, "--local-source =x: want [KIND/][NAMESPACE/]NAME=DIR"},
		{"no name after the namespace", []string{"a/=x"}, "--local-source a/=x: want [KIND/][NAMESPACE/]NAME=DIR"},
		{"two bare folders", []string{"x", "y"}, "--local-source y: TOP/x already stands in for every source; write NAME=DIR"},
		{"a folder that is not there", []string{"fleet=absent"}, "--local-source fleet=absent: lstat TOP/absent: no such file or directory"},
		{"no folder", []string{"fleet="}, "--local-source fleet=: want [KIND/][NAMESPACE/]NAME=DIR or DIR"},
		{"nothing at all", []string{""}, "--local-source : want [KIND/][NAMESPACE/]NAME=DIR or DIR"},
		{"a file", []string{"fleet=file"}, "--local-source fleet=file: file is not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			top := folders(t, "x", "y")
			t.Chdir(top)
			write(t, filepath.Join(top, "file"))
			_, err := source.ParseLocal(tt.values)
			if err == nil {
				t.Fatal("got no error")
			}
			if got := strings.ReplaceAll(err.Error(), top, "TOP"); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestEverything(t *testing.T) {
	tree := source.Tree{Dir: "/x", Revision: "main@sha1:1"}
	got, err := source.Everything(tree).Resolve(source.Ref{Kind: "Bucket", Namespace: "a", Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(tree, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestOpenFollowsSymbolicLinks(t *testing.T) {
	top := folders(t, "a")
	if err := os.Symlink("a", filepath.Join(top, "link")); err != nil {
		t.Fatal(err)
	}
	got, err := source.Open(filepath.Join(top, "link"))
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(top, "a"); got.Dir != want {
		t.Errorf("got %s, want %s", got.Dir, want)
	}
}

func TestFind(t *testing.T) {
	tests := []struct {
		name    string
		folders []string
		file    string
		paths   []string
		want    string
	}{
		{"the Git work tree that holds the file", []string{"repo/.git", "repo/clusters/prod", "repo/apps"}, "repo/clusters/prod/a.yaml", []string{"./apps", "clusters/prod"}, "repo"},
		{"the inner of two work trees", []string{".git", "apps", "repo/.git", "repo/apps"}, "repo/a.yaml", []string{"apps"}, "repo"},
		{"the work tree for an absolute path, as Flux reads it", []string{"repo/.git", "repo/apps"}, "repo/a.yaml", []string{"/apps"}, "repo"},
		{"the file's folder outside of Git", []string{"x/apps"}, "x/a.yaml", []string{"./apps"}, "x"},
		{"the nearest parent in which every path exists", []string{"x/y/apps", "x/y/z", "x/apps", "x/db"}, "x/y/z/a.yaml", []string{"apps", "db"}, "x"},
		{"the file's folder, where the work tree does not hold the paths", []string{"repo/.git", "repo/sub/apps"}, "repo/sub/a.yaml", []string{"apps"}, "repo/sub"},
		{"the work tree, where nothing holds the paths", []string{"repo/.git", "repo/sub"}, "repo/sub/a.yaml", []string{"absent"}, "repo"},
		{"the file's folder, where nothing holds the paths and there is no Git", []string{"x/sub"}, "x/sub/a.yaml", []string{"absent"}, "x/sub"},
		{"a folder instead of a file", []string{"x/apps"}, "x", []string{"apps"}, "x"},
		{"a path that is a file does not count", []string{"x/y", "apps"}, "x/y/a.yaml", []string{"a.yaml"}, "x/y"},
		{"no path at all", []string{"x/y"}, "x/y/a.yaml", nil, "x/y"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			top := folders(t, tt.folders...)
			file := filepath.Join(top, tt.file)
			if filepath.Ext(file) != "" {
				write(t, file)
			}
			for _, how := range []string{file, relative(t, top, file)} {
				got, err := source.Find(how, tt.paths)
				if err != nil {
					t.Fatal(err)
				}
				if want := filepath.Join(top, tt.want); got.Dir != want {
					t.Errorf("for %s: got %s, want %s", how, got.Dir, want)
				}
			}
		})
	}
}

func TestFindForStandardInputBeginsAtTheWorkingDirectory(t *testing.T) {
	top := folders(t, "x/apps", "x/y")
	t.Chdir(filepath.Join(top, "x/y"))
	for _, file := range []string{"", "."} {
		got, err := source.Find(file, []string{"apps"})
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(top, "x"); got.Dir != want {
			t.Errorf("for %q: got %s, want %s", file, got.Dir, want)
		}
	}
}

func TestRevision(t *testing.T) {
	commit := regexp.MustCompile(`[0-9a-f]{40}`)
	tests := []struct {
		name string
		do   func(t *testing.T, top string)
		dir  string
		want string
	}{
		{"a branch", func(*testing.T, string) {}, ".", "trunk@sha1:COMMIT"},
		{"a folder of it", func(*testing.T, string) {}, "apps", "trunk@sha1:COMMIT"},
		{"a detached commit", func(t *testing.T, top string) { git(t, top, "checkout", "-q", "--detach") }, ".", "sha1:COMMIT"},
		{"a changed file", func(t *testing.T, top string) { writeText(t, filepath.Join(top, "apps/a.yaml"), "b: 2\n") }, ".", "trunk@sha1:COMMIT+uncommitted"},
		{"a staged file", func(t *testing.T, top string) {
			write(t, filepath.Join(top, "new.yaml"))
			git(t, top, "add", "new.yaml")
		}, ".", "trunk@sha1:COMMIT+uncommitted"},
		{"a file that Git does not know", func(t *testing.T, top string) { write(t, filepath.Join(top, "new.yaml")) }, ".", "trunk@sha1:COMMIT+uncommitted"},
		{"a change elsewhere in the work tree", func(t *testing.T, top string) { write(t, filepath.Join(top, "new.yaml")) }, "apps", "trunk@sha1:COMMIT"},
		{"an ignored file", func(t *testing.T, top string) { write(t, filepath.Join(top, "x.log")) }, ".", "trunk@sha1:COMMIT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			top := repository(t)
			tt.do(t, top)
			tree, err := source.Open(filepath.Join(top, tt.dir))
			if err != nil {
				t.Fatal(err)
			}
			if got := commit.ReplaceAllString(tree.Revision, "COMMIT"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if head := git(t, top, "rev-parse", "HEAD"); !strings.Contains(tree.Revision, head) {
				t.Errorf("got %q, want the commit %s", tree.Revision, head)
			}
		})
	}
}

func TestNoRevisionWithoutACommit(t *testing.T) {
	top := folders(t, "repo", "plain")
	isolate(t)
	git(t, filepath.Join(top, "repo"), "init", "-q")
	for _, dir := range []string{"repo", "plain"} {
		tree, err := source.Open(filepath.Join(top, dir))
		if err != nil {
			t.Fatal(err)
		}
		if tree.Revision != "" {
			t.Errorf("%s: got %q, want none", dir, tree.Revision)
		}
	}
}

// repository makes a Git work tree with one commit on the branch trunk.
func repository(t *testing.T) string {
	t.Helper()
	isolate(t)
	top := folders(t, "apps")
	git(t, top, "init", "-q", "-b", "trunk")
	write(t, filepath.Join(top, "apps/a.yaml"))
	writeText(t, filepath.Join(top, ".gitignore"), "*.log\n")
	git(t, top, "add", ".")
	git(t, top, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "first")
	return top
}

// isolate keeps the configuration of whoever runs the test out of it.
func isolate(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, name := range []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"} {
		t.Setenv(name, "")
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// folders makes the folders below a new one, which it returns without
// symbolic links.
func folders(t *testing.T, names ...string) string {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(top, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return top
}

func write(t *testing.T, file string) {
	t.Helper()
	writeText(t, file, "a: 1\n")
}

func writeText(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// relative changes to top and returns file as seen from there.
func relative(t *testing.T, top, file string) string {
	t.Helper()
	t.Chdir(top)
	rel, err := filepath.Rel(top, file)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}
