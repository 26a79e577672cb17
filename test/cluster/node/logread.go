package node

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// logOptions are the parameters of a log request.
type logOptions struct {
	follow     bool
	previous   bool
	timestamps bool
	since      time.Time
	tail       int64 // negative: all lines
	limit      int64 // negative: no limit
}

// errLogLimit ends a stream whose byte limit is reached.
var errLogLimit = errors.New("log limit reached")

// stream writes the log to w. With follow it returns when the container has
// ended and everything is written, or when ctx is done.
func (l *logFile) stream(ctx context.Context, w io.Writer, flush func(), opts logOptions) error {
	file, err := os.Open(l.path)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = file.Close() }()
	out := &lineWriter{w: w, opts: opts, left: opts.limit}
	if opts.tail >= 0 {
		total, err := countLines(l.path)
		if err != nil {
			return err
		}
		out.skip = max(0, total-opts.tail)
	}
	err = l.pump(ctx, file, out, flush)
	if errors.Is(err, errLogLimit) {
		return nil
	}
	return err
}

func (l *logFile) pump(ctx context.Context, file io.Reader, out *lineWriter, flush func()) error {
	reader := bufio.NewReader(file)
	var partial []byte
	for {
		changed, closed := l.watch()
		rest, err := out.drain(reader, partial)
		flush()
		if err != nil {
			return err
		}
		partial = rest
		if closed || !out.opts.follow {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// lineWriter filters stored lines and writes them as the request wants them.
type lineWriter struct {
	w    io.Writer
	opts logOptions
	skip int64
	left int64
}

// drain writes every whole line that is there and returns the unfinished rest.
func (o *lineWriter) drain(r *bufio.Reader, partial []byte) ([]byte, error) {
	for {
		chunk, err := r.ReadBytes('\n')
		partial = append(partial, chunk...)
		if errors.Is(err, io.EOF) {
			return partial, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		if err := o.line(partial); err != nil {
			return nil, err
		}
		partial = nil
	}
}

func (o *lineWriter) line(line []byte) error {
	if o.skip > 0 {
		o.skip--
		return nil
	}
	stamp, text, _ := bytes.Cut(line, []byte(" "))
	if !o.opts.since.IsZero() {
		at, err := time.Parse(time.RFC3339Nano, string(stamp))
		if err == nil && at.Before(o.opts.since) {
			return nil
		}
	}
	if o.opts.timestamps {
		text = line
	}
	full := false
	if o.opts.limit >= 0 {
		if full = int64(len(text)) >= o.left; full {
			text = text[:o.left]
		}
		o.left -= int64(len(text))
	}
	if _, err := o.w.Write(text); err != nil {
		return fmt.Errorf("write the log: %w", err)
	}
	if full {
		return errLogLimit
	}
	return nil
}

// countLines counts the whole lines of a file.
func countLines(path string) (int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = file.Close() }()
	buffer := make([]byte, 64<<10)
	var total int64
	for {
		n, err := file.Read(buffer)
		total += int64(bytes.Count(buffer[:n], []byte("\n")))
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read the log: %w", err)
		}
	}
}

// lastLines returns the end of a log without timestamps: at most the given
// number of lines and bytes.
func (l *logFile) lastLines(ctx context.Context, lines int64, limit int) string {
	var text bytes.Buffer
	opts := logOptions{tail: lines, limit: -1}
	if err := l.stream(ctx, &text, func() {}, opts); err != nil {
		return ""
	}
	return tailBytes(text.String(), limit)
}

func tailBytes(text string, limit int) string {
	if len(text) > limit {
		return text[len(text)-limit:]
	}
	return text
}
