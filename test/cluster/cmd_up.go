package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
)

// up starts the cluster in the background, unless it runs already. Commands for
// one folder wait for each other.
func up(ctx context.Context, l layout, stdout io.Writer) error {
	lock, err := lockFile(ctx, l.upLock(), patiently)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	err = ask(ctx, l, http.MethodGet, "/ping")
	switch {
	case err == nil:
		return sayRunning(l, stdout)
	case !errors.Is(err, errNotRunning):
		return err
	}
	line, err := startBackground(ctx, l)
	if err != nil && ask(ctx, l, http.MethodGet, "/ping") == nil {
		// Somebody has started one in the foreground in the meantime.
		return sayRunning(l, stdout)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(stdout, line)
	return err
}

func sayRunning(l layout, stdout io.Writer) error {
	_, err := fmt.Fprintf(stdout, "cluster is running already; kubeconfig %s\n", l.kubeconfig())
	return err
}

// startBackground detaches a supervisor and waits until it reports ready.
func startBackground(ctx context.Context, l layout) (string, error) {
	if err := os.MkdirAll(l.logs(), 0o755); err != nil {
		return "", fmt.Errorf("make the log folder: %w", err)
	}
	log, err := os.OpenFile(l.log(nameSupervisor), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("open the supervisor's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	reader, writer, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("make a pipe: %w", err)
	}
	defer func() { _ = reader.Close() }()
	cmd, err := selfCommand("run", "--dir", l.dir)
	if err != nil {
		return "", err
	}
	cmd.Dir = l.dir
	cmd.Env = append(cmd.Env, readyVariable+"=1")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{writer}
	// A session of its own outlives the terminal.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = writer.Close()
	if err != nil {
		return "", fmt.Errorf("start the supervisor: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	line, err := io.ReadAll(reader)
	if err != nil {
		return "", fmt.Errorf("wait for the supervisor: %w", err)
	}
	if len(line) > 0 {
		return string(line), cmd.Process.Release()
	}
	_ = cmd.Wait()
	return "", fmt.Errorf("the cluster did not start: %s", l.backgroundProblem())
}

func (l layout) backgroundProblem() string {
	text, err := os.ReadFile(l.log(nameSupervisor))
	if err != nil {
		return err.Error()
	}
	return strings.TrimPrefix(strings.TrimSpace(string(text)), "fluxjob-cluster: ")
}
