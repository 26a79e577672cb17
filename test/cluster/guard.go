package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"syscall"
)

// guardGroups reads the node's reports of the process groups it has running
// until the node has ended, however that happened, and ends those that are left.
// The reports come from the living node over a pipe, never from a file, so that
// no other program's process is meant by them.
func guardGroups(reports io.Reader) {
	running := map[int]bool{}
	lines := bufio.NewScanner(reports)
	for lines.Scan() {
		group, err := strconv.Atoi(lines.Text())
		switch {
		case err != nil:
		case group > 1:
			running[group] = true
		default:
			delete(running, -group)
		}
	}
	for group := range running {
		_ = syscall.Kill(-group, syscall.SIGKILL)
	}
}

// groupReporter is the node's side: it writes one line for each group that has
// started, and the negative number when the group has ended.
type groupReporter struct{ w io.Writer }

func (r groupReporter) Started(group int) { r.report(group) }
func (r groupReporter) Ended(group int)   { r.report(-group) }

// report writes a line in one piece. When that fails the supervisor is gone, and
// this process ends anyway.
func (r groupReporter) report(n int) { _, _ = fmt.Fprintf(r.w, "%d\n", n) }
