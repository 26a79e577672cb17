package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// asBinary makes the test binary behave as fluxjob-cluster, so that no second
// link is needed. Children inherit it.
const asBinary = ownVariables + "TEST_AS_BINARY"

// patience bounds every wait. No test measures time.
const patience = 90 * time.Second

// sharedDir is the folder of the cluster that all tests share.
var sharedDir string

func TestMain(m *testing.M) {
	if os.Getenv(asBinary) != "" {
		os.Exit(mainWithCode(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(withCluster(m))
}

func withCluster(m *testing.M) int {
	dir, err := os.MkdirTemp("", "fluxjob-cluster")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	sharedDir = dir
	if out, err := binary(context.Background(), "up", "--dir", dir); err != nil {
		fmt.Fprintln(os.Stderr, out)
		return 1
	}
	code := m.Run()
	if out, err := binary(context.Background(), "down", "--dir", dir); err != nil {
		fmt.Fprintln(os.Stderr, out)
		return 1
	}
	return code
}

// binary runs fluxjob-cluster and returns both its streams.
func binary(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asBinary+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("fluxjob-cluster %s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String(), err
}

// mustBinary runs fluxjob-cluster, which must succeed.
func mustBinary(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := binary(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// space is a namespace of one test.
type space struct {
	t      *testing.T
	client kubernetes.Interface
	name   string
}

// newSpace makes a namespace in the shared cluster and waits until it can have
// pods.
func newSpace(t *testing.T) *space {
	t.Helper()
	t.Parallel()
	return newSpaceIn(t, sharedDir)
}

func newSpaceIn(t *testing.T, dir string) *space {
	t.Helper()
	client, err := newClient(filepath.Join(dir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	object, err := client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := &space{t: t, client: client, name: object.Name}
	s.eventually("the default service account", func(ctx context.Context) (bool, string) {
		_, err := client.CoreV1().ServiceAccounts(s.name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, fmt.Sprint(err)
	})
	return s
}

// eventually polls until the condition holds; it says what it saw last if not.
func (s *space) eventually(what string, holds func(ctx context.Context) (ok bool, seen string)) {
	s.t.Helper()
	eventually(s.t, what, holds)
}

func eventually(t *testing.T, what string, holds func(ctx context.Context) (ok bool, seen string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen := ""
	err := poll(ctx, func() (bool, error) {
		var ok bool
		ok, seen = holds(ctx)
		return ok, nil
	})
	if err != nil {
		t.Fatalf("%s: %v; last seen: %s", what, err, seen)
	}
}

// job creates a Job from YAML.
func (s *space) job(text string) *batchv1.Job {
	s.t.Helper()
	job := decode[batchv1.Job](s.t, text)
	created, err := s.client.BatchV1().Jobs(s.name).Create(s.t.Context(), job, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return created
}

// pod creates a Pod from YAML.
func (s *space) pod(text string) *corev1.Pod {
	s.t.Helper()
	pod := decode[corev1.Pod](s.t, text)
	created, err := s.client.CoreV1().Pods(s.name).Create(s.t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return created
}

func decode[T any](t *testing.T, text string) *T {
	t.Helper()
	object := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), object); err != nil {
		t.Fatalf("decode: %v\n%s", err, text)
	}
	return object
}

// jobCondition waits until the Job has the condition and returns it.
func (s *space) jobCondition(name string, want batchv1.JobConditionType) batchv1.JobCondition {
	s.t.Helper()
	var found batchv1.JobCondition
	s.eventually("job "+name+" "+string(want), func(ctx context.Context) (bool, string) {
		job, err := s.client.BatchV1().Jobs(s.name).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		for _, c := range job.Status.Conditions {
			if c.Type == want && c.Status == corev1.ConditionTrue {
				found = c
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v", job.Status)
	})
	return found
}

// podWhen waits until the pod is as wanted and returns it.
func (s *space) podWhen(name, what string, wanted func(*corev1.Pod) bool) *corev1.Pod {
	s.t.Helper()
	var found *corev1.Pod
	s.eventually("pod "+name+" "+what, func(ctx context.Context) (bool, string) {
		pod, err := s.client.CoreV1().Pods(s.name).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		found = pod
		return wanted(pod), fmt.Sprintf("%+v", pod.Status)
	})
	return found
}

// podIn waits for a phase.
func (s *space) podIn(name string, phase corev1.PodPhase) *corev1.Pod {
	s.t.Helper()
	return s.podWhen(name, string(phase), func(p *corev1.Pod) bool { return p.Status.Phase == phase })
}

// gone waits until get finds nothing any more.
func (s *space) gone(what string, get func(ctx context.Context) error) {
	s.t.Helper()
	s.eventually(what+" is gone", func(ctx context.Context) (bool, string) {
		err := get(ctx)
		return apierrors.IsNotFound(err), fmt.Sprint(err)
	})
}

// podOf returns the only pod of a Job.
func (s *space) podOf(job string) *corev1.Pod {
	s.t.Helper()
	var found *corev1.Pod
	s.eventually("the pod of job "+job, func(ctx context.Context) (bool, string) {
		list, err := s.client.CoreV1().Pods(s.name).List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job})
		if err != nil || len(list.Items) == 0 {
			return false, fmt.Sprint(err)
		}
		found = &list.Items[0]
		return true, ""
	})
	return found
}

// log returns the whole log of a pod's only container.
func (s *space) log(pod string) string {
	s.t.Helper()
	text, err := s.client.CoreV1().Pods(s.name).GetLogs(pod, &corev1.PodLogOptions{}).DoRaw(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// kubectl runs kubectl of this binary in the namespace.
func (s *space) kubectl(args ...string) string {
	s.t.Helper()
	return mustBinary(s.t, append([]string{"kubectl", "--dir", sharedDir, "-n", s.name}, args...)...)
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
