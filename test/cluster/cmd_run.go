package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// leftoverTimeout is how long children of a supervisor that was killed may take
// to end before a new cluster gives up.
const leftoverTimeout = 20 * time.Second

// A supervisor in the background has readyVariable set, and reports on readyFD
// that it is ready.
const (
	readyVariable = ownVariables + "BACKGROUND"
	readyFD       = 3
)

// run runs the cluster until ctx is done, another command stops it, or a
// component ends. It leaves nothing behind but the logs.
func run(ctx context.Context, l layout, stdout io.Writer) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lock, err := takeRunLock(ctx, l)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	defer func() { err = errors.Join(err, l.removeState()) }()
	started := time.Now()
	s := newSupervisor(l, lock)
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("start the cluster: %w", err)
	}
	defer s.stop()
	if err := os.Rename(l.config(userAdmin), l.kubeconfig()); err != nil {
		return fmt.Errorf("put the kubeconfig in place: %w", err)
	}
	if err := serveControl(ctx, l, s, stop); err != nil {
		return err
	}
	if err := reportReady(l, time.Since(started), stdout); err != nil {
		return err
	}
	return s.watch(ctx)
}

// takeRunLock makes this process the only supervisor of the folder. It waits
// for what is left of one that was killed.
func takeRunLock(ctx context.Context, l layout) (*os.File, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, leftoverTimeout,
		errors.New("another supervisor, or what is left of one, does not end"))
	defer cancel()
	return lockFile(ctx, l.runLock(), func() error {
		if ask(ctx, l, http.MethodGet, "/ping") == nil {
			return fmt.Errorf("a cluster is running in %s already", l.dir)
		}
		return nil
	})
}

// reportReady prints the line that says so, or hands it to the command that has
// put this process into the background.
func reportReady(l layout, took time.Duration, stdout io.Writer) error {
	line := fmt.Sprintf("cluster ready in %.1fs: etcd, kube-apiserver, kube-controller-manager, node; kubeconfig %s\n",
		took.Seconds(), l.kubeconfig())
	if os.Getenv(readyVariable) == "" {
		_, err := io.WriteString(stdout, line)
		return err
	}
	pipe := os.NewFile(readyFD, "ready")
	if _, err := io.WriteString(pipe, line); err != nil {
		return fmt.Errorf("report that the cluster is ready: %w", err)
	}
	return pipe.Close()
}
