// Command fluxjob-cluster is a Kubernetes cluster in one binary, for tests and
// demonstrations: etcd, kube-apiserver, kube-controller-manager, kubectl and a
// node that runs containers' commands as processes of the host. It needs no
// root, no container engine and nothing installed, and listens on loopback only.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `fluxjob-cluster runs a small Kubernetes cluster for tests and demonstrations.

Usage:
  fluxjob-cluster up --dir DIR                 start in the background, wait until ready
  fluxjob-cluster down --dir DIR               stop, remove the state, keep the logs
  fluxjob-cluster run --dir DIR                run in the foreground until interrupted
  fluxjob-cluster restart-apiserver --dir DIR  stop and start the API server
  fluxjob-cluster kubectl --dir DIR ARGS...    run kubectl against the cluster
`

// errUsage is the error of a command line that cannot be understood.
var errUsage = errors.New("see 'fluxjob-cluster help'")

func main() {
	os.Exit(mainWithCode(os.Args[1:], os.Stdout, os.Stderr))
}

// mainWithCode runs one command and returns the exit code.
func mainWithCode(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == componentCommand {
		return runComponent(args[1:], stderr)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := dispatch(ctx, args, stdout)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, errUsage):
		_, _ = fmt.Fprintf(stderr, "fluxjob-cluster: %v\n", err)
		return 2
	default:
		_, _ = fmt.Fprintf(stderr, "fluxjob-cluster: %v\n", err)
		return 1
	}
}

// exitCode is the exit code of a command that has printed its own error.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

func dispatch(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		_, err := io.WriteString(stdout, usage)
		return err
	}
	name, args := args[0], args[1:]
	dir, rest, err := dirFlag(args)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if name == "kubectl" {
		return runKubectl(dir, rest)
	}
	if len(rest) > 0 {
		return fmt.Errorf("%s: unexpected argument %q: %w", name, rest[0], errUsage)
	}
	switch name {
	case "up":
		return up(ctx, dir, stdout)
	case "down":
		return down(ctx, dir, stdout)
	case "run":
		return run(ctx, dir, stdout)
	case "restart-apiserver":
		return restartAPIServer(ctx, dir, stdout)
	default:
		return fmt.Errorf("unknown command %q: %w", name, errUsage)
	}
}
