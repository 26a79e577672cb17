package node

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestStream(t *testing.T) {
	t.Parallel()
	log, err := newLogFile(filepath.Join(t.TempDir(), "pod", "0.log"))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 200_000)
	log.copyFrom(strings.NewReader("one\n\n" + long + "\nlast"))
	log.close()
	tests := map[string]struct {
		opts logOptions
		want string
	}{
		"all":            {logOptions{tail: -1, limit: -1}, "one\n\n" + long + "\nlast\n"},
		"none":           {logOptions{tail: 0, limit: -1}, ""},
		"tail":           {logOptions{tail: 1, limit: -1}, "last\n"},
		"long tail":      {logOptions{tail: 99, limit: 5}, "one\n\n"},
		"limit":          {logOptions{tail: -1, limit: 2}, "on"},
		"limit of zero":  {logOptions{tail: -1, limit: 0}, ""},
		"since":          {logOptions{tail: -1, limit: -1, since: time.Now().Add(time.Hour)}, ""},
		"follow the end": {logOptions{tail: 1, limit: -1, follow: true}, "last\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := log.stream(t.Context(), &out, func() {}, test.opts); err != nil {
				t.Fatal(err)
			}
			if out.String() != test.want {
				t.Errorf("got %d bytes, want %d", out.Len(), len(test.want))
			}
		})
	}
}

func TestFollowSeesLaterLines(t *testing.T) {
	t.Parallel()
	log, err := newLogFile(filepath.Join(t.TempDir(), "0.log"))
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan string)
	go func() {
		var text bytes.Buffer
		_ = log.stream(t.Context(), &text, func() {}, logOptions{tail: -1, limit: -1, follow: true})
		out <- text.String()
	}()
	for range 100 {
		log.writeLine([]byte("line\n"))
	}
	log.close()
	if got := <-out; got != strings.Repeat("line\n", 100) {
		t.Errorf("got %d bytes", len(got))
	}
}
