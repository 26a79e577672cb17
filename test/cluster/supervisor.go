package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// startTimeout bounds the start on a slow machine.
	startTimeout = 90 * time.Second
	// startAttempts is how often a start is tried when another program has
	// taken a port in the meantime.
	startAttempts = 3
	// nodeStopGrace is how long the node may take to end the pods' processes.
	nodeStopGrace = 10 * time.Second
	// apiServerGrace is how long the API server may take to end when it is
	// restarted. It would wait for its watchers for a minute.
	apiServerGrace = time.Second
)

// supervisor starts the components and ends them.
type supervisor struct {
	layout layout
	lock   *os.File
	ports  ports

	mu        sync.Mutex // guards processes and restarts
	processes map[string]*process
	restarted chan struct{} // a component was replaced
}

func newSupervisor(l layout, lock *os.File) *supervisor {
	return &supervisor{layout: l, lock: lock, processes: map[string]*process{}, restarted: make(chan struct{}, 1)}
}

// start brings the cluster up; when that fails nothing is left running.
func (s *supervisor) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("not ready in time"))
	defer cancel()
	var err error
	for range startAttempts {
		if err = s.startOnce(ctx); err == nil {
			return nil
		}
		s.stop()
		if !strings.Contains(err.Error(), "address already in use") {
			return err
		}
	}
	return err
}

func (s *supervisor) startOnce(ctx context.Context) error {
	if err := s.prepare(); err != nil {
		return err
	}
	// The API server waits for etcd by itself, and starts faster beside it.
	if err := s.launch(etcdComponent(s.layout, s.ports), apiServerComponent(s.layout, s.ports)); err != nil {
		return err
	}
	if err := s.await(ctx, nameAPIServer, s.apiServerReady); err != nil {
		return err
	}
	if err := s.launch(controllerManagerComponent(s.layout, s.ports), nodeComponent(s.layout)); err != nil {
		return err
	}
	if err := s.await(ctx, nameNode, s.nodeReady); err != nil {
		return err
	}
	return s.await(ctx, nameControllerManager, s.controllersReady)
}

// prepare writes all files that the components read.
func (s *supervisor) prepare() error {
	if err := s.layout.prepare(); err != nil {
		return err
	}
	var err error
	if s.ports, err = freePorts(); err != nil {
		return err
	}
	if err := writePKI(s.layout); err != nil {
		return err
	}
	tokens, err := writeTokens(s.layout)
	if err != nil {
		return err
	}
	for user, path := range map[string]string{
		userAdmin:             s.layout.config(userAdmin),
		userControllerManager: s.layout.config(nameControllerManager),
		userNode:              s.layout.config(nameNode),
	} {
		if err := writeKubeconfig(path, s.layout, s.ports.apiServer, user, tokens[user]); err != nil {
			return err
		}
	}
	return nil
}

// launch starts components.
func (s *supervisor) launch(components ...component) error {
	for _, c := range components {
		p, err := startProcess(s.layout, s.lock, c)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.processes[c.name] = p
		s.mu.Unlock()
	}
	return nil
}

// await polls until a component is ready; it fails when any component ends.
func (s *supervisor) await(ctx context.Context, name string, ready func(context.Context) error) error {
	var last error
	err := poll(ctx, func() (bool, error) {
		for _, p := range s.running() {
			select {
			case <-p.done:
				return false, s.ended(p)
			default:
			}
		}
		last = ready(ctx)
		return last == nil, nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s: %w (%w)\n%s", name, err, last, s.layout.logTail(name))
	}
	return err
}

// ended is the error of a component that has ended by itself.
func (s *supervisor) ended(p *process) error {
	return fmt.Errorf("%s ended: %w\n%s", p.name, orStopped(p.err), s.layout.logTail(p.name))
}

// watch returns when ctx is done, or with an error when a component has ended.
func (s *supervisor) watch(ctx context.Context) error {
	ended := make(chan *process)
	done := make(chan struct{})
	defer close(done)
	watched := map[*process]bool{}
	for {
		for _, p := range s.running() {
			if !watched[p] {
				watched[p] = true
				go report(p, ended, done)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.restarted:
		case p := <-ended:
			if s.isCurrent(p) {
				return s.ended(p)
			}
		}
	}
}

// report tells of a process's end, unless nobody wants to know any more.
func report(p *process, ended chan<- *process, done <-chan struct{}) {
	select {
	case <-p.done:
	case <-done:
		return
	}
	select {
	case ended <- p:
	case <-done:
	}
}

func (s *supervisor) running() []*process {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*process, 0, len(s.processes))
	for _, p := range s.processes {
		list = append(list, p)
	}
	return list
}

func (s *supervisor) isCurrent(p *process) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.processes[p.name] == p
}

// restartAPIServer replaces the API server by a new one on the same port and
// returns when that is ready.
func (s *supervisor) restartAPIServer(ctx context.Context) error {
	s.mu.Lock()
	old := s.processes[nameAPIServer]
	delete(s.processes, nameAPIServer)
	s.mu.Unlock()
	if old == nil {
		return errors.New("the API server is not running")
	}
	old.stop(apiServerGrace)
	if err := s.launch(apiServerComponent(s.layout, s.ports)); err != nil {
		return err
	}
	notify(s.restarted)
	return s.await(ctx, nameAPIServer, s.apiServerReady)
}

// stop ends all children: the node first, because it has processes to end, and
// the others at once, because their state is thrown away.
func (s *supervisor) stop() {
	s.mu.Lock()
	processes := s.processes
	s.processes = map[string]*process{}
	s.mu.Unlock()
	if p := processes[nameNode]; p != nil {
		p.stop(nodeStopGrace)
		delete(processes, nameNode)
	}
	for _, p := range processes {
		p.kill()
	}
}

// notify wakes up the reader of a channel with room for one value.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
