package conformance

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	gocmp "github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

var withTwins = flag.Bool("twins", true, "hold apply against the controller, too, in a twin of each case")

// twinForm says who brings the first tree of a twin: a second namespace, in
// which apply does what the controller does in that of the case.
type twinForm string

const (
	// alone has no Flux: apply brings both trees and keeps the inventory.
	alone twinForm = "alone"
	// beside has the controller bring the first tree; it is suspended then, and
	// apply brings the second. What is different there is that Flux keeps the
	// inventory: it is for cases in which that matters, or that cannot be alone.
	beside twinForm = "beside"
)

// The reasons why a case has no twin, or not every one, besides the differences
// that are deliberate.
const (
	leftRefused    = "refused"
	leftKnown      = "known"
	leftShared     = "shared-object"
	leftNewChild   = "new-child"
	leftChild      = "child"
	leftUnfinished = "first-tree-failed"
	leftClaimed    = "claimed-twice"
)

// leftOut says what the reasons mean.
var leftOut = map[string]string{
	leftRefused:    "no twin: the plan is blocked or the controller fails; apply writes nothing then, the controller what comes before the error",
	leftKnown:      "no twin: plan and controller disagree already",
	leftShared:     "no twin: an object that does not bear the name of the namespace is the same one there, or there can be only one",
	leftNewChild:   "no twin: apply refuses to write what a Kustomization has that Flux would begin to reconcile meanwhile",
	leftChild:      "no twin without Flux: the cluster has Flux, so that a Kustomization that another one renders comes to live in it",
	leftUnfinished: "no twin without Flux: the controller fails on the first tree, and apply would not leave behind what it does",
	leftClaimed:    "no hand-over: two Kustomizations take an object from each other whenever they are reconciled, by whomever",
}

// twinTally counts what the twins show.
type twinTally struct {
	twins                map[twinForm]int
	objects, inventories int
	// toController and toPlugin are the hand-overs.
	toController, toPlugin int
	// left counts the cases that were left out, by the reason.
	left map[string]int
}

func newTwinTally() *twinTally {
	return &twinTally{twins: map[twinForm]int{}, left: map[string]int{}}
}

func (t *twinTally) String() string {
	return fmt.Sprintf("twins %v with %d objects and %d inventories; handed over to the controller %d, to the plugin %d; left out %v",
		t.twins, t.objects, t.inventories, t.toController, t.toPlugin, t.left)
}

// twinning is what a trial learns for its twins.
type twinning struct {
	// without is the first reason why there are none, "" if there are.
	without string
	// order is that in which the plan has the Kustomizations of the case.
	order []string
	// claimed says that there are no hand-overs.
	claimed bool
	// ends are the reasons of the Ready conditions, by Kustomization.
	ends map[string]string
	// named are all objects that a plan or an inventory names, by ID.
	named map[string]object.Ref
	// leaves says that something in an inventory is no longer rendered.
	leaves bool
	// resumed and removed are the Kustomizations that others render, by what
	// became of them.
	resumed, removed []string
}

// leaveOut notes why there are no twins.
func (t *trial) leaveOut(reason string) {
	t.t.Helper()
	if _, deliberate := differences[reason]; leftOut[reason] == "" && !deliberate {
		t.t.Errorf("nothing says why a case is left out for %s", reason)
	}
	t.without = cmp.Or(t.without, reason)
}

// leave counts the case among those that were left out.
func (t *trial) leave(reason string) {
	t.total.add(func(total *tally) { total.twin.left[reason]++ })
}

// foresee notes what the case and its plan say about twins.
func (t *trial) foresee(p *plan.Plan) {
	t.t.Helper()
	if t.differs != "" {
		t.leaveOut(t.differs)
	}
	if t.known != "" {
		t.leaveOut(leftKnown)
	}
	if !p.Applyable {
		t.leaveOut(leftRefused)
	}
	if len(p.Reconciled()) > 0 {
		t.leaveOut(leftNewChild)
	}
	t.claimed = t.claimed || slices.ContainsFunc(p.Warnings, func(w plan.Warning) bool { return w.Rule == leftClaimed })
	if t.onlyOne {
		t.leaveOut(leftShared)
	}
	t.order = nil
	for _, s := range p.Steps {
		if name := s.Kustomization.Name; slices.Contains(t.kustomizations, name) {
			t.order = append(t.order, name)
		}
		t.leaves = t.leaves || slices.ContainsFunc(s.Changes, func(c plan.Change) bool { return c.Stage == 0 })
		switch name := s.Kustomization.Name; {
		case s.Removed:
			t.removed = append(t.removed, name)
		case s.Parent != nil && !slices.Contains(t.resumed, name):
			t.resumed = append(t.resumed, name)
		}
	}
}

// ended notes how a Kustomization was reconciled. One that is not healthy was
// applied.
func (t *trial) ended(name string, ready map[string]any) {
	t.t.Helper()
	if t.ends == nil {
		t.ends = map[string]string{}
	}
	t.ends[name], _ = ready["reason"].(string)
	if t.ends[name] != succeeded && t.ends[name] != unhealthy {
		t.leaveOut(leftRefused)
	}
}

// compared notes of which objects the twins are to be compared.
func (t *trial) compared(refs []object.Ref) {
	t.t.Helper()
	if t.named == nil {
		t.named = map[string]object.Ref{}
	}
	for _, ref := range refs {
		t.named[ref.ID()] = ref
		if !strings.Contains(ref.Key().String(), t.name) {
			t.leaveOut(leftShared)
		}
	}
}

// state is what a namespace, and what belongs to it, is in the end.
type state struct {
	// Objects are in the form of view, by ID.
	Objects map[string]map[string]any
	// Inventories are by Kustomization, as ID and version.
	Inventories map[string][]plan.Entry
}

// apart tells in what two states differ, or "". A Job with a TTL that is there
// in one of them alone is no difference: it is gone in the other already.
func apart(controller, plugin state) string {
	controller.Objects, plugin.Objects = lasting(controller, plugin), lasting(plugin, controller)
	return gocmp.Diff(controller, plugin)
}

// lasting are the objects of s without those that have expired in the other.
func lasting(s, other state) map[string]map[string]any {
	objects := maps.Clone(s.Objects)
	maps.DeleteFunc(objects, func(id string, o map[string]any) bool {
		return other.Objects[id] == nil && expires(&unstructured.Unstructured{Object: o})
	})
	return objects
}

// expires says whether u is a Job that is deleted when it has ended.
func expires(u *unstructured.Unstructured) bool {
	_, has, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "ttlSecondsAfterFinished")
	return has && object.RefOf(u).IsJob()
}

// tokenVolume is the name that the server makes up for a Pod's volume.
var tokenVolume = regexp.MustCompile("kube-api-access-[a-z0-9]{5}")

// view returns what two objects of the same name in two namespaces have in
// common: all but the status, what the server allocates, and when fields were
// written. was becomes is in every name.
func view(u *unstructured.Unstructured, was, is string) (map[string]any, error) {
	c := stable(u)
	managed := c.GetManagedFields()
	for i := range managed {
		managed[i].Time = nil
	}
	slices.SortFunc(managed, func(a, b metav1.ManagedFieldsEntry) int {
		return cmp.Or(cmp.Compare(a.Manager, b.Manager), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Subresource, b.Subresource))
	})
	c.SetManagedFields(managed)
	for _, field := range []string{"uid", "creationTimestamp"} {
		unstructured.RemoveNestedField(c.Object, "metadata", field)
	}
	if ref := object.RefOf(u); ref.Group == "" && ref.Kind == "Service" {
		withoutAllocations(c)
	}
	text, err := json.Marshal(c.Object)
	if err != nil {
		return nil, err
	}
	text = tokenVolume.ReplaceAll(text, []byte("kube-api-access-"))
	// The labels and the selector of a Job hold its UID.
	names := strings.NewReplacer(string(u.GetUID()), "UID", was, is)
	var seen map[string]any
	err = json.Unmarshal([]byte(names.Replace(string(text))), &seen)
	return seen, err
}

// withoutAllocations removes the addresses and ports that a Service was given.
func withoutAllocations(service *unstructured.Unstructured) {
	if ip, _, _ := unstructured.NestedString(service.Object, "spec", "clusterIP"); ip != "None" {
		unstructured.RemoveNestedField(service.Object, "spec", "clusterIP")
		unstructured.RemoveNestedField(service.Object, "spec", "clusterIPs")
	}
	ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
	for _, p := range ports {
		delete(p.(map[string]any), "nodePort")
	}
	_ = unstructured.SetNestedSlice(service.Object, ports, "spec", "ports")
}

// healthy says whether the controller found everything healthy in the end.
func (t *trial) healthy() bool {
	return !slices.Contains(slices.Collect(maps.Values(t.ends)), unhealthy)
}

// end is the state that the controller left.
func (t *trial) end() state {
	t.t.Helper()
	if t.without != "" {
		return state{}
	}
	return t.state(t.name, t.fluxInventories())
}

// state reads all objects, and names them as those of the case.
func (t *trial) state(is string, inventories map[string][]plan.Entry) state {
	t.t.Helper()
	s := state{Objects: map[string]map[string]any{}, Inventories: inventories}
	for id, u := range t.live() {
		if gone(u) {
			continue
		}
		seen, err := view(u, t.name, is)
		t.must("read "+id, err)
		s.Objects[strings.ReplaceAll(id, t.name, is)] = seen
	}
	for _, entries := range inventories {
		for i := range entries {
			entries[i].ID = strings.ReplaceAll(entries[i].ID, t.name, is)
		}
	}
	return s
}

// live reads the named objects, and all of their kinds that stand beside
// them, by ID.
func (t *trial) live() map[string]*unstructured.Unstructured {
	t.t.Helper()
	found := map[string]*unstructured.Unstructured{}
	for _, ref := range t.named {
		u := newObject(ref.GVK().GroupVersion().String(), ref.Kind, ref.Namespace, ref.Name)
		r, err := resourceOf(u)
		if meta.IsNoMatchError(err) {
			continue
		}
		t.must("find "+ref.String(), err)
		if strings.Contains(ref.Namespace, t.name) {
			list, err := r.List(t.ctx, metav1.ListOptions{})
			if apierrors.IsNotFound(err) { // The kind is not served any more.
				continue
			}
			t.must("list what is beside "+ref.String(), err)
			for i := range list.Items {
				if u := &list.Items[i]; !t.background(u) {
					found[object.RefOf(u).ID()] = u
				}
			}
			continue
		}
		u, err = r.Get(t.ctx, ref.Name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			t.must("read "+ref.String(), err)
			found[ref.ID()] = u
		}
	}
	return found
}

// background says whether the object was made by Kubernetes, by the case for
// its Kustomizations, or is kept by the plugin for itself.
func (t *trial) background(u *unstructured.Unstructured) bool {
	return metav1.GetControllerOf(u) != nil || u.GetKind() == "Kustomization" && slices.Contains(t.kustomizations, u.GetName()) || u.GetKind() == "ConfigMap" && u.GetName() == "kube-root-ca.crt" ||
		u.GetKind() == "ServiceAccount" && u.GetName() == "default" ||
		u.GetKind() == "ConfigMap" && strings.HasPrefix(u.GetName(), pluginRecord)
}

// fluxInventories reads the inventories that the controller keeps.
func (t *trial) fluxInventories() map[string][]plan.Entry {
	t.t.Helper()
	all := map[string][]plan.Entry{}
	for _, name := range t.kustomizations {
		all[name] = []plan.Entry{}
		for _, ref := range t.listed(object.Key{Namespace: t.name, Name: name}) {
			all[name] = append(all[name], plan.Entry{ID: ref.ID(), Version: ref.Version})
		}
	}
	return all
}

// pluginRecord is how the names of the plugin's own records begin, and
// pluginInventory those of the inventories among them.
const (
	pluginRecord    = "fluxjob-"
	pluginInventory = pluginRecord + "inventory-"
)

// pluginInventories reads the inventories that the plugin keeps.
func (t *trial) pluginInventories() map[string][]plan.Entry {
	t.t.Helper()
	all := map[string][]plan.Entry{}
	for _, name := range t.kustomizations {
		all[name] = []plan.Entry{}
		record, err := t.get(t.ctx, "ConfigMap/"+pluginInventory+name)
		if apierrors.IsNotFound(err) {
			// There was never anything to record.
			continue
		}
		t.must("read the inventory of "+name, err)
		text, _, err := unstructured.NestedString(record.Object, "data", "entries")
		t.must("read the inventory of "+name, err)
		var entries []plan.Entry
		t.must("read the inventory of "+name, json.Unmarshal([]byte(text), &entries))
		all[name] = entries
	}
	return all
}

// twins holds apply against the state that the controller left, in every form
// that the case allows, and has each take up what the other left.
func (t *trial) twins(end state) {
	t.t.Helper()
	if t.t.Failed() {
		return
	}
	if t.without != "" {
		t.leave(t.without)
		return
	}
	if t.claimed {
		t.leave(leftClaimed)
	} else {
		t.toPlugin()
	}
	for _, form := range t.forms() {
		t.twin(form, end)
	}
}

// forms are those that the case allows.
func (t *trial) forms() []twinForm {
	switch {
	case slices.ContainsFunc(slices.Collect(maps.Values(t.named)), object.Ref.IsKustomization):
		t.leave(leftChild)
		return []twinForm{beside}
	case !t.has("before"):
		return []twinForm{alone}
	case t.before != succeeded:
		t.leave(leftUnfinished)
		return []twinForm{beside}
	case t.leaves:
		return []twinForm{alone, beside}
	}
	return []twinForm{alone}
}

// as returns the same trial for a case of another name.
func (t *trial) as(name string) *trial {
	t.t.Helper()
	c, err := readCaseAs(name, filepath.Join("testdata", "cases", t.name+".txtar"), server)
	t.must("read the case again", err)
	w := &trial{testCase: c, t: t.t, total: t.total, twinning: t.twinning}
	w.named = map[string]object.Ref{}
	for id, ref := range t.named {
		ref, err := object.ParseID(strings.ReplaceAll(id, t.name, name), ref.Version)
		t.must("name "+id+" anew", err)
		w.named[ref.ID()] = ref
	}
	return w
}

// twin does the case by apply, in a namespace of its own.
func (t *trial) twin(form twinForm, end state) {
	t.t.Helper()
	w := t.as(string(form) + "-" + t.name)
	defer w.begin()()
	tree := w.tree("after")
	switch {
	case form == beside:
		w.first()
	case !w.has("before"):
		w.source()
	default:
		w.source()
		w.apply("before", w.tree("before"), true)
	}
	w.between()
	if form == beside {
		w.suspend(tree)
	}
	for range w.rounds {
		w.apply("after", tree, t.healthy())
	}
	w.follow()
	// The live Kustomization's inventory is the controller's to write.
	var inventories map[string][]plan.Entry
	if form == alone {
		inventories = w.pluginInventories()
	} else {
		end.Inventories = nil
	}
	if d := apart(end, w.state(t.name, inventories)); d != "" {
		t.t.Errorf("twin %s (-controller +apply):\n%s", form, d)
		return
	}
	t.total.add(func(total *tally) {
		total.twin.twins[form]++
		total.twin.objects += len(end.Objects)
		total.twin.inventories += len(inventories)
	})
	if !t.claimed {
		w.toController(form, tree)
	}
}
