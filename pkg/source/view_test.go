package source_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/fluxjob/kubectl-fluxjob/pkg/source"
)

func TestViewHoldsWhatTheArtifactHolds(t *testing.T) {
	gitRepository := source.Rules{Kind: source.GitRepository}
	ignoring := func(kind, ignore string) source.Rules { return source.Rules{Kind: kind, Ignore: ignore} }
	tests := []struct {
		name  string
		rules source.Rules
		// files are their text by path; a path with a slash at its end is an
		// empty folder, and a text "-> TARGET" a symbolic link.
		files map[string]string
		want  []string
	}{
		{
			"the defaults, where nothing is said", gitRepository,
			map[string]string{
				"app/a.yaml": "", ".github/workflows/ci.yaml": "", ".gitignore": "", "app/.gitattributes": "", "app/.sops.yaml": "", "logo.png": "", "app/data.tar.gz": "",
				"sub/.git/config": "", ".gitlab-ci.yml": "", "docs/cloudbuild.yaml": "", "empty/": "",
			},
			[]string{"app/", "app/a.yaml", "docs/", "empty/", "sub/"},
		},
		{
			"a .sourceignore takes the place of the defaults, but not of those for Git's own files", gitRepository,
			map[string]string{".sourceignore": "*.txt\n", "a.txt": "", "b.png": "", ".github/c.yaml": "", ".gitignore": ""},
			[]string{".github/", ".github/c.yaml", ".sourceignore", "b.png"},
		},
		{
			"one with nothing but comments does not", gitRepository,
			map[string]string{".sourceignore": "# nothing\n\n", "b.png": ""},
			[]string{".sourceignore"},
		},
		{
			"one further down counts there, but takes the place of the defaults everywhere", gitRepository,
			map[string]string{"app/.sourceignore": "/a.yaml\n*.txt\n", "app/a.yaml": "", "app/sub/a.yaml": "", "app/sub/b.txt": "", "a.yaml": "", "b.txt": "", "c.png": ""},
			[]string{"a.yaml", "app/", "app/.sourceignore", "app/sub/", "app/sub/a.yaml", "b.txt", "c.png"},
		},
		{
			"the deeper one wins, also against the top", gitRepository,
			map[string]string{".sourceignore": "*.yaml\n", "app/.sourceignore": "!keep.yaml\n", "app/keep.yaml": "", "app/a.yaml": "", "keep.yaml": ""},
			[]string{".sourceignore", "app/", "app/.sourceignore", "app/keep.yaml"},
		},
		{
			"what is in a folder that is left out can be taken back, unlike with Git", gitRepository,
			map[string]string{".sourceignore": "app/\n!app/keep.yaml\n", "app/keep.yaml": "", "app/a.yaml": ""},
			[]string{".sourceignore", "app/", "app/keep.yaml"},
		},
		{
			"a folder stays if all that is in it is left out, but not itself", gitRepository,
			map[string]string{".sourceignore": "app/*\nweb/\n", "app/a.yaml": "", "web/a.yaml": ""},
			[]string{".sourceignore", "app/"},
		},
		{
			"spec.ignore wins against every .sourceignore", ignoring(source.GitRepository, "/*\n!/app\n# a comment\n/app/b.yaml\n"),
			map[string]string{"app/.sourceignore": "a.yaml\n!b.yaml\n", "app/a.yaml": "", "app/b.yaml": "", "web/a.yaml": "", "app/sub/a.yaml": ""},
			[]string{"app/", "app/.sourceignore", "app/a.yaml", "app/sub/", "app/sub/a.yaml"},
		},
		{
			"an OCIRepository as a GitRepository", ignoring(source.OCIRepository, "*.txt"),
			map[string]string{"a.txt": "", "b.png": "", ".gitignore": "*.yaml\n", "c.yaml": ""},
			[]string{"b.png", "c.yaml"},
		},
		{
			"a Bucket knows no defaults, one .sourceignore and no empty folders", ignoring(source.Bucket, "*.txt\n!keep.txt\n"),
			map[string]string{".sourceignore": "*.yaml\nkeep.txt\n", "app/.sourceignore": "*.png\n", "app/a.yaml": "", "app/b.png": "", "a.txt": "", "keep.txt": "", "empty/": "", "web/a.yaml": ""},
			[]string{"app/", "app/.sourceignore", "app/b.png", "keep.txt"},
		},
		{
			"nothing is left out of what was fetched",
			source.Rules{},
			map[string]string{".sourceignore": "*.yaml\n", "a.yaml": "", "b.png": ""},
			[]string{".sourceignore", "a.yaml", "b.png"},
		},
		{
			"symbolic links to files and folders do not exist, what they lead to does", gitRepository,
			map[string]string{"a.yaml": "", "app/b.yaml": "", "link.yaml": "-> a.yaml", "web": "-> app", "out": "-> /"},
			[]string{"a.yaml", "app/", "app/b.yaml"},
		},
		{
			"a .sourceignore that is a symbolic link counts", gitRepository,
			map[string]string{".sourceignore": "-> rules", "rules": "*.yaml\n", "a.yaml": "", "b.png": ""},
			[]string{"b.png", "rules"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			top := tree(t, tt.files)
			if d := gocmp.Diff(tt.want, holds(t, top, tt.rules)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestViewOfAGitWorkTree(t *testing.T) {
	rules := source.Rules{Kind: source.GitRepository}
	tests := []struct {
		name  string
		rules source.Rules
		dir   string
		do    func(t *testing.T, top string)
		want  []string
	}{
		{"what Git has", rules, ".", func(*testing.T, string) {}, []string{"apps/", "apps/a.yaml"}},
		{"what is new and not ignored", rules, ".", func(t *testing.T, top string) {
			write(t, filepath.Join(top, "apps/new.yaml"))
			write(t, filepath.Join(top, "x.log"))
		}, []string{"apps/", "apps/a.yaml", "apps/new.yaml"}},
		{"what is ignored, but in Git", rules, ".", func(t *testing.T, top string) {
			write(t, filepath.Join(top, "forced.log"))
			git(t, top, "add", "-f", "forced.log")
		}, []string{"apps/", "apps/a.yaml", "forced.log"}},
		{"a .sourceignore that Git ignores does not count", rules, ".", func(t *testing.T, top string) {
			writeText(t, filepath.Join(top, ".gitignore"), "vendor/\n.sourceignore\n")
			for _, dir := range []string{"vendor", "."} {
				if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
					t.Fatal(err)
				}
				writeText(t, filepath.Join(top, dir, ".sourceignore"), "*.yaml\n")
			}
			write(t, filepath.Join(top, "b.png"))
		}, []string{"apps/", "apps/a.yaml"}},
		{"Git keeps no empty folders", rules, ".", func(t *testing.T, top string) {
			if err := errors.Join(os.MkdirAll(filepath.Join(top, "empty/below"), 0o755), os.Remove(filepath.Join(top, "apps/a.yaml"))); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"a folder of a work tree", rules, "apps", func(*testing.T, string) {}, []string{"a.yaml"}},
		{"a folder that Git ignores is no part of the work tree", rules, "out", func(t *testing.T, top string) {
			writeText(t, filepath.Join(top, ".gitignore"), "out/\n")
			if err := os.MkdirAll(filepath.Join(top, "out"), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(top, "out/a.yaml"))
		}, []string{"a.yaml"}},
		{"what Git ignores is in what is pushed to a registry", source.Rules{Kind: source.OCIRepository}, ".", func(t *testing.T, top string) {
			write(t, filepath.Join(top, "x.log"))
		}, []string{"apps/", "apps/a.yaml", "x.log"}},
		{"a submodule is an empty folder", rules, ".", submodule, []string{"apps/", "apps/a.yaml", "sub/"}},
		{"a submodule with its content", source.Rules{Kind: source.GitRepository, Submodules: true}, ".", submodule, []string{"apps/", "apps/a.yaml", "sub/", "sub/apps/", "sub/apps/a.yaml"}},
		{"another repository inside that is no submodule", rules, ".", func(t *testing.T, top string) {
			if err := os.Rename(repository(t), filepath.Join(top, "other")); err != nil {
				t.Fatal(err)
			}
		}, []string{"apps/", "apps/a.yaml"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			top := repository(t)
			tt.do(t, top)
			if d := gocmp.Diff(tt.want, holds(t, filepath.Join(top, tt.dir), tt.rules)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestViewOfAWorkTreeIsThatOfItsClone lets Git say what a clone has, once all is
// committed that it does not ignore.
func TestViewOfAWorkTreeIsThatOfItsClone(t *testing.T) {
	for _, submodules := range []bool{false, true} {
		top := repository(t)
		submodule(t, top)
		for name, text := range map[string]string{
			".sourceignore": "*.txt\n", "apps/.sourceignore": "!keep.txt\n", "apps/keep.txt": "", "apps/new.yaml": "", "notes.txt": "", "noise.log": "",
			".gitignore": "*.log\n/build/\n!/build.log\n", "build.log": "", "build/out.yaml": "", "build/.sourceignore": "*.yaml\n", "deep/down/a.yaml": "", "deep/b.log": "",
		} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			writeText(t, filepath.Join(top, name), text)
		}
		if err := errors.Join(os.Symlink("deep", filepath.Join(top, "link")), os.MkdirAll(filepath.Join(top, "empty"), 0o755), os.Remove(filepath.Join(top, "apps/a.yaml"))); err != nil {
			t.Fatal(err)
		}
		rules := source.Rules{Kind: source.GitRepository, Submodules: submodules}
		got := holds(t, top, rules)
		git(t, top, "add", "--all")
		git(t, top, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "second")
		clone := filepath.Join(folders(t), "clone")
		args := []string{"-c", "protocol.file.allow=always", "clone", "-q", top, clone}
		if submodules {
			args = append(args, "--recurse-submodules")
		}
		git(t, filepath.Dir(clone), args...)
		if err := errors.Join(os.RemoveAll(filepath.Join(clone, ".git")), os.RemoveAll(filepath.Join(clone, "sub/.git"))); err != nil {
			t.Fatal(err)
		}
		if d := gocmp.Diff(holds(t, clone, rules), got); d != "" || len(got) < 8 {
			t.Errorf("with submodules %t (-clone +work tree):\n%s", submodules, d)
		}
	}
}

// submodule puts another repository into the one at top, with a file that it
// ignores.
func submodule(t *testing.T, top string) {
	t.Helper()
	git(t, top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", repository(t), "sub")
	write(t, filepath.Join(top, "sub/x.log"))
}

func TestViewSaysWhatGitSays(t *testing.T) {
	isolate(t)
	top := folders(t, "repo/.git")
	opened, err := source.Open(filepath.Join(top, "repo"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = opened.View(source.Rules{Kind: source.GitRepository})
	if want := "list " + opened.Dir + ": git ls-files: fatal: not a git repository (or any of the parent directories): .git"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestViewHidesInEveryWay(t *testing.T) {
	top := tree(t, map[string]string{".sourceignore": "hidden*\n", "app/a.yaml": "a: 1\n", "app/hidden.yaml": "b: 1\n", "hidden/c.yaml": "c: 1\n", "link": "-> app", "l.yaml": "-> app/a.yaml"})
	opened, err := source.Open(top)
	if err != nil {
		t.Fatal(err)
	}
	view, err := opened.View(source.Rules{Kind: source.GitRepository})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app/hidden.yaml", "hidden", "hidden/c.yaml", "link", "link/a.yaml", "l.yaml", "absent"} {
		name = filepath.Join(top, name)
		if view.Exists(name) || view.IsDir(name) {
			t.Errorf("%s exists", name)
		}
		_, readErr := view.ReadFile(name)
		_, _, absErr := view.CleanedAbs(name)
		for what, err := range map[string]error{"ReadFile": readErr, "CleanedAbs": absErr} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s of %s: got %v, want that it does not exist", what, name, err)
			}
		}
	}
	data, err := view.ReadFile(filepath.Join(top, "app/a.yaml"))
	if err != nil || string(data) != "a: 1\n" || !view.IsDir(filepath.Join(top, "app")) {
		t.Errorf("got %q, %v", data, err)
	}
	if _, err := view.ReadFile(filepath.Join(filepath.Dir(top), "elsewhere")); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("outside of the tree: got %v, want that it is refused", err)
	}
}

func TestLeftOutNamesTheRule(t *testing.T) {
	top := repository(t)
	for name, text := range map[string]string{
		".sourceignore": "# drafts\n\ndrafts/\n*.txt\n", "apps/.sourceignore": "/b.yaml\n!keep.txt\n", "drafts/sub/a.yaml": "", "a.txt": "", "apps/b.yaml": "", "apps/keep.txt": "", "x.log": "", "base/a.yaml": "", "base/x.log": "",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(top, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		writeText(t, filepath.Join(top, name), text)
	}
	if err := errors.Join(os.Symlink("apps", filepath.Join(top, "link")), os.Mkdir(filepath.Join(top, "empty"), 0o755)); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ ignore, path, want string }{
		{"", "drafts", ".sourceignore:3:drafts/"},
		{"", "drafts/sub/a.yaml", ".sourceignore:3:drafts/"},
		{"", "a.txt", ".sourceignore:4:*.txt"},
		{"", "apps/b.yaml", "apps/.sourceignore:1:/b.yaml"},
		{"# all\n/base", "base/a.yaml", "spec.ignore:2:/base"},
		{"", ".gitignore", "the default excludes:.gitignore"},
		{"", "x.log", ".gitignore:1:*.log"},
		{"", "link", "link is a symbolic link"},
		{"", "link/a.yaml", "link is a symbolic link"},
		{"", "empty", "there is nothing in it to pack"},
		{"", "apps/keep.txt", ""},
		{"", "apps", ""},
		{"", "absent", ""},
		{"", "../absent", ""},
	}
	for _, tt := range tests {
		view, err := source.Tree{Dir: top}.View(source.Rules{Kind: source.GitRepository, Ignore: tt.ignore})
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(top, tt.path)
		if got := view.LeftOut(name); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.path, got, tt.want)
		}
		if _, err := view.ReadFile(name); tt.want != "" && (err == nil || err.Error() != "open "+name+": the artifact leaves it out ("+tt.want+")") {
			t.Errorf("%s: got %v", tt.path, err)
		}
	}
}

func TestViewWantsTheSubmodulesThatCount(t *testing.T) {
	top := repository(t)
	submodule(t, top)
	git(t, top, "submodule", "--quiet", "deinit", "--force", "sub")
	view, err := source.Tree{Dir: top}.View(source.Rules{Kind: source.GitRepository})
	if err != nil || !view.IsDir(filepath.Join(top, "sub")) {
		t.Errorf("where they do not count: %v", err)
	}
	_, err = source.Tree{Dir: top}.View(source.Rules{Kind: source.GitRepository, Submodules: true})
	if want := "list " + top + ": the submodule sub is not there: run git submodule update --init --recursive"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestRulesOf(t *testing.T) {
	tests := []struct {
		name, object string
		want         source.Rules
		unsupported  string
	}{
		{"a GitRepository", "{kind: GitRepository, spec: {ignore: a, recurseSubmodules: true}}", source.Rules{Kind: "GitRepository", Ignore: "a", Submodules: true}, ""},
		{"one that says nothing", "{kind: Bucket}", source.Rules{Kind: "Bucket"}, ""},
		{"an OCIRepository that copies", "{kind: OCIRepository, spec: {layerSelector: {operation: copy}}}", source.Rules{}, ""},
		{"an OCIRepository that extracts", "{kind: OCIRepository, spec: {layerSelector: {operation: extract}}}", source.Rules{Kind: "OCIRepository"}, ""},
		{"what other sources bring in", "{kind: GitRepository, spec: {include: [{repository: {name: x}}]}}", source.Rules{Kind: "GitRepository"}, "spec.include"},
		{"a part of the bucket", "{kind: Bucket, spec: {prefix: app/}}", source.Rules{Kind: "Bucket"}, "spec.prefix"},
		{"a part of the clone", "{kind: GitRepository, spec: {sparseCheckout: [app]}}", source.Rules{Kind: "GitRepository"}, "spec.sparseCheckout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(tt.object), &u.Object); err != nil {
				t.Fatal(err)
			}
			rules, unsupported := source.RulesOf(u)
			if d := gocmp.Diff(tt.want, rules); d != "" || unsupported != tt.unsupported {
				t.Errorf("unsupported %q (-want +got):\n%s", unsupported, d)
			}
		})
	}
}

// tree writes the files below a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	top := folders(t)
	for name, text := range files {
		file := filepath.Join(top, name)
		if name[len(name)-1] == '/' {
			file = filepath.Join(file, "x")
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		switch {
		case name[len(name)-1] == '/':
		case len(text) > 3 && text[:3] == "-> ":
			if err := os.Symlink(text[3:], file); err != nil {
				t.Fatal(err)
			}
		default:
			writeText(t, file, text)
		}
	}
	return top
}

// holds lists what the view of the tree holds; folders end in a slash.
func holds(t *testing.T, top string, rules source.Rules) []string {
	t.Helper()
	opened, err := source.Open(top)
	if err != nil {
		t.Fatal(err)
	}
	view, err := opened.View(rules)
	if err != nil {
		t.Fatal(err)
	}
	links := t.TempDir()
	if err := view.Link(opened.Dir, links); err != nil {
		t.Fatal(err)
	}
	var found []string
	err = filepath.WalkDir(links, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == links {
			return err
		}
		rel, err := filepath.Rel(links, name)
		if entry.IsDir() {
			rel += "/"
		}
		found = append(found, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}
