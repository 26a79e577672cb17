// Package harness starts what the tests run against: the plugin's binary and
// the embedded cluster, taken from the environment or built.
package harness

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The variables that name programs which were built before, as `make test`
// does.
const (
	PluginVariable  = "FLUXJOB_BIN"
	ClusterVariable = "FLUXJOB_CLUSTER_BIN"
)

// Environment is what a package of tests has in common.
type Environment struct {
	// Dir is a temporary folder with a short path, so that sockets fit.
	Dir string
	// Kubeconfig is that of the embedded cluster's administrator.
	Kubeconfig string
	// cluster is the program of the embedded cluster.
	cluster string
	ends    []func() error
}

// Cleanup has end called when the tests have ended, before the cluster is
// stopped; what was given last is called first.
func (e *Environment) Cleanup(end func() error) { e.ends = append(e.ends, end) }

// Parallel sets how many tests that say t.Parallel run at once, unless the
// command line says it: tests on a cluster mostly wait.
func Parallel(n int) {
	// What the command line gives is parsed later, and wins.
	_ = flag.Set("test.parallel", strconv.Itoa(n))
}

// Main runs the tests on a cluster of their own. setup is called when the
// cluster is ready. The cluster ends with the tests, even if they panic, time
// out or are killed.
func Main(m *testing.M, setup func(*Environment) error) {
	if err := run(m, setup); err != nil {
		log.Fatal(err)
	}
}

func run(m *testing.M, setup func(*Environment) error) (err error) {
	env := &Environment{}
	if env.Dir, err = os.MkdirTemp("/tmp", "fluxjob-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(env.Dir) }()
	if env.cluster, err = env.Program(ClusterVariable, "fluxjob-cluster", buildCluster); err != nil {
		return err
	}
	stop, err := env.start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	defer func() {
		for _, end := range slices.Backward(env.ends) {
			err = errors.Join(err, end())
		}
	}()
	if err := setup(env); err != nil {
		return err
	}
	m.Run()
	return nil
}

// Plugin returns the path of the plugin's binary.
func (e *Environment) Plugin() (string, error) {
	return e.Program(PluginVariable, "kubectl-fluxjob", func(out string) error {
		return GoBuild("-C", root(), "-o", out, "./cmd/kubectl-fluxjob")
	})
}

// Program returns the program that the variable names, or builds it under the
// name.
func (e *Environment) Program(variable, name string, build func(out string) error) (string, error) {
	if path := os.Getenv(variable); path != "" {
		return filepath.Abs(path)
	}
	log.Printf("%s is not set, building %s", variable, name)
	out := filepath.Join(e.Dir, name)
	return out, build(out)
}

// buildCluster tells the API server its version, without which clients refuse
// to talk to it.
func buildCluster(out string) error {
	dir := filepath.Join(root(), "test", "cluster")
	v, err := GoList(dir, "{{.Version}}", "k8s.io/kubernetes")
	if err != nil {
		return err
	}
	parts := strings.Split(strings.TrimPrefix(v, "v"), ".")
	const pkg = "k8s.io/component-base/version"
	flags := fmt.Sprintf("-X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s", pkg, v, parts[0], parts[1])
	return GoBuild("-C", dir, "-ldflags", flags, "-o", out, ".")
}

// GoBuild runs go build.
func GoBuild(args ...string) error {
	if out, err := exec.Command("go", append([]string{"build"}, args...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// GoList says something about a module that the module in dir requires.
func GoList(dir, format, module string) (string, error) {
	out, err := exec.Command("go", "list", "-C", dir, "-m", "-f", format, module).Output()
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// root returns the root of the repository, seen from a package of tests.
func root() string { return filepath.Join("..", "..") }

// start starts the cluster, which ends with this process. stop waits until the
// cluster has ended.
func (e *Environment) start() (stop func() error, err error) {
	dir := filepath.Join(e.Dir, "cluster")
	stop, err = Guard(exec.Command("sh", "-c", `cat; "$0" down --dir "$1"; status=$?; rm -rf "$(dirname "$1")"; exit $status`, e.cluster, dir))
	if err != nil {
		return nil, err
	}
	if out, err := exec.Command(e.cluster, "up", "--dir", dir).CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the cluster: %w\n%s", err, out), stop())
	}
	e.Kubeconfig = filepath.Join(dir, "kubeconfig")
	return stop, nil
}

// Guard starts a script that ends something when its standard input ends: when
// stop is called, or when this process has ended, even if that is by a panic, a
// timeout or a signal. stop waits for the script.
func Guard(script *exec.Cmd) (stop func() error, err error) {
	// A signal to the tests' process group is not for the script.
	script.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	alive, err := script.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := script.Start(); err != nil {
		return nil, fmt.Errorf("start a guard: %w", err)
	}
	return func() error {
		_ = alive.Close()
		if err := script.Wait(); err != nil {
			return fmt.Errorf("%s: %w", script.Args[0], err)
		}
		return nil
	}, nil
}
