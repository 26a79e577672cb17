package execute

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/cluster"
)

// appearance is how long an object that was written may take to be seen, even
// by a watch that has to be opened again.
const appearance = cluster.WatchLifetime + 2*time.Second

// sight is what is seen of one object from before it is written. One goroutine
// uses it at a time.
type sight struct {
	// open opens the watch when it is first asked for, unless seen is there.
	open func() (<-chan cluster.Seen, error)
	seen <-chan cluster.Seen
	// ahead are the states that were looked at before their turn.
	ahead []cluster.Seen
}

// next returns the next state, or false if ctx ends before.
func (w *sight) next(ctx context.Context) (cluster.Seen, bool) {
	if len(w.ahead) > 0 {
		next := w.ahead[0]
		w.ahead = w.ahead[1:]
		return next, true
	}
	if w.open != nil {
		var err error
		w.seen, err = w.open()
		if w.open = nil; err != nil {
			return cluster.Seen{Err: err}, ctx.Err() == nil
		}
	}
	select {
	case next := <-w.seen:
		return next, true
	case <-ctx.Done():
		return cluster.Seen{}, false
	}
}

// states hands over all states from now on, until ctx ends.
func (w *sight) states(ctx context.Context) <-chan cluster.Seen {
	out := make(chan cluster.Seen)
	go func() {
		for {
			next, more := w.next(ctx)
			if !more {
				return
			}
			select {
			case out <- next:
			case <-ctx.Done():
			}
		}
	}()
	return out
}

// appeared looks ahead for an object with another UID than before, and returns
// nil if there is none, and was none for a moment.
func (w *sight) appeared(ctx context.Context, before string) *unstructured.Unstructured {
	ctx, cancel := context.WithTimeout(ctx, appearance)
	defer cancel()
	for {
		select {
		case next := <-w.seen:
			w.ahead = append(w.ahead, next)
			if next.Err == nil && string(next.Object.GetUID()) != before {
				return next.Object
			}
		case <-ctx.Done():
			return nil
		}
	}
}
