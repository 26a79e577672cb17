package node

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// logFile is the output of one start of a container: lines with a timestamp
// before each, and a signal for those who follow.
type logFile struct {
	path string

	mu      sync.Mutex
	file    *os.File
	changed chan struct{}
	closed  bool
}

// newLogFile creates the file and the folders above it.
func newLogFile(path string) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the log folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create the log file: %w", err)
	}
	return &logFile{path: path, file: file, changed: make(chan struct{})}, nil
}

// copyFrom writes each line of r with a timestamp until r ends.
func (l *logFile) copyFrom(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			l.writeLine(line)
		}
		if err != nil {
			return
		}
	}
}

func (l *logFile) writeLine(line []byte) {
	record := append([]byte(time.Now().UTC().Format(time.RFC3339Nano)), ' ')
	record = append(record, line...)
	if record[len(record)-1] != '\n' {
		record = append(record, '\n')
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	_, _ = l.file.Write(record)
	close(l.changed)
	l.changed = make(chan struct{})
}

// close ends the log; whoever follows it sees the end.
func (l *logFile) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	_ = l.file.Close()
	close(l.changed)
}

// watch returns a channel that is closed at the next change, and whether the
// log has ended. Take it before reading, so that no line is missed.
func (l *logFile) watch() (changed <-chan struct{}, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed, l.closed
}
