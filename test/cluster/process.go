package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// process is a running child.
type process struct {
	name string
	cmd  *exec.Cmd
	life *os.File // the child ends when this is closed
	done chan struct{}
	err  error
}

// startProcess starts a component with its output in its log. The child holds
// the cluster's lock as well, and ends with the supervisor.
func startProcess(l layout, lock *os.File, c component) (*process, error) {
	log, err := os.OpenFile(l.log(c.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", c.name, err)
	}
	defer func() { _ = log.Close() }()
	cmd, err := selfCommand(append([]string{componentCommand, c.name}, c.args...)...)
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the pipe of %s: %w", c.name, err)
	}
	defer func() { _ = reader.Close() }()
	cmd.Dir = l.state()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = reader, log, log
	cmd.ExtraFiles = []*os.File{lock}
	guarded := make(chan struct{})
	if c.reports {
		reports, err := reportPipe(cmd, guarded)
		if err != nil {
			_ = writer.Close()
			return nil, err
		}
		defer func() { _ = reports.Close() }()
	} else {
		close(guarded)
	}
	// A group of its own keeps the terminal's signals away from the child.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		_ = writer.Close()
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	p := &process{name: c.name, cmd: cmd, life: writer, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
		<-guarded
	}()
	return p, nil
}

// reportPipe gives the child a pipe for its reports of process groups and
// guards these until the child has ended. The returned end is the child's.
func reportPipe(cmd *exec.Cmd, guarded chan<- struct{}) (*os.File, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the pipe for reports: %w", err)
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, writer)
	go func() {
		defer close(guarded)
		guardGroups(reader)
		_ = reader.Close()
	}()
	return writer, nil
}

// stop asks the child to end and kills it when it takes longer than grace.
func (p *process) stop(grace time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.kill()
	}
	_ = p.life.Close()
}

// kill ends the child at once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
	_ = p.life.Close()
}

func orStopped(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// tailLines is how much of a log an error shows.
const tailLines = 15

// logTail returns the end of a component's log, with its path above.
func (l layout) logTail(name string) string {
	text, err := os.ReadFile(l.log(name))
	if err != nil {
		return "no log: " + err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return "the end of " + l.log(name) + ":\n  " + strings.Join(lines, "\n  ")
}

// ownVariables is the prefix of the variables that children inherit.
const ownVariables = "FLUXJOB_CLUSTER_"

// selfCommand starts this binary again, with a small environment: what is set
// for other tools must not change the cluster.
func selfCommand(args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this binary: %w", err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = []string{}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if name == "PATH" || name == "HOME" || name == "TMPDIR" || strings.HasPrefix(name, ownVariables) {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	return cmd, nil
}
