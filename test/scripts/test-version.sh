#!/usr/bin/env bash
# Holds plan against the controller, and some random Jobs against the server, on the
# embedded Kubernetes that FLUXJOB_CLUSTER_BIN names, and says in one line how that
# went. What apply does hangs on no version.
set -euo pipefail
cd "$(dirname "$0")/../.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

start=$SECONDS
{ go test -count=1 -v -timeout 30m ./test/conformance -twins=false && go test -count=1 -v -timeout 20m ./test/random -pairs 200; } >"$log" 2>&1 ||
	{ grep -vE '^ *(=== |--- PASS)' "$log"; exit 1; }
sed -nE 's/.*conformance: //p; s/.*: ([0-9]+ pairs: )/random Jobs: \1/p' "$log" | paste -sd'; ' - | sed "s/$/ ($((SECONDS - start)) s)/"
