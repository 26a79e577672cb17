package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // time zones of CronJobs

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/pkg/controller/job"
)

// componentCommand is the sub-command of the child processes.
const componentCommand = "component"

// The file descriptors that a child process gets beside the standard ones: the
// run lock and, when it reports process groups, the pipe for that.
const (
	lockFD   = 3
	reportFD = 4
)

// The Job controller gathers changes for a second before it looks at a Job, and
// waits 10 seconds before it replaces a failed pod, twice that the next time.
// Tests and demonstrations want to see the same sooner.
const (
	jobBatchPeriod = 50 * time.Millisecond
	jobBackOff     = time.Second
)

// runComponent is the main function of a child process. The child ends when the
// supervisor does, however that ends: the other end of standard input closes.
func runComponent(args []string, stderr io.Writer) int {
	if len(args) == 0 {
		_, _ = fmt.Fprintln(stderr, "fluxjob-cluster: a component's name is missing")
		return 2
	}
	// The children of this process must not hold the cluster's lock.
	syscall.CloseOnExec(lockFD)
	name, args := args[0], args[1:]
	switch name {
	case nameEtcd:
		return endWithParent(stderr, func(ctx context.Context) error { return runEtcd(ctx, args) })
	case nameNode:
		syscall.CloseOnExec(reportFD)
		reports := groupReporter{os.NewFile(reportFD, "reports")}
		return endWithParent(stderr, func(ctx context.Context) error { return runNode(ctx, args, reports, stderr) })
	case nameAPIServer:
		return runCobra(apiserver.NewAPIServerCommand(), args)
	case nameControllerManager:
		job.SyncJobBatchPeriod = jobBatchPeriod
		job.DefaultJobPodFailureBackOff = jobBackOff
		return runCobra(controllermanager.NewControllerManagerCommand(), args)
	default:
		_, _ = fmt.Fprintf(stderr, "fluxjob-cluster: unknown component %q\n", name)
		return 2
	}
}

// endWithParent runs a component of our own; its context ends with the
// supervisor or with a signal.
func endWithParent(stderr io.Writer, component func(context.Context) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		defer stop()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	if err := component(ctx); err != nil {
		_, _ = fmt.Fprintf(stderr, "fluxjob-cluster: %v\n", err)
		return 1
	}
	return 0
}

// runCobra runs a component of Kubernetes, which has its own signal handling.
// When the supervisor is gone there is nobody to end politely for.
func runCobra(cmd *cobra.Command, args []string) int {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}()
	cmd.SetArgs(args)
	return cli.Run(cmd)
}

func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, nil))
}
