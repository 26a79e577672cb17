package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// pollPeriod is how often something is looked at that cannot be watched.
const pollPeriod = 25 * time.Millisecond

// lockFile takes an exclusive lock on a file, waiting for it until ctx is done.
// While another has it, blocked is called now and then; its error ends the wait.
// The lock ends with the last process that has the file open.
func lockFile(ctx context.Context, path string, blocked func() error) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	err = poll(ctx, func() (bool, error) {
		locked, err := tryLock(file)
		if locked || err != nil {
			return locked, err
		}
		return false, blocked()
	})
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

func tryLock(file *os.File) (bool, error) {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return true, nil
}

// patiently is for locks that need nothing but time.
func patiently() error { return nil }

// poll calls done at once and then periodically until it says so, fails, or ctx
// is done.
func poll(ctx context.Context, done func() (bool, error)) error {
	ticker := time.NewTicker(pollPeriod)
	defer ticker.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
