package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// outputGrace bounds how long the output of an ended container is awaited. A
// process that left the group could otherwise hold the pipe open for ever.
const outputGrace = 2 * time.Second

// command is what a container runs, fully resolved.
type command struct {
	argv []string
	env  []string
	dir  string
}

// process is one running container: a process that leads its own group.
type process struct {
	cmd      *exec.Cmd
	done     chan struct{}
	exitCode int32
	signal   int32
	started  time.Time
	finished time.Time
}

// startProcess starts the command in a process group of its own, with both
// output streams going to the log.
func startProcess(c command, log *logFile, groups Groups) (*process, error) {
	path, err := lookPath(c.argv[0], c.env, c.dir)
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the output pipe: %w", err)
	}
	cmd := &exec.Cmd{
		Path: path, Args: c.argv, Env: c.env, Dir: c.dir,
		Stdout: writer, Stderr: writer,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	err = cmd.Start()
	_ = writer.Close()
	if err != nil {
		_ = reader.Close()
		return nil, fmt.Errorf("exec: %w", err)
	}
	groups.Started(cmd.Process.Pid)
	p := &process{cmd: cmd, done: make(chan struct{}), started: time.Now()}
	go p.wait(reader, log, groups)
	return p, nil
}

// wait collects the exit code, ends what is left of the group, as the end of a
// container's first process does, and closes the log.
func (p *process) wait(output *os.File, log *logFile, groups Groups) {
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		log.copyFrom(output)
	}()
	err := p.cmd.Wait()
	p.finished = time.Now()
	p.kill(syscall.SIGKILL)
	groups.Ended(p.cmd.Process.Pid)
	p.exitCode, p.signal = exitStatus(p.cmd.ProcessState, err)
	timer := time.NewTimer(outputGrace)
	defer timer.Stop()
	select {
	case <-copied:
	case <-timer.C:
	}
	_ = output.Close()
	<-copied
	log.close()
	close(p.done)
}

// kill sends a signal to the whole process group.
func (p *process) kill(sig syscall.Signal) {
	_ = syscall.Kill(-p.cmd.Process.Pid, sig)
}

// exitStatus turns a process's end into a container's exit code and signal.
func exitStatus(state *os.ProcessState, err error) (code, signal int32) {
	if state == nil {
		return 128, 0
	}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int32(ws.Signal()), int32(ws.Signal())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 128, 0
	}
	return int32(state.ExitCode()), 0
}

// lookPath finds a command the way a container runtime does: with the
// container's own PATH, and relative to its working folder.
func lookPath(name string, env []string, dir string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if err := executable(path); err != nil {
			return "", fmt.Errorf("exec: %q: %w", name, err)
		}
		return path, nil
	}
	for _, folder := range filepath.SplitList(lookupEnv(env, "PATH")) {
		if path := filepath.Join(folder, name); executable(path) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("exec: %q: %w", name, exec.ErrNotFound)
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("stat: %w", err)
	case info.IsDir():
		return fmt.Errorf("%s is a folder", path)
	case info.Mode()&0o111 == 0:
		return os.ErrPermission
	default:
		return nil
	}
}

// lookupEnv returns the value of the last assignment of a variable.
func lookupEnv(env []string, name string) string {
	value := ""
	for _, entry := range env {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value = v
		}
	}
	return value
}
