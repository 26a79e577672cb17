package diff

import (
	"errors"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
)

const (
	jobYAML = `
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: shop}
spec: {template: {spec: {containers: [{name: m, image: 'm:1'}]}}}
`
	// podTemplate is how the API server prints a template that it refuses.
	podTemplate = `{"metadata":{"labels":{"batch.kubernetes.io/job-name":"migrate"}},"spec":{"containers":[{"name":"m","image":"m:2","env":[{"name":"PASSWORD","value":"hunter2"}]}]}}`
)

var (
	jobs    = schema.GroupResource{Group: "batch", Resource: "jobs"}
	jobKind = schema.GroupKind{Group: "batch", Kind: "Job"}
)

// invalid is the answer 422 with the causes.
func invalid(causes ...metav1.StatusCause) error {
	err := apierrors.NewInvalid(jobKind, "migrate", nil)
	err.ErrStatus.Details.Causes = causes
	var texts []string
	for _, c := range causes {
		texts = append(texts, c.Field+": "+c.Message)
	}
	err.ErrStatus.Message += strings.Join(texts, ", ")
	return err
}

func cannot(verb string) error {
	return apierrors.NewForbidden(jobs, "migrate", errors.New(`User "u" cannot `+verb+` resource "jobs"`))
}

func immutableTemplate() error {
	return invalid(metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: "spec.template", Message: "Invalid value: " + podTemplate + ": field is immutable"})
}

func TestClassify(t *testing.T) {
	job := func(rest string) *unstructured.Unstructured { return parsed(t, jobYAML+rest) }
	edited := func(edit func(u *unstructured.Unstructured)) *unstructured.Unstructured {
		u := job("")
		edit(u)
		return u
	}
	other := edited(func(u *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(u.Object, int64(3), "spec", "backoffLimit")
	})
	owned := edited(func(u *unstructured.Unstructured) {
		u.SetLabels(map[string]string{group + "/name": "app", group + "/namespace": "flux-system"})
	})
	withForce := edited(func(u *unstructured.Unstructured) { u.SetAnnotations(map[string]string{group + "/force": "Enabled"}) })
	crontab := parsed(t, "apiVersion: example.com/v1\nkind: CronTab\nmetadata: {name: a, namespace: shop}")
	noMatch := &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "example.com", Kind: "CronTab"}, SearchedVersions: []string{"v1"}}
	noNamespace := apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "shop")
	unknownField := apierrors.NewInternalError(errors.New("failed to create typed patch object (shop/a; example.com/v1, Kind=CronTab): .spec.image: field not declared in schema"))
	missingField := invalid(metav1.StatusCause{Field: "spec.template.spec.restartPolicy", Message: "Required value: valid values: \"OnFailure\", \"Never\""})
	const missingText = `spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"`
	const immutableText = "spec.template: field is immutable"
	const redefined = "its definition changes with this plan; now the server answers: "
	const takenOver = "kustomize-controller takes over the fields of other tools and cannot take away what is not rendered: " + immutableText +
		"; the annotation kustomize.toolkit.fluxcd.io/ssa: Merge leaves it there, --replace recreates the Job"
	elsewhere := Brings{Elsewhere: map[string]object.Key{"shop": {Namespace: "flux-system", Name: "base"}, "CronTab.example.com": {Namespace: "flux-system", Name: "base"}}}
	forced := Policy{Forced: "spec.force of flux-system/app"}
	tests := []struct {
		name     string
		observed Observed
		policy   Policy
		action   plan.Action
		reason   plan.Reason
	}{
		// The server accepts it.
		{"it does not exist", Observed{Desired: job(""), DryRun: job("")}, Policy{}, plan.Create, plan.Reason{Code: plan.NotFound}},
		{
			"a Job that was applied before and is gone",
			Observed{Desired: job(""), DryRun: job("")},
			Policy{Inventory: true},
			plan.Create,
			plan.Reason{Code: plan.RemovedAfterRun, Detail: "it was applied before and is gone, by its TTL or by hand"},
		},
		{"another object that was applied before and is gone", Observed{Desired: crontab, DryRun: crontab}, Policy{Inventory: true}, plan.Create, plan.Reason{Code: plan.NotFound}},
		{"a Job that was applied before and is still there", Observed{Desired: job(""), Live: job(""), DryRun: job("")}, Policy{Inventory: true}, plan.Unchanged, plan.Reason{}},
		{"nothing differs", Observed{Desired: job(""), Live: job(""), DryRun: job("")}, forced, plan.Unchanged, plan.Reason{}},
		{"only the status differs", Observed{Desired: job(""), Live: job("status: {active: 1}"), DryRun: job("")}, Policy{}, plan.Unchanged, plan.Reason{}},
		{"a field differs that can be changed", Observed{Desired: other, Live: job(""), DryRun: other}, forced, plan.Update, plan.Reason{Code: plan.Changed}},
		{"only the owner labels differ", Observed{Desired: owned, Live: job(""), DryRun: owned}, Policy{}, plan.Update, plan.Reason{Code: plan.Ownership, Detail: "the owner labels change"}},
		{
			"the owner labels and a field differ",
			Observed{Desired: owned, Live: job("suspend: true"), DryRun: owned},
			Policy{},
			plan.Update,
			plan.Reason{Code: plan.Changed},
		},
		{
			"only other managers' fields are taken over",
			Observed{Desired: job(""), Live: job(""), DryRun: job(""), TakenOver: job("")},
			Policy{},
			plan.Update,
			plan.Reason{Code: plan.Ownership, Detail: "kustomize-controller takes over fields or annotations of other managers"},
		},
		// The server refuses the change.
		{
			"an immutable field, with spec.force",
			Observed{Desired: job(""), Live: job(""), DryRunErr: immutableTemplate()},
			forced, plan.Recreate,
			plan.Reason{Code: plan.ImmutableField, Detail: immutableText, AllowedBy: "spec.force of flux-system/app"},
		},
		{
			"an immutable field, with the annotation",
			Observed{Desired: withForce, Live: job(""), DryRunErr: immutableTemplate()},
			Policy{},
			plan.Recreate,
			plan.Reason{Code: plan.ImmutableField, Detail: immutableText, AllowedBy: "annotation kustomize.toolkit.fluxcd.io/force"},
		},
		{
			"an immutable field, with the annotation on the live object alone",
			Observed{Desired: job(""), Live: withForce, DryRunErr: immutableTemplate()},
			Policy{},
			plan.Recreate,
			plan.Reason{Code: plan.ImmutableField, Detail: immutableText, AllowedBy: "annotation kustomize.toolkit.fluxcd.io/force"},
		},
		{
			"an immutable field, and nothing allows force",
			Observed{Desired: job(""), Live: job(""), DryRunErr: immutableTemplate()},
			Policy{},
			plan.Blocked,
			plan.Reason{Code: plan.ImmutableNotForced, Detail: immutableText},
		},
		{
			"the replacement would be refused",
			Observed{Desired: job(""), Live: job(""), DryRunErr: missingField, ReplacementErr: missingField},
			forced, plan.Blocked,
			plan.Reason{Code: plan.Invalid, Detail: "the server rejects it: " + missingText},
		},
		{
			"the replacement would be refused by a policy",
			Observed{Desired: job(""), Live: job(""), DryRunErr: immutableTemplate(), ReplacementErr: apierrors.NewForbidden(jobs, "migrate", errors.New("exceeded quota: q"))},
			forced, plan.Blocked,
			plan.Reason{Code: plan.Invalid, Detail: `the server rejects it: jobs.batch "migrate" is forbidden: exceeded quota: q`},
		},
		{
			"the replacement cannot be tried without rights",
			Observed{Desired: job(""), Live: job(""), DryRunErr: immutableTemplate(), ReplacementErr: cannot("create")},
			forced, plan.Unknown,
			plan.Reason{Code: plan.Forbidden, Detail: `the replacement cannot be proven: jobs.batch "migrate" is forbidden: User "u" cannot create resource "jobs"`},
		},
		{
			"the replacement cannot be tried just now",
			Observed{Desired: job(""), Live: job(""), DryRunErr: immutableTemplate(), ReplacementErr: apierrors.NewTooManyRequests("slow down", 1)},
			forced, plan.Unknown,
			plan.Reason{Code: plan.DryRunFailed, Detail: "the replacement cannot be proven: slow down"},
		},
		{
			"a conflict is what the controller takes for immutable",
			Observed{Desired: job(""), Live: job(""), DryRunErr: apierrors.NewConflict(jobs, "migrate", errors.New("changed"))},
			forced, plan.Recreate,
			plan.Reason{Code: plan.ImmutableField, Detail: `Operation cannot be fulfilled on jobs.batch "migrate": changed`, AllowedBy: "spec.force of flux-system/app"},
		},
		{
			"a webhook that speaks of an immutable field",
			Observed{Desired: job(""), Live: job(""), DryRunErr: apierrors.NewForbidden(jobs, "migrate", errors.New("spec.x is immutable"))},
			forced, plan.Recreate,
			plan.Reason{Code: plan.ImmutableField, Detail: `jobs.batch "migrate" is forbidden: spec.x is immutable`, AllowedBy: "spec.force of flux-system/app"},
		},
		// It was asked for.
		{
			"a recreation that was asked for",
			Observed{Desired: job(""), Live: job(""), DryRun: job("")},
			Policy{Requested: "--replace"},
			plan.Recreate,
			plan.Reason{Code: plan.Requested, AllowedBy: "--replace"},
		},
		{
			"a recreation that was asked for and would be refused",
			Observed{Desired: job(""), Live: job(""), DryRun: job(""), ReplacementErr: missingField},
			Policy{Requested: "--replace"},
			plan.Blocked,
			plan.Reason{Code: plan.Invalid, Detail: "the server rejects it: " + missingText},
		},
		{"a recreation of what does not exist", Observed{Desired: job(""), DryRun: job("")}, Policy{Requested: "--replace"}, plan.Create, plan.Reason{Code: plan.NotFound}},
		// The server refuses the object, or does not answer.
		{
			"a new object that is not valid",
			Observed{Desired: job(""), DryRunErr: missingField},
			forced, plan.Blocked,
			plan.Reason{Code: plan.Invalid, Detail: "the server rejects it: " + missingText},
		},
		{
			"a kind that comes with the plan",
			Observed{Desired: crontab, LiveErr: noMatch},
			Policy{Brings: Brings{Kinds: map[string]*unstructured.Unstructured{"CronTab.example.com": crontab}}},
			plan.Create,
			plan.Reason{Code: plan.AfterCRD, Detail: "its kind comes with this plan"},
		},
		{
			"a kind that comes with a Kustomization that is not waited for",
			Observed{Desired: crontab, LiveErr: noMatch},
			Policy{Brings: elsewhere},
			plan.Blocked,
			plan.Reason{Code: plan.DryRunFailed, Detail: "the cluster does not serve example.com/v1 CronTab; Kustomization flux-system/base brings it: add it to spec.dependsOn"},
		},
		{
			"a kind that the cluster does not serve",
			Observed{Desired: crontab, LiveErr: noMatch},
			Policy{},
			plan.Blocked,
			plan.Reason{Code: plan.DryRunFailed, Detail: "the cluster does not serve example.com/v1 CronTab"},
		},
		{
			"a namespace that comes with the plan",
			Observed{Desired: job(""), DryRunErr: noNamespace},
			Policy{Brings: Brings{Namespaces: map[string]bool{"shop": true}}},
			plan.Create,
			plan.Reason{Code: plan.AfterNamespace, Detail: "its namespace comes with this plan"},
		},
		{
			"a namespace that comes with a Kustomization that is not waited for",
			Observed{Desired: job(""), DryRunErr: noNamespace},
			Policy{Brings: elsewhere},
			plan.Blocked,
			plan.Reason{Code: plan.DryRunFailed, Detail: `namespaces "shop" not found; Kustomization flux-system/base brings it: add it to spec.dependsOn`},
		},
		{
			"a namespace that does not exist",
			Observed{Desired: job(""), DryRunErr: noNamespace},
			Policy{},
			plan.Blocked,
			plan.Reason{Code: plan.DryRunFailed, Detail: `namespaces "shop" not found`},
		},
		{
			"it cannot be read without rights",
			Observed{Desired: job(""), LiveErr: cannot("get")},
			forced, plan.Unknown,
			plan.Reason{Code: plan.Forbidden, Detail: `jobs.batch "migrate" is forbidden: User "u" cannot get resource "jobs"`},
		},
		{
			"it cannot be read without credentials",
			Observed{Desired: job(""), LiveErr: apierrors.NewUnauthorized("who are you")},
			forced, plan.Unknown,
			plan.Reason{Code: plan.Forbidden, Detail: "who are you"},
		},
		{
			"it cannot be tried without rights",
			Observed{Desired: job(""), Live: job(""), DryRunErr: cannot("patch")},
			forced, plan.Unknown,
			plan.Reason{Code: plan.Forbidden, Detail: `jobs.batch "migrate" is forbidden: User "u" cannot patch resource "jobs"`},
		},
		{
			"a new field that its definition gains with this plan",
			Observed{Desired: crontab, Live: crontab, DryRunErr: unknownField, Redefined: true},
			Policy{},
			plan.Update,
			plan.Reason{Code: plan.AfterCRD, Detail: redefined + "failed to create typed patch object (shop/a; example.com/v1, Kind=CronTab): .spec.image: field not declared in schema"},
		},
		{
			"a new object with a value that its definition allows with this plan",
			Observed{Desired: crontab, DryRunErr: missingField, Redefined: true},
			Policy{},
			plan.Create,
			plan.Reason{Code: plan.AfterCRD, Detail: redefined + missingText},
		},
		{
			"a value that its definition allows with this plan",
			Observed{Desired: crontab, Live: crontab, DryRunErr: missingField, ReplacementErr: missingField, Redefined: true},
			forced, plan.Update,
			plan.Reason{Code: plan.AfterCRD, Detail: redefined + missingText},
		},
		{
			"a change that the server refuses, while its definition changes",
			Observed{Desired: crontab, Live: crontab, DryRunErr: immutableTemplate(), Redefined: true},
			forced, plan.Recreate,
			plan.Reason{Code: plan.ImmutableField, Detail: immutableText, AllowedBy: "spec.force of flux-system/app"},
		},
		{
			"a field of another tool that is immutable",
			Observed{Desired: job(""), Live: job(""), DryRun: job(""), TakenOver: job(""), LeftErr: immutableTemplate(), Replacement: job("")},
			Policy{},
			plan.Blocked,
			plan.Reason{Code: plan.ImmutableTakenOver, Detail: takenOver},
		},
		{
			"a field of another tool that is immutable, under force",
			Observed{Desired: job(""), Live: job(""), DryRun: job(""), TakenOver: job(""), LeftErr: immutableTemplate(), Replacement: job("")},
			forced, plan.Blocked,
			plan.Reason{Code: plan.ImmutableTakenOver, Detail: takenOver + ", and Flux recreates it in the reconciliation after the one that fails"},
		},
		{
			"a field of another tool without which the object is invalid",
			Observed{Desired: job(""), Live: job(""), DryRun: job(""), TakenOver: job(""), LeftErr: missingField, ReplacementErr: missingField},
			forced, plan.Blocked,
			plan.Reason{Code: plan.Invalid, Detail: "the server rejects it: " + missingText},
		},
		{
			"a policy keeps a field of another tool",
			Observed{Desired: job(""), Live: job(""), DryRun: job(""), TakenOver: job(""), LeftErr: apierrors.NewForbidden(jobs, "migrate", errors.New("keep it"))},
			Policy{},
			plan.Blocked,
			plan.Reason{Code: plan.Forbidden, Detail: `jobs.batch "migrate" is forbidden: keep it`},
		},
		{
			"a policy forbids it in words like those about rights",
			Observed{Desired: job(""), DryRunErr: apierrors.NewForbidden(jobs, "migrate", errors.New("the image cannot be latest"))},
			Policy{},
			plan.Blocked,
			plan.Reason{Code: plan.Forbidden, Detail: `jobs.batch "migrate" is forbidden: the image cannot be latest`},
		},
		{
			"a policy forbids it",
			Observed{Desired: job(""), DryRunErr: apierrors.NewForbidden(jobs, "migrate", errors.New("exceeded quota: q"))},
			Policy{},
			plan.Blocked,
			plan.Reason{Code: plan.Forbidden, Detail: `jobs.batch "migrate" is forbidden: exceeded quota: q`},
		},
		{
			"a policy forbids the change, which no replacement mends",
			Observed{Desired: job(""), Live: job(""), DryRunErr: apierrors.NewForbidden(jobs, "migrate", errors.New("exceeded quota: q"))},
			forced, plan.Blocked,
			plan.Reason{Code: plan.Forbidden, Detail: `jobs.batch "migrate" is forbidden: exceeded quota: q`},
		},
		{
			"the server answers that it cannot read the object, as it always will",
			Observed{Desired: job(""), Live: job(""), DryRunErr: apierrors.NewInternalError(errors.New("failed to create typed patch object (shop/pre; batch/v1, Kind=Job): .spec.parallelism: expected numeric"))},
			Policy{},
			plan.Blocked,
			plan.Reason{Code: plan.DryRunFailed, Detail: "failed to create typed patch object (shop/pre; batch/v1, Kind=Job): .spec.parallelism: expected numeric"},
		},
		{
			"a word stands where a number belongs, which the server answers with 500",
			Observed{Desired: job(""), Live: job(""), DryRunErr: &apierrors.StatusError{ErrStatus: metav1.Status{
				Code: 500, Message: "failed to create typed patch object (shop/migrate; batch/v1, Kind=Job): .spec.backoffLimit: expected numeric (int or float), got string",
			}}},
			forced, plan.Blocked,
			plan.Reason{Code: plan.DryRunFailed, Detail: "failed to create typed patch object (shop/migrate; batch/v1, Kind=Job): .spec.backoffLimit: expected numeric (int or float), got string"},
		},
		{
			"a webhook does not answer",
			Observed{Desired: job(""), Live: job(""), DryRunErr: apierrors.NewInternalError(errors.New("failed calling webhook"))},
			forced, plan.Unknown,
			plan.Reason{Code: plan.DryRunFailed, Detail: "failed calling webhook"},
		},
		{
			"the server is busy",
			Observed{Desired: job(""), LiveErr: apierrors.NewTooManyRequests("slow down", 1)},
			Policy{},
			plan.Unknown,
			plan.Reason{Code: plan.DryRunFailed, Detail: "slow down"},
		},
		{
			"the server is not reached",
			Observed{Desired: job(""), LiveErr: errors.New("connection refused")},
			Policy{},
			plan.Unknown,
			plan.Reason{Code: plan.DryRunFailed, Detail: "connection refused"},
		},
		{
			"a request that the server does not understand",
			Observed{Desired: job(""), Live: job(""), DryRunErr: apierrors.NewBadRequest("strict decoding error: unknown field")},
			forced, plan.Blocked,
			plan.Reason{Code: plan.DryRunFailed, Detail: "strict decoding error: unknown field"},
		},
		{
			"a conflict over what does not exist",
			Observed{Desired: job(""), DryRunErr: apierrors.NewConflict(jobs, "migrate", errors.New("changed"))},
			forced, plan.Blocked,
			plan.Reason{Code: plan.DryRunFailed, Detail: `Operation cannot be fulfilled on jobs.batch "migrate": changed`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			action, reason := Classify(tt.observed, tt.policy)
			if action != tt.action {
				t.Errorf("action: got %s, want %s", action, tt.action)
			}
			if d := gocmp.Diff(tt.reason, reason); d != "" {
				t.Errorf("reason (-want +got):\n%s", d)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	job := object.Ref{Group: "batch", Version: "v1", Kind: "Job", Namespace: "shop", Name: "migrate"}
	secret := object.Ref{Version: "v1", Kind: "Secret", Namespace: "shop", Name: "db"}
	of := func(field, message string) error { return invalid(metav1.StatusCause{Field: field, Message: message}) }
	quoted := func(kind string) error {
		return of("data[password]", kind+`: "hunter2: hunter2": not good`)
	}
	tests := []struct {
		name string
		ref  object.Ref
		err  error
		want string
	}{
		{"without the dump of a template", job, immutableTemplate(), "spec.template: field is immutable"},
		{
			"without the dump of a template as Go prints it", job,
			of("spec.template", "Invalid value: core.PodTemplateSpec{"+strings.Repeat("X:1, ", 60)+"}: field is immutable"), "spec.template: field is immutable",
		},
		{"with a short value", job, of("spec.backoffLimit", "Invalid value: -1: must be greater than or equal to 0"), "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"},
		{"without the dump of a list", job, of("spec.ports", `Invalid value: [{"port":1}]: may not change`), "spec.ports: may not change"},
		{
			"with the allowed values", job, of("spec.template.spec.restartPolicy", `Unsupported value: "Always": supported values: "OnFailure", "Never"`),
			`spec.template.spec.restartPolicy: Unsupported value: "Always": supported values: "OnFailure", "Never"`,
		},
		{
			"several causes, each once", job,
			invalid(metav1.StatusCause{Field: "spec.a", Message: "Required value"}, metav1.StatusCause{Field: "spec.a", Message: "Required value"}, metav1.StatusCause{Field: "spec.b", Message: "Forbidden: no"}),
			"spec.a: Required value; spec.b: Forbidden: no",
		},
		{"a cause without a field, as a rule of a definition has it", job, of("<nil>", "Invalid value: {\"a\":1}: failed rule: x is immutable"), "failed rule: x is immutable"},
		{"an answer without causes", job, apierrors.NewBadRequest("  no \n"), "no"},
		{"an error that is none of the API server's", job, errors.New("connection refused"), "connection refused"},
		{"a value from a Secret in the answer", job, of("spec.x", `Invalid value: "u:swordfish@db": no`), `spec.x: Invalid value: "u:(secret)@db": no`},
		{"a value from a Secret in an answer without causes", job, apierrors.NewBadRequest("swordfish is bad"), "(secret) is bad"},
		{"of a Secret, an invalid value is not told", secret, quoted("Invalid value"), "data[password]: not good"},
		{"nor an unsupported one", secret, quoted("Unsupported value"), "data[password]: not good"},
		{"nor a repeated one, after which nothing comes", secret, of("data[password]", `Duplicate value: "a: hunter2"`), "data[password]: Duplicate value"},
		{"nor one that is an object", secret, of("data", `Invalid value: {"password":"hunter2"}: not good`), "data: not good"},
		{"but that it is immutable", secret, of("data", "Forbidden: field is immutable when `immutable` is set"), "data: Forbidden: field is immutable when `immutable` is set"},
		{
			"of a Secret, an answer that may quote it is left out", secret, apierrors.NewBadRequest(`illegal base64 data in "hunter2"`),
			"BadRequest: the server's answer is left out, as it may quote the Secret",
		},
		{"of a Secret, an answer about rights is told", secret, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "db", errors.New("no")), `secrets "db" is forbidden: no`},
		{"of a Secret, an absent namespace is told", secret, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "shop"), `namespaces "shop" not found`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Explain(tt.ref, tt.err, NewMask([]string{"swordfish"}))
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("the value of a Secret is told")
			}
		})
	}
}

// The messages of an answer 422 are made by field.Error; this holds that the
// tables above use the form that it has.
func TestTheServersWordsAreThoseOfTheTables(t *testing.T) {
	err := field.Invalid(field.NewPath("spec", "template"), map[string]any{"a": 1}, "field is immutable")
	if got, want := err.ErrorBody(), `Invalid value: {"a":1}: field is immutable`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := field.Duplicate(field.NewPath("x"), "v").ErrorBody(), `Duplicate value: "v"`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// meta returns an object of the kind with a label or an annotation.
func marking(t *testing.T, where, key, value string) *unstructured.Unstructured {
	t.Helper()
	u := parsed(t, jobYAML)
	if key == "" {
		return u
	}
	if err := unstructured.SetNestedField(u.Object, value, "metadata", where, key); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestSkipped(t *testing.T) {
	tests := []struct {
		name, where, key, value string
		desired, live           plan.Code
	}{
		{"no mark", "labels", "", "", "", ""},
		{"reconcile as an annotation", "annotations", group + "/reconcile", "disabled", plan.Annotation, plan.Annotation},
		{"reconcile as a label, in another case", "labels", group + "/reconcile", "Disabled", plan.Annotation, plan.Annotation},
		{"ssa ignore", "annotations", group + "/ssa", "ignore", plan.Annotation, plan.Annotation},
		{"ssa IfNotPresent counts where it is desired", "annotations", group + "/ssa", "IfNotPresent", plan.Exists, ""},
		{"ssa IfNotPresent as a label", "labels", group + "/ssa", "ifnotpresent", plan.Exists, ""},
		{"ssa Merge", "annotations", group + "/ssa", "Merge", "", ""},
		{"another value", "annotations", group + "/reconcile", "enabled", "", ""},
		{"prune: disabled does not keep it from being applied", "annotations", group + "/prune", "disabled", "", ""},
	}
	plain := marking(t, "", "", "")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			marked := marking(t, tt.where, tt.key, tt.value)
			check := func(what string, desired, live *unstructured.Unstructured, want plan.Code) {
				reason, skipped := Skipped(desired, live)
				if reason.Code != want || skipped != (want != "") {
					t.Errorf("%s: got %q (%t), want %q", what, reason.Code, skipped, want)
				}
				if skipped && !strings.HasPrefix(reason.Detail, tt.key+": ") {
					t.Errorf("%s: the detail %q does not name the mark", what, reason.Detail)
				}
			}
			check("on the desired object", marked, plain, tt.desired)
			check("on the live object", plain, marked, tt.live)
		})
	}
	t.Run("IfNotPresent creates what is not present", func(t *testing.T) {
		if reason, skipped := Skipped(marking(t, "annotations", group+"/ssa", "IfNotPresent"), nil); skipped {
			t.Errorf("got %v", reason)
		}
	})
	t.Run("reconcile: disabled is skipped even if it is not present", func(t *testing.T) {
		if _, skipped := Skipped(marking(t, "annotations", group+"/reconcile", "disabled"), nil); !skipped {
			t.Error("it is applied")
		}
	})
}

func TestTheReasonOfASkipIsTheSameEachTime(t *testing.T) {
	u := marking(t, "annotations", group+"/reconcile", "disabled")
	for key, value := range map[string]string{group + "/ssa": "Ignore", group + "/prune": "disabled"} {
		if err := unstructured.SetNestedField(u.Object, value, "metadata", "annotations", key); err != nil {
			t.Fatal(err)
		}
	}
	u.SetLabels(map[string]string{group + "/name": "app", group + "/namespace": "flux-system"})
	skipped, kept := map[string]bool{}, map[string]bool{}
	for range 100 {
		reason, _ := Skipped(u, nil)
		skipped[reason.Detail] = true
		reason, _ = Kept(u, object.Key{Namespace: "flux-system", Name: "app"})
		kept[reason.Detail] = true
	}
	if len(skipped) != 1 || len(kept) != 1 {
		t.Errorf("got several reasons, which changes the digest of the plan: %v, %v", skipped, kept)
	}
}

func TestKept(t *testing.T) {
	owner := object.Key{Namespace: "flux-system", Name: "app"}
	tests := []struct {
		name                    string
		ownerName, ownerSpace   string
		annotation, label, with string
		want                    plan.Code
	}{
		{"its own object is deleted", "app", "flux-system", "", "", "", ""},
		{"that of another Kustomization is kept", "other", "flux-system", "", "", "", plan.Ownership},
		{"that of a Kustomization of another namespace is kept", "app", "apps", "", "", "", plan.Ownership},
		{"one without owner is kept", "", "", "", "", "", plan.Ownership},
		{"prune: disabled keeps it", "app", "flux-system", "/prune", "", "Disabled", plan.Annotation},
		{"prune: disabled as a label keeps it", "app", "flux-system", "", "/prune", "disabled", plan.Annotation},
		{"reconcile: disabled keeps it", "app", "flux-system", "/reconcile", "", "disabled", plan.Annotation},
		{"ssa: Ignore keeps it", "app", "flux-system", "/ssa", "", "Ignore", plan.Annotation},
		{"ssa: IfNotPresent does not", "app", "flux-system", "/ssa", "", "IfNotPresent", ""},
		{"prune: enabled does not", "app", "flux-system", "/prune", "", "enabled", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := parsed(t, jobYAML)
			labels := map[string]string{group + "/name": tt.ownerName, group + "/namespace": tt.ownerSpace}
			if tt.label != "" {
				labels[group+tt.label] = tt.with
			}
			u.SetLabels(labels)
			if tt.annotation != "" {
				u.SetAnnotations(map[string]string{group + tt.annotation: tt.with})
			}
			reason, kept := Kept(u, owner)
			if reason.Code != tt.want || kept != (tt.want != "") {
				t.Errorf("got %q (%t), want %q", reason.Code, kept, tt.want)
			}
		})
	}
}

func TestAllowedBy(t *testing.T) {
	force := marking(t, "annotations", group+"/force", "enabled")
	label := marking(t, "labels", group+"/force", "Enabled")
	off := marking(t, "annotations", group+"/force", "disabled")
	plain := marking(t, "", "", "")
	const annotation = "annotation kustomize.toolkit.fluxcd.io/force"
	tests := []struct {
		name          string
		desired, live *unstructured.Unstructured
		forced, want  string
	}{
		{"nothing", plain, plain, "", ""},
		{"spec.force", plain, plain, "spec.force of a/b", "spec.force of a/b"},
		{"spec.force is named first", force, plain, "spec.force of a/b", "spec.force of a/b"},
		{"the annotation on the desired object", force, plain, "", annotation},
		{"the annotation on the live object", plain, force, "", annotation},
		{"as a label", label, nil, "", annotation},
		{"another value", off, off, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := AllowedBy(Observed{Desired: tt.desired, Live: tt.live}, Policy{Forced: tt.forced}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestJobOf(t *testing.T) {
	const suspended = "\nspec: {suspend: true}\n"
	const head = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a, namespace: b}\n"
	states := map[string]string{
		"running":   head + "status: {startTime: x, active: 1}",
		"complete":  head + "status: {conditions: [{type: Complete, status: 'True'}]}",
		"failed":    head + "status: {conditions: [{type: Failed, status: 'True'}]}",
		"suspended": head + suspended,
		"plain":     head,
	}
	tests := []struct {
		name                  string
		action                plan.Action
		desired, live, dryRun string
		want                  plan.Job
	}{
		{"a new one runs", plan.Create, "plain", "", "plain", plan.Job{WillRun: true, WaitFor: "complete"}},
		{"a new one that is suspended does not", plan.Create, "suspended", "", "suspended", plan.Job{Suspended: true}},
		{"a new one of a namespace that comes later runs", plan.Create, "plain", "", "", plan.Job{WillRun: true, WaitFor: "complete"}},
		{"a complete one that is recreated runs", plan.Recreate, "plain", "complete", "", plan.Job{WillRun: true, Last: plan.Complete, WaitFor: "complete"}},
		{"a running one that is recreated runs anew", plan.Recreate, "plain", "running", "", plan.Job{WillRun: true, Last: plan.Running, WaitFor: "complete"}},
		{"a failed one that is recreated suspended does not", plan.Recreate, "suspended", "failed", "", plan.Job{Last: plan.Failed, Suspended: true}},
		{"a running one that is unchanged is waited for", plan.Unchanged, "plain", "running", "running", plan.Job{Last: plan.Running, WaitFor: "complete"}},
		{"a running one that is updated is waited for", plan.Update, "plain", "running", "running", plan.Job{Last: plan.Running, WaitFor: "complete"}},
		{"a running one that is suspended is not", plan.Update, "suspended", "running", "suspended", plan.Job{Last: plan.Running, Suspended: true}},
		{"a suspended one that is resumed runs", plan.Update, "plain", "suspended", "plain", plan.Job{WillRun: true, Last: plan.Suspended, WaitFor: "complete"}},
		{"a suspended one that stays suspended by someone else", plan.Update, "plain", "suspended", "suspended", plan.Job{Last: plan.Suspended, Suspended: true}},
		{"a complete one that is unchanged", plan.Unchanged, "plain", "complete", "complete", plan.Job{Last: plan.Complete}},
		{"a failed one that is unchanged", plan.Unchanged, "plain", "failed", "failed", plan.Job{Last: plan.Failed}},
		{"a complete one that is updated does not run", plan.Update, "plain", "complete", "complete", plan.Job{Last: plan.Complete}},
		{"a running one that is deleted", plan.Delete, "", "running", "", plan.Job{Last: plan.Running}},
		{"a suspended one that is deleted", plan.Delete, "", "suspended", "", plan.Job{Last: plan.Suspended}},
		{"a running one that is skipped", plan.Skip, "plain", "running", "", plan.Job{Last: plan.Running}},
		{"a running one that is blocked", plan.Blocked, "plain", "running", "", plan.Job{Last: plan.Running}},
		{"an unknown one", plan.Unknown, "plain", "", "", plan.Job{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			state := func(name string) *unstructured.Unstructured {
				if name == "" {
					return nil
				}
				return parsed(t, states[name])
			}
			if d := gocmp.Diff(&tt.want, JobOf(tt.action, state(tt.desired), state(tt.live), state(tt.dryRun))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
