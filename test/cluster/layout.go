package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// layout names the files of a cluster's folder.
type layout struct{ dir string }

// dirFlag takes --dir from the front of the arguments.
func dirFlag(args []string) (layout, []string, error) {
	missing := fmt.Errorf("--dir DIR is required: %w", errUsage)
	if len(args) == 0 {
		return layout{}, nil, missing
	}
	value, rest := "", args[1:]
	if v, ok := strings.CutPrefix(args[0], "--dir="); ok {
		value = v
	} else if args[0] == "--dir" && len(rest) > 0 {
		value, rest = rest[0], rest[1:]
	}
	if value == "" {
		return layout{}, nil, missing
	}
	dir, err := filepath.Abs(value)
	if err != nil {
		return layout{}, nil, fmt.Errorf("resolve %s: %w", value, err)
	}
	return layout{dir: dir}, rest, nil
}

func (l layout) kubeconfig() string { return filepath.Join(l.dir, "kubeconfig") }

// control is the file that says how to reach the supervisor.
func (l layout) control() string { return filepath.Join(l.dir, "control.json") }

// upLock is held by a command that starts or stops the cluster, runLock by the
// supervisor and by its children, for as long as any of them lives.
func (l layout) upLock() string  { return filepath.Join(l.dir, ".lock-up") }
func (l layout) runLock() string { return filepath.Join(l.dir, ".lock-run") }

func (l layout) logs() string           { return filepath.Join(l.dir, "logs") }
func (l layout) log(name string) string { return filepath.Join(l.logs(), name+".log") }
func (l layout) podLogs() string        { return filepath.Join(l.dir, "pods") }

// state is what does not outlive the cluster.
func (l layout) state() string           { return filepath.Join(l.dir, "state") }
func (l layout) etcd() string            { return filepath.Join(l.state(), "etcd") }
func (l layout) pki(name string) string  { return filepath.Join(l.state(), "pki", name) }
func (l layout) tokens() string          { return filepath.Join(l.state(), "tokens.csv") }
func (l layout) work() string            { return filepath.Join(l.state(), "work") }
func (l layout) config(of string) string { return filepath.Join(l.state(), of+".kubeconfig") }

// prepare makes the folders of a new cluster and removes what an earlier one
// has left.
func (l layout) prepare() error {
	earlier := []error{l.removeState(), os.RemoveAll(l.podLogs())}
	for _, name := range []string{nameEtcd, nameAPIServer, nameControllerManager, nameNode} {
		earlier = append(earlier, removeFile(l.log(name)))
	}
	if err := errors.Join(earlier...); err != nil {
		return fmt.Errorf("remove an earlier cluster: %w", err)
	}
	for _, dir := range []string{l.etcd(), l.pki(""), l.work()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the state folder: %w", err)
		}
	}
	for _, dir := range []string{l.logs(), l.podLogs()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the log folder: %w", err)
		}
	}
	return nil
}

// removeState removes all but the logs. The lock files stay, because removing a
// file that somebody waits for would give two holders.
func (l layout) removeState() error {
	return errors.Join(removeFile(l.kubeconfig()), removeFile(l.control()), os.RemoveAll(l.state()))
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
