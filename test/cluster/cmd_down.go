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

// stopTimeout bounds how long a cluster may take to end.
const stopTimeout = 30 * time.Second

// down stops the cluster and removes its state. It names no process: the
// supervisor ends its children, and the lock that all of them hold tells when
// the last one has ended.
func down(ctx context.Context, l layout, stdout io.Writer) error {
	if _, err := os.Stat(l.dir); errors.Is(err, os.ErrNotExist) {
		return sayNothingRuns(l, stdout)
	}
	upLock, err := lockFile(ctx, l.upLock(), patiently)
	if err != nil {
		return err
	}
	defer func() { _ = upLock.Close() }()
	ctx, cancel := context.WithTimeoutCause(ctx, stopTimeout, errors.New("the cluster does not end"))
	defer cancel()
	running := false
	runLock, err := lockFile(ctx, l.runLock(), func() error {
		// A supervisor that is just starting answers a little later.
		err := ask(ctx, l, http.MethodPost, "/down")
		running = running || err == nil
		if errors.Is(err, errNotRunning) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = runLock.Close() }()
	if err := l.removeState(); err != nil {
		return fmt.Errorf("remove the state: %w", err)
	}
	if !running {
		return sayNothingRuns(l, stdout)
	}
	_, err = fmt.Fprintf(stdout, "cluster stopped; logs are in %s\n", l.logs())
	return err
}

func sayNothingRuns(l layout, stdout io.Writer) error {
	_, err := fmt.Fprintf(stdout, "no cluster runs in %s\n", l.dir)
	return err
}

// restartAPIServer has the supervisor restart the API server.
func restartAPIServer(ctx context.Context, l layout, stdout io.Writer) error {
	if err := ask(ctx, l, http.MethodPost, "/restart-apiserver"); err != nil {
		return fmt.Errorf("restart the API server: %w", err)
	}
	_, err := fmt.Fprintln(stdout, "kube-apiserver restarted")
	return err
}
