package e2e

import "testing"

// TestExitCodesOfPlan has one line for each code of the contract.
func TestExitCodesOfPlan(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name              string
		manifests         string
		applied           bool
		plain, withDetail int
	}{
		{"nothing to do", configMap("a", "1"), true, 0, 0},
		{"changes", configMap("a", "1"), false, 0, 1},
		{"changes, and a Job runs", configMap("a", "1") + job("migrate", "app:1", "true"), false, 0, 3},
		{"something is blocked, and a Job runs", widget + job("migrate", "app:1", "true"), false, 0, 4},
		{"incomplete, whatever else", "kind: [\n", false, 2, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := one(t, tt.manifests)
			if tt.applied {
				s.apply(0)
			}
			s.run(tt.plain, "plan", "-n", "@NS", "-f", "flux.yaml")
			s.run(tt.withDetail, "plan", "-n", "@NS", "-f", "flux.yaml", "--exit-code")
		})
	}
}

// TestWithoutACluster is an error, and says where it was looked for.
func TestWithoutACluster(t *testing.T) {
	t.Parallel()
	s := one(t, configMap("a", "1"))
	for _, command := range [][]string{{"plan"}, {"apply", "--yes"}} {
		r := s.run(2, append(command, "-f", "flux.yaml", "--server", "https://127.0.0.1:1", "--request-timeout", "2s")...)
		wantText(t, r.stderr, "127.0.0.1:1")
		equal(t, "stdout", r.stdout, "")
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	for _, args := range [][]string{{"--help"}, {"plan", "--help"}, {"apply", "--help"}, {"version", "--help"}} {
		r := s.run(0, args...)
		wantText(t, r.stdout, "kubectl fluxjob")
		wantNoText(t, r.stdout, "kubectl-fluxjob ")
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	s := newSpace(t, nil)
	wantText(t, s.run(0, "version").stdout, "Client: ", "Server: v1.", "Flux: not found")
	r := s.run(0, "version", "--client", "--server", "https://127.0.0.1:1")
	wantText(t, r.stdout, "Client: ")
	wantNoText(t, r.stdout, "Server: ")
}
