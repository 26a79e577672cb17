package execute

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

func TestBatches(t *testing.T) {
	list := func(kinds ...string) []*plan.Change {
		var all []*plan.Change
		for i, kind := range kinds {
			all = append(all, &plan.Change{Object: named(kind, fmt.Sprint(i))})
		}
		return all
	}
	tests := []struct {
		name  string
		stage []*plan.Change
		want  []string
	}{
		{"nothing", nil, nil},
		{"one kind side by side", list("ConfigMap", "ConfigMap", "ConfigMap"), []string{"ConfigMap/0 ConfigMap/1 ConfigMap/2"}},
		{"kinds one after the other", list("Role", "RoleBinding", "RoleBinding"), []string{"Role/0", "RoleBinding/1 RoleBinding/2"}},
		{"Jobs after what comes after them", list("ConfigMap", "Job", "Job", "Widget"), []string{"ConfigMap/0", "Widget/3", "Job/1 Job/2"}},
		{"but before the webhooks", list("Job", "Widget", "ValidatingWebhookConfiguration"), []string{"Widget/1", "Job/0", "ValidatingWebhookConfiguration/2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, batch := range batches(tt.stage) {
				var names []string
				for _, c := range batch {
					names = append(names, c.Object.Kind+"/"+c.Object.Name)
				}
				got = append(got, strings.Join(names, " "))
			}
			same(t, "batches", got, tt.want)
		})
	}
}

func TestOrderOfWrites(t *testing.T) {
	play(t, "stages, kinds, and Jobs last", func(s *scene) {
		s.step("app",
			s.creates(thing(crdRef, "1")), s.creates(thing(named("ConfigMap", "a"), "1")), s.creates(thing(named("Job", "migrate"), "1")),
			s.creates(thing(named("Widget", "w"), "1")), s.creates(thing(named("ValidatingWebhookConfiguration", "hook"), "1")))
		s.ends(report.Done)
		same(s.t, "writes", s.made("apply"), []string{
			"apply CustomResourceDefinition/widgets.test", "apply ConfigMap/a", "apply Widget/w", "apply Job/migrate", "apply ValidatingWebhookConfiguration/hook",
		})
	})
	play(t, "many of a kind side by side, and told in their order", func(s *scene) {
		s.takes = 10 * time.Millisecond
		var changes []plan.Change
		var want []string
		for i := range 100 {
			name := fmt.Sprintf("c%02d", i)
			changes = append(changes, s.creates(thing(named("ConfigMap", name), "1")))
			want = append(want, "object-applied ConfigMap/"+name)
		}
		s.step("app", changes...)
		start := time.Now()
		s.ends(report.Done)
		same(s.t, "at once", s.busiest, writesAtOnce)
		same(s.t, "rounds and the inventory", time.Since(start), 8*s.takes)
		same(s.t, "events", s.told(report.ObjectApplied), want)
	})
	play(t, "a Job is watched before it is written", func(s *scene) {
		s.only(thing(named("Job", "migrate"), "1"))
		s.ends(report.Done)
		same(s.t, "requests", s.made("watch", "apply")[:2], []string{"watch Job/migrate", "apply Job/migrate"})
	})
	play(t, "after an error nothing of a later kind, and the inventory holds what was written", func(s *scene) {
		s.failing("apply ConfigMap/b", 1, fault{err: apierrors.NewForbidden(resourceOf(configRef), "b", errors.New("exceeded quota"))})
		s.step("app", s.creates(thing(named("ConfigMap", "a"), "1")), s.creates(thing(named("ConfigMap", "b"), "1")), s.creates(thing(named("Job", "migrate"), "1")))
		r := s.ends(report.Failed)
		says(s.t, r.Steps[0].Message, "apply ConfigMap/shop/b", "exceeded quota")
		made := s.made("apply")
		slices.Sort(made)
		same(s.t, "writes", made, []string{"apply ConfigMap/a", "apply ConfigMap/b"})
		same(s.t, "inventory", s.inventory[key("app")], []plan.Entry{entry(named("ConfigMap", "a"))})
	})
	play(t, "after an error nothing more of the same kind", func(s *scene) {
		s.failing("apply ConfigMap/c00", 1, fault{err: apierrors.NewBadRequest("no")})
		var changes []plan.Change
		for i := range 100 {
			changes = append(changes, s.creates(thing(named("ConfigMap", fmt.Sprintf("c%02d", i)), "1")))
		}
		s.step("app", changes...)
		s.ends(report.Failed)
		written := len(s.told(report.ObjectApplied))
		if written >= 2*writesAtOnce {
			s.t.Errorf("%d objects were written", written)
		}
		same(s.t, "inventory", len(s.inventory[key("app")]), written)
	})
	play(t, "an object of a kind that comes with the plan is tried until it is served", func(s *scene) {
		c := s.creates(thing(named("Widget", "w"), "1"))
		c.Reason.Code = plan.AfterCRD
		s.step("app", c)
		go func() {
			if pause(s.ctx, time.Second) == nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.put(thing(crdRef, "1"))
			}
		}()
		s.ends(report.Done)
	})
	play(t, "an object whose definition changes with the plan is tried until the new one is served", func(s *scene) {
		w := named("Widget", "w")
		s.exists(thing(crdRef, "1"))
		s.exists(thing(w, "1"))
		c := s.change(thing(w, "2"), plan.Update)
		c.Reason.Code = plan.AfterCRD
		s.failing("apply Widget/w", 3, fault{err: apierrors.NewInvalid(w.GVK().GroupKind(), "w", nil)})
		s.step("app", c)
		s.ends(report.Done)
		same(s.t, "version", field(s.live(w), "spec", "template"), any("2"))
	})
	play(t, "a Job that somebody created since the plan is left alone", func(s *scene) {
		s.only(thing(named("Job", "migrate"), "1"))
		s.exists(thing(named("Job", "migrate"), "2"))
		r := s.ends(report.Failed)
		says(s.t, r.Steps[0].Message, "Job/shop/migrate was created since the plan was made: plan again")
		same(s.t, "writes", s.made("apply", "delete"), nil)
	})
	play(t, "what is blocked stops its stage before anything is written", func(s *scene) {
		s.step("app", s.creates(thing(named("ConfigMap", "a"), "1")), s.change(thing(named("Job", "migrate"), "1"), plan.Blocked))
		s.ends(report.Failed)
		same(s.t, "writes", s.made("apply"), nil)
	})
}

func TestRecreation(t *testing.T) {
	job := named("Job", "migrate")
	play(t, "is proven with all of its stage, then deletes, waits, creates", func(s *scene) {
		s.lingers = 30 * time.Second
		s.exists(thing(job, "1"))
		s.exists(thing(named("ConfigMap", "a"), "1"))
		s.step("app", s.creates(thing(named("ConfigMap", "b"), "2")), s.change(thing(named("ConfigMap", "a"), "2"), plan.Update), s.recreates(thing(job, "2")))
		s.ends(report.Done)
		made := s.made("dry-run", "apply", "delete")
		proof := made[:3]
		slices.Sort(proof)
		same(s.t, "proof", proof, []string{"dry-run ConfigMap/a", "dry-run ConfigMap/b", "dry-run Job/migrate anew"})
		same(s.t, "writes", made[3:], []string{"apply ConfigMap/b", "apply ConfigMap/a", "dry-run Job/migrate anew", "delete Job/migrate", "apply Job/migrate"})
		same(s.t, "events", s.told(report.ObjectDeleted, report.ObjectApplied, report.JobComplete), []string{
			"object-applied ConfigMap/b", "object-applied ConfigMap/a", "object-deleted Job/migrate", "object-applied Job/migrate", "job-complete Job/migrate",
		})
	})
	play(t, "is not begun if anything of its stage is refused", func(s *scene) {
		s.exists(thing(job, "1"))
		s.failing("dry-run ConfigMap/b", 1, fault{err: apierrors.NewForbidden(resourceOf(configRef), "b", errors.New("exceeded quota"))})
		s.failing("dry-run Job/migrate anew", 1, fault{err: apierrors.NewForbidden(resourceOf(job), "migrate", errors.New("no such priority"))})
		s.step("app", s.creates(thing(named("ConfigMap", "a"), "2")), s.creates(thing(named("ConfigMap", "b"), "2")), s.recreates(thing(job, "2")))
		r := s.ends(report.Failed)
		says(s.t, r.Steps[0].Message, "nothing was deleted or written", "ConfigMap/shop/b", "exceeded quota", "Job/shop/migrate", "no such priority")
		same(s.t, "writes", s.made("apply", "delete"), nil)
	})
	play(t, "is proven once more before each deletion", func(s *scene) {
		second := named("Job", "seed")
		s.exists(thing(job, "1"))
		s.exists(thing(second, "1"))
		s.fault = func(request string, n int) fault {
			if request == "dry-run Job/seed anew" && n == 2 {
				return fault{err: apierrors.NewForbidden(resourceOf(second), "seed", errors.New("exceeded quota"))}
			}
			return fault{}
		}
		s.step("app", s.recreates(thing(job, "2")), s.recreates(thing(second, "2")))
		s.ends(report.Failed)
		same(s.t, "writes", s.made("apply", "delete"), []string{"delete Job/migrate", "apply Job/migrate"})
	})
	play(t, "comes one after the other, after new Jobs", func(s *scene) {
		for _, name := range []string{"a", "c"} {
			s.exists(thing(named("Job", name), "1"))
		}
		s.lingers = time.Second
		s.step("app", s.recreates(thing(named("Job", "a"), "2")), s.creates(thing(named("Job", "b"), "2")), s.recreates(thing(named("Job", "c"), "2")))
		s.ends(report.Done)
		same(s.t, "writes", s.made("apply", "delete"), []string{"apply Job/b", "delete Job/a", "apply Job/a", "delete Job/c", "apply Job/c"})
	})
	play(t, "never deletes another object than the one planned for", func(s *scene) {
		s.exists(thing(job, "1"))
		s.step("app", s.recreates(thing(job, "2")))
		s.exists(thing(job, "3")).SetUID("somebody's")
		r := s.ends(report.Failed)
		says(s.t, r.Steps[0].Message, "Job/shop/migrate is not the object that was planned for any more: plan again")
		same(s.t, "UID", string(s.live(job).GetUID()), "somebody's")
	})
	play(t, "goes on if the old one is gone already", func(s *scene) {
		old := s.exists(thing(job, "1"))
		s.step("app", s.recreates(thing(job, "2")))
		s.remove(old)
		s.ends(report.Done)
		same(s.t, "events", s.told(report.ObjectDeleted, report.ObjectApplied), []string{"object-applied Job/migrate"})
	})
	play(t, "waits for pods that outlive their Job", func(s *scene) {
		old := s.exists(thing(job, "1"))
		s.step("app", s.recreates(thing(job, "2")))
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "migrate-1"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
		s.showPod(string(old.GetUID()), pod)
		ended := time.Time{}
		go func() {
			if pause(s.ctx, 20*time.Second) == nil {
				pod.Status.Phase = corev1.PodFailed
				ended = time.Now()
				s.showPod(string(old.GetUID()), pod)
			}
		}()
		s.on = func(e report.Event) {
			if e.Type == report.ObjectApplied && (ended.IsZero() || time.Since(ended) > time.Second) {
				s.t.Errorf("created at %s, the old pod ended at %s", time.Now(), ended)
			}
		}
		s.ends(report.Done)
	})
	play(t, "sees that another one stands there, though its watch skipped the deletion", func(s *scene) {
		s.lingers = time.Hour
		s.exists(thing(job, "1"))
		s.step("app", s.recreates(thing(job, "2")))
		go func() {
			if pause(s.ctx, time.Second) == nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				u := thing(job, "3")
				u.SetUID("somebody's")
				s.put(u)
			}
		}()
		says(s.t, s.ends(report.Failed).Steps[0].Message, "plan again")
	})
	play(t, "says what holds up a deletion that does not end", func(s *scene) {
		s.lingers = time.Hour
		s.exists(thing(job, "1"))
		s.step("app", s.recreates(thing(job, "2")))
		r := s.ends(report.TimedOut)
		says(s.t, r.Steps[0].Message, "still being deleted (finalizers: [foregroundDeletion])")
	})
	play(t, "keeps trying when the server refuses what it has taken a moment ago", func(s *scene) {
		s.exists(thing(job, "1"))
		s.failing("apply Job/migrate", 5, fault{err: apierrors.NewForbidden(resourceOf(job), "migrate", errors.New("exceeded quota"))})
		s.step("app", s.recreates(thing(job, "2")))
		s.ends(report.Done)
	})
	play(t, "says that a Job is missing if it has to give up", func(s *scene) {
		s.exists(thing(job, "1"))
		s.failing("apply Job/migrate", 1000, fault{err: apierrors.NewForbidden(resourceOf(job), "migrate", errors.New("exceeded quota"))})
		s.step("app", s.recreates(thing(job, "2")))
		r := s.ends(report.Failed)
		says(s.t, r.Steps[0].Message, "was deleted and could not be created again, run apply once more", "exceeded quota")
	})
}

func TestInterrupt(t *testing.T) {
	job := named("Job", "migrate")
	lost := errors.New("the lock of flux-system was lost")
	// A recreation between a ConfigMap and another step is interrupted by each
	// of its requests.
	tests := []struct {
		at string
		// nth says at which of the requests of that name.
		nth int
		// done says whether the Job has become the new one.
		done bool
		text string
	}{
		{"watch Job/migrate", 1, false, "before anything was applied"},
		{"dry-run ConfigMap/a", 1, false, "before"},
		{"dry-run Job/migrate anew", 1, false, "before"},
		{"apply ConfigMap/a", 1, false, "before"},
		{"dry-run Job/migrate anew", 2, false, "before Job/shop/migrate was deleted"},
		{"delete Job/migrate", 1, true, "in flight, and going on in the cluster: Job/shop/migrate"},
		{"list Pod/old-uid", 1, true, "in flight, and going on in the cluster: Job/shop/migrate"},
		{"apply Job/migrate", 1, true, "in flight, and going on in the cluster: Job/shop/migrate"},
		{"save Inventory/app", 1, true, "in flight, and going on in the cluster: Job/shop/migrate"},
	}
	for _, tt := range tests {
		play(t, fmt.Sprintf("at %s, %d", tt.at, tt.nth), func(s *scene) {
			s.lingers = 10 * time.Second
			s.exists(thing(job, "1"))
			s.step("app", s.creates(thing(named("ConfigMap", "a"), "1")), s.recreates(thing(job, "2")))
			s.step("later", s.creates(thing(named("ConfigMap", "later"), "1"))).After = []object.Key{key("app")}
			r := s.run(s.interruptAtNth(tt.at, tt.nth, lost))
			s.outcome(r, report.Interrupted)
			says(s.t, r.Steps[0].Message, "interrupted (the lock of flux-system was lost)", tt.text)
			same(s.t, "the other step", r.Steps[1].Outcome, report.Skipped)
			live := s.live(job)
			if live == nil || live.GetDeletionTimestamp() != nil {
				s.t.Fatalf("the Job is missing or going: %v", live)
			}
			same(s.t, "it is the new one", field(live, "spec", "template") == "2", tt.done)
			if s.live(named("ConfigMap", "later")) != nil {
				s.t.Error("something was begun after the interrupt")
			}
		})
	}
	play(t, "by the user has no cause", func(s *scene) {
		s.step("app", s.creates(thing(named("ConfigMap", "a"), "1")), s.creates(thing(job, "1")))
		r := s.run(s.interruptAt("apply ConfigMap/a", nil))
		s.outcome(r, report.Interrupted)
		same(s.t, "message", r.Steps[0].Message, "interrupted before Job/shop/migrate was applied")
		same(s.t, "what was in flight is known", s.inventory[key("app")], []plan.Entry{entry(named("ConfigMap", "a"))})
	})
	play(t, "between two requests for one object", func(s *scene) {
		s.only(thing(job, "1"))
		r := s.run(s.interruptAt("get Job/migrate", nil))
		s.outcome(r, report.Interrupted)
		same(s.t, "writes", s.made("apply"), nil)
	})
	play(t, "while pruning", func(s *scene) {
		for _, name := range []string{"a", "b"} {
			s.exists(thing(named("ConfigMap", name), "1"))
		}
		s.step("app", s.change(thing(named("ConfigMap", "a"), "1"), plan.Delete), s.change(thing(named("ConfigMap", "b"), "1"), plan.Delete))
		r := s.run(s.interruptAt("delete ConfigMap/a", nil))
		s.outcome(r, report.Interrupted)
		same(s.t, "deleted", s.made("delete"), []string{"delete ConfigMap/a"})
	})
	play(t, "before the run", func(s *scene) {
		s.only(thing(job, "1"))
		r := s.run(s.interruptAtOnce(lost))
		s.outcome(r, report.Interrupted)
		says(s.t, r.Steps[0].Message, "the lock of flux-system was lost")
		same(s.t, "requests", s.requests, nil)
	})
}

func TestDryRun(t *testing.T) {
	play(t, "asks for every write and writes nothing", func(s *scene) {
		s.opts.DryRun = true
		s.opts.Journal = &journal{t: s.t}
		s.exists(thing(named("ConfigMap", "u"), "1"))
		s.exists(thing(named("ConfigMap", "old"), "1"))
		s.exists(thing(named("Job", "migrate"), "1"))
		s.step("app", s.creates(thing(named("ConfigMap", "c"), "1")), s.change(thing(named("ConfigMap", "u"), "2"), plan.Update),
			s.creates(thing(named("Job", "new"), "1")), s.recreates(thing(named("Job", "migrate"), "2")), s.change(thing(named("ConfigMap", "old"), "1"), plan.Delete))
		s.step("later", s.creates(thing(named("ConfigMap", "later"), "1"))).After = []object.Key{key("app")}
		start := time.Now()
		s.ends(report.Done)
		same(s.t, "writes", s.made("apply", "delete", "save", "watch"), nil)
		same(s.t, "asked", len(s.made("dry-run", "dry-run delete")), 7)
		same(s.t, "events", s.told(report.ObjectApplied, report.ObjectDeleted), []string{
			"object-applied ConfigMap/c", "object-applied ConfigMap/u", "object-applied Job/new", "object-deleted Job/migrate", "object-applied Job/migrate",
			"object-deleted ConfigMap/old", "object-applied ConfigMap/later",
		})
		if took := time.Since(start); took > time.Second {
			s.t.Errorf("it took %s", took)
		}
		for _, e := range s.events {
			if !e.DryRun {
				s.t.Errorf("%s is not marked", e.Type)
			}
		}
	})
	play(t, "says what can be tried only later", func(s *scene) {
		s.opts.DryRun = true
		c := s.creates(thing(named("Widget", "w"), "1"))
		c.Reason = plan.Reason{Code: plan.AfterCRD, Detail: "its kind comes with this plan"}
		s.step("app", s.creates(thing(crdRef, "1")), c)
		s.ends(report.Done)
		same(s.t, "events", s.told(report.ObjectApplied, report.Notice), []string{
			"object-applied CustomResourceDefinition/widgets.test", "notice Widget/w not tried, its kind comes with this plan",
		})
	})
	play(t, "fails where the server refuses", func(s *scene) {
		s.opts.DryRun = true
		s.exists(thing(named("Job", "migrate"), "1"))
		s.failing("dry-run Job/migrate anew", 1, fault{err: apierrors.NewForbidden(resourceOf(jobRef), "migrate", errors.New("exceeded quota"))})
		s.step("app", s.recreates(thing(named("Job", "migrate"), "2")))
		s.step("later", s.creates(thing(named("ConfigMap", "later"), "1"))).After = []object.Key{key("app")}
		r := s.ends(report.Failed)
		says(s.t, r.Steps[0].Message, "exceeded quota")
		same(s.t, "the other step", r.Steps[1].Outcome, report.Skipped)
	})
	play(t, "fails where the object is another one", func(s *scene) {
		s.opts.DryRun = true
		s.exists(thing(named("Job", "migrate"), "1"))
		s.step("app", s.recreates(thing(named("Job", "migrate"), "2")))
		s.exists(thing(named("Job", "migrate"), "3")).SetUID("somebody's")
		says(s.t, s.ends(report.Failed).Steps[0].Message, "plan again")
	})
}
