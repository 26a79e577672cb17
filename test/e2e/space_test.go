package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

const (
	// patience is how long something that has to happen may take on a busy
	// machine.
	patience = 2 * time.Minute
	// pollPeriod is the pause between two looks at what has to happen.
	pollPeriod = 50 * time.Millisecond
)

// files are the files of a tree by path.
type files map[string]string

// space is what one test has for itself: a namespace, a tree with manifests,
// and a folder into which its Jobs write.
//
// In manifests and arguments @NS stands for the namespace and @OUT for the
// folder.
type space struct {
	t   *testing.T
	ns  string
	dir string
	out string
	// home is the home of the programs that are run.
	home string
	// env are variables for them, as "NAME=VALUE".
	env []string
}

// newSpace makes a space whose tree holds the files.
func newSpace(t *testing.T, tree files) *space {
	t.Helper()
	s := &space{t: t, ns: "e2e-" + rand.String(6), dir: realDir(t), out: realDir(t), home: realDir(t)}
	s.create("apiVersion: v1\nkind: Namespace\nmetadata: {name: \"@NS\"}\n")
	t.Cleanup(func() {
		background := metav1.DeletePropagationBackground
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = client.Resource(resources["Namespace"]).Delete(ctx, s.ns, metav1.DeleteOptions{PropagationPolicy: &background})
	})
	s.write(tree)
	return s
}

// realDir is a temporary folder without symbolic links in its path.
func realDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s *space) expand(text string) string {
	return strings.NewReplacer("@NS", s.ns, "@OUT", s.out).Replace(text)
}

// write puts files into the tree.
func (s *space) write(tree files) {
	s.t.Helper()
	for name, content := range tree {
		path := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(s.expand(content)), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
}

// remove takes a file out of the tree.
func (s *space) remove(name string) {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

// replace changes a text that stands in a file of the tree.
func (s *space) replace(name, old, replacement string) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		s.t.Fatalf("%s does not hold %q", name, old)
	}
	s.write(files{name: strings.ReplaceAll(string(data), old, replacement)})
}

// mark is the shell command by which a Job leaves a mark.
func mark(name string) string { return "echo " + name + " >> @OUT/marks" }

// marks returns the marks that the Jobs left, in their order.
func (s *space) marks() []string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.out, "marks"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return strings.Fields(string(data))
}

// result is how a program ended.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout:\n%s\nstderr:\n%s", r.code, r.stdout, r.stderr)
}

// process is a program that may still run.
type process struct {
	s              *space
	cmd            *exec.Cmd
	stdout, stderr output
}

// output is what a program has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds to the output.
func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(data)
}

// String returns what was written.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// start starts the program in the tree.
func (s *space) start(stdin io.Reader, args ...string) *process {
	s.t.Helper()
	for i := range args {
		args[i] = s.expand(args[i])
	}
	p := &process{s: s, cmd: exec.CommandContext(s.t.Context(), binary, args...)}
	p.cmd.Dir, p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = s.dir, stdin, &p.stdout, &p.stderr
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "KUBECONFIG=" + kubeconfig}
	p.cmd.Env = append(p.cmd.Env, s.env...)
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// says waits until the program has written a text to stdout.
func (p *process) says(text string) {
	p.s.t.Helper()
	p.s.eventually("the program says "+text, func(context.Context) (bool, error) {
		return strings.Contains(p.stdout.String(), text), nil
	})
}

// interrupt does what Ctrl-C does.
func (p *process) interrupt() {
	p.s.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.s.t.Fatal(err)
	}
}

// wait waits for the end and checks the exit code.
func (p *process) wait(code int) result {
	p.s.t.Helper()
	err := p.cmd.Wait()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		p.s.t.Fatalf("%s: %v", p.cmd, err)
	}
	r := result{p.stdout.String(), p.stderr.String(), p.cmd.ProcessState.ExitCode()}
	if r.code != code {
		p.s.t.Fatalf("%s: want exit code %d, got %s", p.cmd, code, r)
	}
	return r
}

// run runs the program in the tree and checks its exit code.
func (s *space) run(code int, args ...string) result {
	s.t.Helper()
	return s.start(nil, args...).wait(code)
}

// resources says how the cluster serves the kinds that the tests look at.
var resources = map[string]schema.GroupVersionResource{
	"ConfigMap":                {Version: "v1", Resource: "configmaps"},
	"CustomResourceDefinition": {Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	"Deployment":               {Group: "apps", Version: "v1", Resource: "deployments"},
	"Job":                      {Group: "batch", Version: "v1", Resource: "jobs"},
	"Kustomization":            {Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Resource: "kustomizations"},
	"LimitRange":               {Version: "v1", Resource: "limitranges"},
	"Namespace":                {Version: "v1", Resource: "namespaces"},
	"Pod":                      {Version: "v1", Resource: "pods"},
	"ResourceQuota":            {Version: "v1", Resource: "resourcequotas"},
	"Role":                     {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
	"RoleBinding":              {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	"Secret":                   {Version: "v1", Resource: "secrets"},
}

// in returns the objects of a kind in a namespace, or all of a kind that has
// none.
func (s *space) in(kind, namespace string) dynamic.ResourceInterface {
	s.t.Helper()
	resource, known := resources[kind]
	if !known {
		s.t.Fatalf("the tests do not know the kind %s", kind)
	}
	if kind == "Namespace" || kind == "CustomResourceDefinition" {
		return client.Resource(resource)
	}
	return client.Resource(resource).Namespace(namespace)
}

// create creates objects by the hand of somebody else, in the test's namespace
// where they name none.
func (s *space) create(documents string) {
	s.t.Helper()
	s.createAs("somebody", documents)
}

func (s *space) createAs(manager, documents string) {
	s.t.Helper()
	for _, u := range s.parse(documents) {
		namespace := u.GetNamespace()
		if namespace == "" {
			namespace = s.ns
		}
		if _, err := s.in(u.GetKind(), namespace).Create(s.t.Context(), u, metav1.CreateOptions{FieldManager: manager}); err != nil {
			s.t.Fatalf("create %s %s: %v", u.GetKind(), u.GetName(), err)
		}
	}
}

func (s *space) parse(documents string) []*unstructured.Unstructured {
	s.t.Helper()
	var objects []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(s.expand(documents)), 4096); ; {
		u := &unstructured.Unstructured{}
		err := decoder.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if len(u.Object) > 0 {
			objects = append(objects, u)
		}
	}
}

// live returns an object by "Kind/name".
func (s *space) live(ref string) *unstructured.Unstructured {
	s.t.Helper()
	return s.liveIn(s.ns, ref)
}

func (s *space) liveIn(namespace, ref string) *unstructured.Unstructured {
	s.t.Helper()
	kind, name, _ := strings.Cut(ref, "/")
	u, err := s.in(kind, namespace).Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatalf("get %s: %v", ref, err)
	}
	return u
}

// absent checks that an object does not exist.
func (s *space) absent(refs ...string) {
	s.t.Helper()
	for _, ref := range refs {
		kind, name, _ := strings.Cut(ref, "/")
		u, err := s.in(kind, s.ns).Get(s.t.Context(), name, metav1.GetOptions{})
		if err == nil {
			s.t.Errorf("%s exists: %v", ref, u.Object)
		} else if !apierrors.IsNotFound(err) {
			s.t.Fatalf("get %s: %v", ref, err)
		}
	}
}

// delete deletes an object with all that belongs to it, and waits until it is
// gone.
func (s *space) delete(ref string) {
	s.t.Helper()
	kind, name, _ := strings.Cut(ref, "/")
	foreground := metav1.DeletePropagationForeground
	if err := s.in(kind, s.ns).Delete(s.t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
		s.t.Fatalf("delete %s: %v", ref, err)
	}
	s.goneByItself(ref)
}

// eventually waits until something has happened.
func (s *space) eventually(what string, happened func(ctx context.Context) (bool, error)) {
	s.t.Helper()
	if err := wait.PollUntilContextTimeout(s.t.Context(), pollPeriod, patience, true, happened); err != nil {
		s.t.Fatalf("waiting until %s: %v", what, err)
	}
}

// becomes waits until an object exists and is as it should be, and returns it.
func (s *space) becomes(ref, what string, is func(*unstructured.Unstructured) bool) *unstructured.Unstructured {
	s.t.Helper()
	kind, name, _ := strings.Cut(ref, "/")
	var last *unstructured.Unstructured
	s.eventually(ref+" "+what, func(ctx context.Context) (bool, error) {
		u, err := s.in(kind, s.ns).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		last = u
		return err == nil && is(u), err
	})
	return last
}

// marked waits until a Job has left the mark.
func (s *space) marked(name string) {
	s.t.Helper()
	s.eventually("a Job leaves the mark "+name, func(context.Context) (bool, error) {
		return slices.Contains(s.marks(), name), nil
	})
}

// pods returns the names of the pods that exist of a Job.
func (s *space) pods(job string) []string {
	s.t.Helper()
	list, err := s.in("Pod", s.ns).List(s.t.Context(), metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=" + job})
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].GetName())
	}
	return names
}

// condition says whether a condition of the object is True.
func condition(name string) func(*unstructured.Unstructured) bool {
	return func(u *unstructured.Unstructured) bool {
		list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
		for _, item := range list {
			if c, isMap := item.(map[string]any); isMap && c["type"] == name && c["status"] == "True" {
				return true
			}
		}
		return false
	}
}

// text returns a string field of an object.
func text(u *unstructured.Unstructured, fields ...string) string {
	value, _, _ := unstructured.NestedString(u.Object, fields...)
	return value
}

// image returns the image of the first container of a Job or Deployment.
func image(u *unstructured.Unstructured) string {
	containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
	if len(containers) == 0 {
		return ""
	}
	first, _ := containers[0].(map[string]any)
	name, _ := first["image"].(string)
	return name
}
