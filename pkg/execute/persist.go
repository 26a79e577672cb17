package execute

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/fluxjob/kubectl-fluxjob/pkg/diff"
	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
)

const (
	// patience is how long a request is repeated that the server does not answer.
	patience = time.Minute
	// attemptTimeout bounds one request and what is read for it. An admission
	// webhook may take 30 seconds.
	attemptTimeout = 35 * time.Second
	// The pauses between two requests grow from the one to the other.
	firstPause, longestPause = 50 * time.Millisecond, 5 * time.Second
)

// settled is an answer that asking again does not change.
type settled struct{ error }

func (e settled) Unwrap() error { return e.error }

// unanswered says whether err tells nothing about the request itself: whether it
// took effect is unknown, or it can be asked again.
func unanswered(err error) bool {
	_, isSettled := errors.AsType[settled](err)
	return err != nil && !isSettled && !meta.IsNoMatchError(err) && diff.Transient(err)
}

// tookEffect says whether the request of which err is the answer may have taken
// effect.
func tookEffect(err error) bool {
	return unanswered(err) && !apierrors.IsTooManyRequests(err) && !net.IsConnectionRefused(err)
}

// again says whether a request is repeated that can be: it was not answered, or
// somebody else wrote at the same time.
func again(err error) bool {
	_, isSettled := errors.AsType[settled](err)
	return unanswered(err) || !isSettled && (apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err))
}

// persist sends a request until repeat is false of its error, for as long as
// patience or, if it has one, the deadline of ctx lasts; then it returns the last
// error. A request that is under way is not interrupted, so that its answer is
// known; an interrupt ends only the pause between two.
func persist(ctx context.Context, repeat func(error) bool, send func(context.Context) error) error {
	if _, bounded := ctx.Deadline(); !bounded {
		patient, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		ctx = patient
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%w before this was tried", interrupted(ctx))
	}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := attempt(ctx, send)
		if err == nil || !repeat(err) {
			return err
		}
		next := wait.Jitter(pause, 0.1)
		if seconds, told := apierrors.SuggestsClientDelay(err); told {
			next = max(next, time.Duration(seconds)*time.Second)
		}
		select {
		case <-time.After(next):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return err
			}
			return fmt.Errorf("%w: it is unknown whether this took effect", interrupted(ctx))
		}
	}
}

func attempt(ctx context.Context, send func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	defer cancel()
	return send(ctx)
}

// read returns a live object.
func (s *stepRun) read(ctx context.Context, ref object.Ref) (live *unstructured.Unstructured, err error) {
	err = persist(ctx, unanswered, func(context.Context) error {
		live, err = s.cluster.Get(ctx, ref)
		return err
	})
	return live, err
}

// interrupted is errInterrupted, with what made it necessary unless that was the
// user.
func interrupted(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("%w (%w)", errInterrupted, cause)
	}
	return errInterrupted
}
