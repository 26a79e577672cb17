package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestUpIsIdempotent(t *testing.T) {
	t.Parallel()
	out := mustBinary(t, "up", "--dir", sharedDir)
	if !strings.Contains(out, "running already") {
		t.Errorf("got %q", out)
	}
	info, err := os.Stat(filepath.Join(sharedDir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "mode of the kubeconfig", info.Mode().Perm(), 0o600)
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"up"}, {"up", "--dir"}, {"down", "--dir=x", "more"}, {"fly", "--dir=x"}} {
		if out, err := binary(t.Context(), args...); err == nil {
			t.Errorf("%v: no error but %q", args, out)
		}
	}
	equal(t, "help", mustBinary(t, "help"), usage)
}

func TestDownWithoutACluster(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "none")
	mustBinary(t, "down", "--dir", dir)
	if _, err := os.Stat(dir); err == nil {
		t.Error("down has made the folder")
	}
	mustBinary(t, "down", "--dir", t.TempDir())
}

// A start that fails says why and leaves nothing running.
func TestUpReportsAFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "kubeconfig"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kubeconfig", "full"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := binary(t.Context(), "up", "--dir", dir)
	if err == nil || !strings.Contains(out, "did not start") {
		t.Errorf("got %q", out)
	}
	equal(t, "processes", len(clusterProcesses(t, dir)), 0)
}

func TestDownEndsItsProcessesAndNoOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bystander := exec.Command("sleep", "600")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = bystander.Process.Kill()
		_ = bystander.Wait()
	})
	upTwice(t, dir)
	pids := append(clusterProcesses(t, dir), runningPod(t, dir)...)
	mustBinary(t, "down", "--dir", dir)
	awaitEnd(t, pids)
	equal(t, "the bystander lives", alive(t, bystander.Process.Pid), true)
	for _, name := range []string{"kubeconfig", "state", "control.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "logs", nameAPIServer+".log")); err != nil {
		t.Error(err)
	}
	mustBinary(t, "down", "--dir", dir)
}

func TestKilledProcessTakesAllWithIt(t *testing.T) {
	t.Parallel()
	for name, arguments := range map[string]string{"supervisor": "run --dir ", "node": "component node .*"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			mustBinary(t, "up", "--dir", dir)
			t.Cleanup(func() { _, _ = binary(context.Background(), "down", "--dir", dir) })
			pids := append(clusterProcesses(t, dir), runningPod(t, dir)...)
			if err := syscall.Kill(onlyProcess(t, arguments+regexp.QuoteMeta(dir)), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			awaitEnd(t, pids)
			mustBinary(t, "up", "--dir", dir)
			mustBinary(t, "down", "--dir", dir)
		})
	}
}

func TestRestartAPIServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustBinary(t, "up", "--dir", dir)
	t.Cleanup(func() { _, _ = binary(context.Background(), "down", "--dir", dir) })
	s := newSpaceIn(t, dir)
	s.pod(`
metadata: {name: before}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: any, command: [sh, -c, "until test -e go; do sleep 0.1; done"]}
  - {name: touch, image: any, command: [sh, -c, "sleep 4; touch go"]}
`)
	s.podIn("before", corev1.PodRunning)
	mustBinary(t, "restart-apiserver", "--dir", dir)
	s.podIn("before", corev1.PodSucceeded)
}

// upTwice starts two commands for one folder at the same time.
func upTwice(t *testing.T, dir string) {
	t.Helper()
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			if _, err := binary(t.Context(), "up", "--dir", dir); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	onlyProcess(t, "run --dir "+regexp.QuoteMeta(dir))
}

// runningPod starts a pod whose container has a child of its own and returns
// the process IDs of both. In a command "$$" stands for one dollar sign.
func runningPod(t *testing.T, dir string) []int {
	t.Helper()
	s := newSpaceIn(t, dir)
	s.pod(`
metadata: {name: family}
spec:
  containers:
  - {name: main, image: any, command: [sh, -c, "trap '' TERM; sleep 600 & echo $$$$ $!; wait; sleep 600"]}
`)
	var pids []int
	s.eventually("the process IDs", func(ctx context.Context) (bool, string) {
		text, err := s.client.CoreV1().Pods(s.name).GetLogs("family", &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil {
			return false, err.Error()
		}
		pids = numbers(strings.Fields(string(text)))
		return len(pids) == 2, string(text)
	})
	return pids
}

func numbers(words []string) []int {
	var list []int
	for _, word := range words {
		if n, err := strconv.Atoi(word); err == nil {
			list = append(list, n)
		}
	}
	return list
}

// onlyProcess returns the one process whose arguments match.
func onlyProcess(t *testing.T, pattern string) int {
	t.Helper()
	list := processesWith(t, pattern)
	if len(list) != 1 {
		t.Fatalf("%d processes match %s, want 1", len(list), pattern)
	}
	return list[0]
}

// clusterProcesses returns the processes whose arguments name the folder.
func clusterProcesses(t *testing.T, dir string) []int {
	t.Helper()
	return processesWith(t, regexp.QuoteMeta(dir))
}

func processesWith(t *testing.T, pattern string) []int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-axww", "-o", "pid=,stat=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(pattern)
	var list []int
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) > 2 && !strings.HasPrefix(fields[1], "Z") && wanted.MatchString(line) {
			list = append(list, numbers(fields[:1])...)
		}
	}
	return list
}

func awaitEnd(t *testing.T, pids []int) {
	t.Helper()
	if len(pids) < 6 {
		t.Fatalf("only %d processes were seen", len(pids))
	}
	eventually(t, "all processes have ended", func(context.Context) (bool, string) {
		for _, pid := range pids {
			if alive(t, pid) {
				return false, fmt.Sprintf("%d lives", pid)
			}
		}
		return true, ""
	})
}

// alive tells whether a process runs; one that nobody has waited for does not.
func alive(t *testing.T, pid int) bool {
	t.Helper()
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	state := strings.TrimSpace(string(out))
	return err == nil && state != "" && !strings.HasPrefix(state, "Z")
}
