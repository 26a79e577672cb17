package execute

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// Answers that say nothing of the request.
var (
	reset       = &url.Error{Op: "Patch", URL: "https://cluster", Err: syscall.ECONNRESET}
	refusedDial = &url.Error{Op: "Patch", URL: "https://cluster", Err: syscall.ECONNREFUSED}
	gateway     = apierrors.NewGenericServerResponse(504, "PATCH", resourceOf(jobRef), "migrate", "", 0, true)
	internal    = apierrors.NewInternalError(errors.New("etcdserver: leader changed"))
)

func TestWhatIsRepeated(t *testing.T) {
	tests := []struct {
		name string
		err  error
		// again says that it is repeated, effect that it may have taken effect.
		again, effect bool
	}{
		{"no error", nil, false, false},
		{"a reset", reset, true, true},
		{"a body that was cut", fmt.Errorf("unexpected error when reading response body: %w", io.ErrUnexpectedEOF), true, true},
		{"no answer in time", context.DeadlineExceeded, true, true},
		{"500", internal, true, true},
		{"503", apierrors.NewServiceUnavailable("no"), true, true},
		{"504", gateway, true, true},
		{"nobody listens", refusedDial, true, false},
		{"429", apierrors.NewTooManyRequests("slow down", 3), true, false},
		{"409, somebody else wrote", apierrors.NewConflict(resourceOf(jobRef), "migrate", errors.New("modified")), true, false},
		{"409, somebody else created", apierrors.NewAlreadyExists(resourceOf(jobRef), "migrate"), true, false},
		{"a 500 that will not change", apierrors.NewInternalError(errors.New("failed to create typed patch object (shop/migrate)")), false, false},
		{"invalid", apierrors.NewInvalid(jobRef.GVK().GroupKind(), "migrate", nil), false, false},
		{"forbidden", apierrors.NewForbidden(resourceOf(jobRef), "migrate", errors.New("no")), false, false},
		{"not found", apierrors.NewNotFound(resourceOf(jobRef), "migrate"), false, false},
		{"a kind that is not served", &meta.NoKindMatchError{GroupKind: schema.GroupKind{Kind: "Widget"}}, false, false},
		{"a decision of our own", replaced(&plan.Change{Object: jobRef}), false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			same(t, "again", again(tt.err), tt.again)
			same(t, "may have taken effect", tookEffect(tt.err), tt.effect)
		})
	}
}

func TestAmbiguousAnswers(t *testing.T) {
	job := named("Job", "migrate")
	for name, err := range map[string]error{"reset": reset, "504": gateway, "500": internal} {
		for _, after := range []bool{false, true} {
			f := fault{err: err, after: after}
			of := fmt.Sprintf("%s, took effect: %t", name, after)
			play(t, "to the creation of a Job: "+of, func(s *scene) {
				s.failing("apply Job/migrate", 2, f)
				s.only(thing(job, "1"))
				s.ends(report.Done)
				same(s.t, "Jobs created", s.created, 1)
			})
			play(t, "to an update: "+of, func(s *scene) {
				s.exists(thing(configRef, "1"))
				s.failing("apply ConfigMap/settings", 2, f)
				s.step("app", s.change(thing(configRef, "2"), plan.Update))
				s.ends(report.Done)
				same(s.t, "generation", s.live(configRef).GetGeneration(), 2)
			})
			play(t, "to each write of a recreation: "+of, func(s *scene) {
				s.exists(thing(job, "1"))
				s.lingers = 2 * time.Second
				s.failing("delete Job/migrate", 2, f)
				s.failing("apply Job/migrate", 2, f)
				s.step("app", s.recreates(thing(job, "2")))
				s.ends(report.Done)
				same(s.t, "Jobs created", s.created, 1)
				same(s.t, "deletions told", s.told(report.ObjectDeleted), []string{"object-deleted Job/migrate"})
			})
			play(t, "to a deletion: "+of, func(s *scene) {
				s.exists(thing(configRef, "1"))
				s.failing("delete ConfigMap/settings", 2, f)
				s.step("app", s.change(thing(configRef, "1"), plan.Delete))
				s.ends(report.Done)
				same(s.t, "it is gone", s.live(configRef) == nil, true)
			})
			play(t, "to the inventory: "+of, func(s *scene) {
				s.failing("save Inventory/app", 2, f)
				s.step("app", s.creates(thing(configRef, "1")))
				s.ends(report.Done)
				same(s.t, "inventory", len(s.inventory[key("app")]), 1)
			})
			for _, end := range []string{"Complete", "Failed"} {
				play(t, "to the creation of a Job that has come and gone when it is asked for: "+end+", "+of, func(s *scene) {
					f := f
					f.delay = 20 * time.Second
					s.failing("apply Job/migrate", 1, f)
					s.jobs["migrate"] = jobScript{end: end, ttl: new(time.Duration)}
					s.only(with(thing(job, "1"), "ttlSecondsAfterFinished", int64(0)))
					s.ends(map[string]report.Outcome{"Complete": report.Done, "Failed": report.Failed}[end])
					same(s.t, "Jobs created", s.created, 1)
				})
			}
		}
	}
	play(t, "to the deletion of a Job that is gone when it is asked for", func(s *scene) {
		s.exists(thing(job, "1"))
		s.failing("delete Job/migrate", 1, fault{err: reset, after: true, delay: 5 * time.Second})
		s.step("app", s.recreates(thing(job, "2")))
		s.ends(report.Done)
		same(s.t, "events", s.told(report.ObjectDeleted, report.ObjectApplied), []string{"object-deleted Job/migrate", "object-applied Job/migrate"})
	})
	play(t, "to the proof of a Job with a TTL, of which nothing can appear", func(s *scene) {
		s.exists(thing(named("Job", "seed"), "1"))
		s.failing("dry-run Job/migrate", 1, fault{err: reset})
		s.step("app", s.creates(with(thing(job, "1"), "ttlSecondsAfterFinished", int64(60))), s.recreates(thing(named("Job", "seed"), "2")))
		start := time.Now()
		s.ends(report.Done)
		if took := time.Since(start); took > 5*time.Second {
			s.t.Errorf("it took %s", took)
		}
	})
	play(t, "an answer that never comes", func(s *scene) {
		s.failing("apply Job/migrate", 1, fault{err: reset, delay: time.Hour})
		s.only(thing(job, "1"))
		s.ends(report.Done)
		same(s.t, "Jobs created", s.created, 1)
	})
	play(t, "a conflict reads again before it writes again", func(s *scene) {
		s.exists(thing(configRef, "1"))
		s.failing("apply ConfigMap/settings", 1, fault{err: apierrors.NewConflict(resourceOf(configRef), "settings", errors.New("modified"))})
		s.step("app", s.change(thing(configRef, "2"), plan.Update))
		s.ends(report.Done)
		same(s.t, "requests", s.made("get", "apply"), []string{"get ConfigMap/settings", "apply ConfigMap/settings", "get ConfigMap/settings", "apply ConfigMap/settings"})
	})
	play(t, "a conflict while the object was replaced ends it", func(s *scene) {
		s.exists(thing(configRef, "1"))
		s.step("app", s.change(thing(configRef, "2"), plan.Update))
		s.fault = func(request string, _ int) fault {
			if request == "apply ConfigMap/settings" {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.exists(thing(configRef, "3")).SetUID("somebody's")
				return fault{err: apierrors.NewConflict(resourceOf(configRef), "settings", errors.New("modified"))}
			}
			return fault{}
		}
		says(s.t, s.ends(report.Failed).Steps[0].Message, "plan again")
		same(s.t, "writes", s.made("apply"), []string{"apply ConfigMap/settings"})
	})
	play(t, "a conflict of a deletion that is about something else", func(s *scene) {
		s.exists(thing(configRef, "1"))
		s.failing("delete ConfigMap/settings", 1, fault{err: apierrors.NewConflict(resourceOf(configRef), "settings", errors.New("modified"))})
		s.step("app", s.change(thing(configRef, "1"), plan.Delete))
		s.ends(report.Done)
		same(s.t, "it is gone", s.live(configRef) == nil, true)
	})
	play(t, "the server says when to come again", func(s *scene) {
		s.failing("apply ConfigMap/settings", 2, fault{err: apierrors.NewTooManyRequests("slow down", 7)})
		s.step("app", s.creates(thing(configRef, "1")))
		start := time.Now()
		s.ends(report.Done)
		if took := time.Since(start); took < 14*time.Second || took > 15*time.Second {
			s.t.Errorf("it took %s", took)
		}
	})
	play(t, "a server that does not recover", func(s *scene) {
		s.failing("apply ConfigMap/settings", 1000, fault{err: internal})
		s.step("app", s.creates(thing(configRef, "1")))
		start := time.Now()
		says(s.t, s.ends(report.Failed).Steps[0].Message, "leader changed")
		if took := time.Since(start); took > patience+time.Second {
			s.t.Errorf("it took %s", took)
		}
	})
	play(t, "a recreation is more patient", func(s *scene) {
		s.exists(thing(job, "1"))
		s.failing("apply Job/migrate", 18, fault{err: refusedDial})
		s.step("app", s.recreates(thing(job, "2")))
		start := time.Now()
		s.ends(report.Done)
		if took := time.Since(start); took < patience {
			s.t.Errorf("it took %s", took)
		}
	})
	play(t, "an interrupt between two attempts", func(s *scene) {
		s.failing("apply ConfigMap/settings", 1000, fault{err: internal})
		s.step("app", s.creates(thing(configRef, "1")))
		r := s.run(s.interruptAt("apply ConfigMap/settings", nil))
		s.outcome(r, report.Interrupted)
		same(s.t, "message", r.Steps[0].Message, "interrupted: it is unknown whether this took effect: apply ConfigMap/shop/settings")
	})
}
