package cmd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/fluxjob/kubectl-fluxjob/pkg/object"
	"github.com/fluxjob/kubectl-fluxjob/pkg/plan"
	"github.com/fluxjob/kubectl-fluxjob/pkg/report"
)

// code returns the exit code that an error stands for.
func code(err error) int {
	c, _ := exit(context.Background(), err)
	return c
}

func TestPlanExit(t *testing.T) {
	tests := []struct {
		name            string
		plan            plan.Plan
		plain, detailed int
	}{
		{"nothing to do", plan.Plan{Complete: true, Summary: plan.Summary{Unchanged: 3, Skip: 1}}, 0, 0},
		{"changes", plan.Plan{Complete: true, Summary: plan.Summary{Update: 1}}, 0, 1},
		{"a deletion is a change", plan.Plan{Complete: true, Summary: plan.Summary{Delete: 1}}, 0, 1},
		{"a Job will run", plan.Plan{Complete: true, Summary: plan.Summary{Create: 1, JobsToRun: 1}}, 0, 3},
		{"something is blocked", plan.Plan{Complete: true, Summary: plan.Summary{Blocked: 1}}, 0, 4},
		{"blocked beats Jobs that run", plan.Plan{Complete: true, Summary: plan.Summary{Create: 1, JobsToRun: 1, Blocked: 1}}, 0, 4},
		{"not complete beats all", plan.Plan{Summary: plan.Summary{Create: 1, JobsToRun: 1, Blocked: 1, Unknown: 1}}, 2, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := code(planExit(&tt.plan, false)); got != tt.plain {
				t.Errorf("without --exit-code: got %d, want %d", got, tt.plain)
			}
			if got := code(planExit(&tt.plan, true)); got != tt.detailed {
				t.Errorf("with --exit-code: got %d, want %d", got, tt.detailed)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	reconciled := func(a plan.Action) []plan.Step {
		return []plan.Step{{
			Kustomization: object.Key{Namespace: "flux-system", Name: "app"},
			Inventory:     plan.Inventory{Reconciled: true}, Changes: []plan.Change{{Action: a}},
		}}
	}
	tests := []struct {
		name string
		plan plan.Plan
		code int
		say  string
	}{
		{"an applyable plan", plan.Plan{Complete: true, Summary: plan.Summary{Create: 1}}, 0, ""},
		{"a blocked plan", plan.Plan{Complete: true, Summary: plan.Summary{Blocked: 1}}, 4, "error: the plan is blocked where it is marked with !, nothing was written"},
		{"a plan that is not complete", plan.Plan{Summary: plan.Summary{Blocked: 1}}, 2, "error: the plan is not complete, nothing was written"},
		{
			"a Kustomization that Flux reconciles",
			plan.Plan{Complete: true, Steps: reconciled(plan.Update)},
			4,
			"error: Flux reconciles these Kustomizations and would undo what is written here; nothing was written. Suspend them first:\n  flux suspend kustomization app -n flux-system",
		},
		{"a Kustomization that Flux reconciles and that nothing is written to", plan.Plan{Complete: true, Steps: reconciled(plan.Unchanged)}, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, say := exit(t.Context(), refusal(&tt.plan))
			if got != tt.code || say != tt.say {
				t.Errorf("got  %d %q\nwant %d %q", got, say, tt.code, tt.say)
			}
		})
	}
}

func TestReportExit(t *testing.T) {
	want := map[report.Outcome]int{report.Done: 0, report.Failed: 1, report.Skipped: 1, report.TimedOut: 6, report.Interrupted: 130, "other": 2}
	got := map[report.Outcome]int{}
	for outcome := range want {
		got[outcome] = code(reportExit(&report.Report{Outcome: outcome}))
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestExit(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name    string
		ctx     context.Context
		err     error
		code    int
		message string
	}{
		{"no error", t.Context(), nil, 0, ""},
		{"no error after an interrupt", ended, nil, 0, ""},
		{"any error", t.Context(), errors.New("no such host\n"), 2, "error: no such host"}, //nolint:revive // servers end their messages so
		{"a mistake in usage", t.Context(), usagef("--x %d", 1), 2, "error: --x 1"},
		{"a code without a word", t.Context(), &codeError{code: 6}, 6, ""},
		{"a code with a message", t.Context(), &codeError{4, "blocked"}, 4, "error: blocked"},
		{"an error because of an interrupt", ended, context.Canceled, 130, "error: interrupted, nothing was written"},
		{"a code after an interrupt", ended, &codeError{code: 1}, 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, message := exit(tt.ctx, tt.err)
			if code != tt.code || message != tt.message {
				t.Errorf("got  %d %q\nwant %d %q", code, message, tt.code, tt.message)
			}
		})
	}
}

// ran is what came of a command line.
type ran struct {
	code        int
	out, errOut string
}

// run runs a command line that reaches no cluster, in a folder with one
// Kustomization.
func run(t *testing.T, stdin string, args ...string) ran {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("HOME", dir)
	t.Setenv("KUBECONFIG", filepath.Join(dir, "kubeconfig"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	files := map[string]string{
		"kubeconfig": "apiVersion: v1\nkind: Config\n",
		"a.yaml": "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, namespace: flux-system}\n" +
			"spec: {interval: 10m, prune: true, path: ./, sourceRef: {kind: GitRepository, name: x}}\n",
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errOut bytes.Buffer
	code := Main(t.Context(), args, genericiooptions.IOStreams{In: strings.NewReader(stdin), Out: &out, ErrOut: &errOut})
	return ran{code, out.String(), errOut.String()}
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	const planHelp, applyHelp = "See 'kubectl fluxjob plan --help' for usage.", "See 'kubectl fluxjob apply --help' for usage."
	tests := []struct {
		name, args string
		want       []string
	}{
		{"an unknown command", "plann", []string{`unknown command "plann" for "kubectl fluxjob"`}},
		{"an unknown flag", "plan --nonsense", []string{"unknown flag: --nonsense", planHelp}},
		{"an unknown flag of apply", "apply --nonsense", []string{"unknown flag: --nonsense", applyHelp}},
		{"a flag without its value", "plan -f", []string{"flag needs an argument: 'f' in -f", planHelp}},
		{"a flag with a value of the wrong type", "plan -f a.yaml --concurrency many", []string{`invalid argument "many" for "--concurrency"`, planHelp}},
		{"an unknown format", "plan -f a.yaml -o xml", []string{`-o: unknown output format "xml", use one of diff, json, table`, planHelp}},
		{"no file", "plan", []string{"say which Kustomizations with -f FILE, -f FOLDER or -f -", planHelp}},
		{"no file for apply", "apply --yes", []string{"say which Kustomizations with -f FILE, -f FOLDER or -f -", applyHelp}},
		{"an unknown colour", "plan -f a.yaml --color blue", []string{`--color "blue": use auto, always or never`, planHelp}},
		{"no concurrency", "plan -f a.yaml --concurrency 0", []string{"--concurrency 0: at least 1", planHelp}},
		{"an unknown wait", "apply --yes -f a.yaml --wait some", []string{`--wait "some": use jobs, flux or all`, applyHelp}},
		{"unknown logs", "apply --yes -f a.yaml --logs some", []string{`--logs "some": use failed, all or none`, applyHelp}},
		{"no parallelism", "apply --yes -f a.yaml --parallelism 0", []string{"--parallelism 0: at least 1", applyHelp}},
		{"a negative timeout", "apply --yes -f a.yaml --timeout -1s", []string{"--timeout -1s: not negative", applyHelp}},
		{"an unknown format of events", "apply --yes -f a.yaml -o table", []string{`-o "table": use text or json`, applyHelp}},
		{"apply without --yes and without a terminal", "apply -f a.yaml", []string{"add --yes", applyHelp}},
		{"apply without --yes from standard input", "apply -f -", []string{"add --yes", applyHelp}},
		{"a file that is not there", "plan -f absent.yaml", []string{"absent.yaml: no such file or directory"}},
		{"a tree that is not there", "plan -f a.yaml --local-source absent", []string{"--local-source absent: ", "no such file or directory"}},
		{"an argument too many", "version now", []string{"now"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, "", strings.Fields(tt.args)...)
			if got.code != 2 {
				t.Errorf("exit code: got %d, want 2", got.code)
			}
			if got.out != "" {
				t.Errorf("standard output: got %q, want nothing", got.out)
			}
			if !strings.HasPrefix(got.errOut, "error: ") || strings.Count(got.errOut, "error: ") != 1 || strings.Contains(got.errOut, "kubectl-fluxjob") {
				t.Errorf("got %q, want one message of what is typed after kubectl", got.errOut)
			}
			for _, want := range tt.want {
				if !strings.Contains(got.errOut, want) {
					t.Errorf("got  %q\nwant it to contain %q", got.errOut, want)
				}
			}
		})
	}
}

func TestWithoutAClusterTheMessageIsAboutIt(t *testing.T) {
	got := run(t, "", "plan", "-f", "a.yaml", "--server", "http://127.0.0.1:1")
	if got.code != 2 || !strings.HasPrefix(got.errOut, "error: reach the cluster: ") {
		t.Errorf("got %d %q", got.code, got.errOut)
	}
}

func TestVersionOfTheClientNeedsNoCluster(t *testing.T) {
	got := run(t, "", "version", "--client")
	if got.code != 0 || got.errOut != "" {
		t.Errorf("got %d %q", got.code, got.errOut)
	}
	for _, want := range []string{"Client: ", "Rules of kustomize-controller: v1.9.5 (Flux 2.9)\n"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("got  %q\nwant it to contain %q", got.out, want)
		}
	}
}

func TestHelpNeedsNoCluster(t *testing.T) {
	tests := []struct {
		args string
		want []string
	}{
		{"", []string{"kubectl fluxjob [flags] [options]", "plan ", "apply ", "version "}},
		{"--help", []string{"kubectl fluxjob [flags] [options]", "plan ", "apply ", "version "}},
		{"help plan", []string{"kubectl fluxjob plan [KUSTOMIZATION...] -f FILE", "--exit-code"}},
		{"plan --help", []string{"kubectl fluxjob plan [KUSTOMIZATION...] -f FILE", "--local-source", "Exit codes: 0 the plan is made; 2 an error"}},
		{"apply --help", []string{"kubectl fluxjob apply [KUSTOMIZATION...] -f FILE", "--yes", "Exit codes: 0 done; 1 a Job or a step failed"}},
		{"version --help", []string{"kubectl fluxjob version", "--client"}},
		{"options", []string{"--kubeconfig", "--context", "--request-timeout", "--as", "--color"}},
	}
	for _, tt := range tests {
		t.Run("kubectl fluxjob "+tt.args, func(t *testing.T) {
			got := run(t, "", strings.Fields(tt.args)...)
			if got.code != 0 || got.errOut != "" {
				t.Errorf("got %d %q", got.code, got.errOut)
			}
			if strings.Contains(got.out, "kubectl-fluxjob") {
				t.Errorf("it speaks of kubectl-fluxjob:\n%s", got.out)
			}
			for _, want := range tt.want {
				if !strings.Contains(got.out, want) {
					t.Errorf("got\n%s\nwant it to contain %q", got.out, want)
				}
			}
		})
	}
}
