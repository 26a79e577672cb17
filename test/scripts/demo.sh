#!/usr/bin/env bash
# The story of the README on the embedded Kubernetes: a migration Job and the
# application that waits for it are planned, applied, changed, and held back.
# Starts a cluster of its own in a temporary folder and removes both at the end.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/fluxjob-demo.XXXXXX")
cluster=${FLUXJOB_CLUSTER_BIN:-$here/bin/fluxjob-cluster}
trap '"$cluster" down --dir "$work/cluster" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' cyan=$'\e[36m' reset=$'\e[0m'; else bold='' cyan='' reset=''; fi

say() { printf '\n%s# %s%s\n' "$cyan" "$*" "$reset"; }

# fluxjob EXPECTED-EXIT-CODE ARG… shows the command, runs it and checks how it
# ends, so that the demo fails where the product does.
fluxjob() {
	local want=$1 got=0
	shift
	printf '\n%s$ kubectl fluxjob %s%s\n' "$bold" "$*" "$reset"
	"$here/bin/kubectl-fluxjob" "$@" </dev/null || got=$?
	if [ "$want" != 0 ]; then printf '%s(exit code %s)%s\n' "$cyan" "$got" "$reset"; fi
	[ "$got" = "$want" ] || { echo "demo: exit code $got, expected $want" >&2; exit 1; }
}

kubectl() { "$cluster" kubectl --dir "$work/cluster" "$@"; }

image() { kubectl get deployment application -n shop -o 'jsonpath={.spec.template.spec.containers[0].image}'; }

say "A Kubernetes comes along: etcd, kube-apiserver, kube-controller-manager and a small node whose pods are processes."
"$cluster" up --dir "$work/cluster"
export KUBECONFIG="$work/cluster/kubeconfig"
kubectl create namespace shop >/dev/null
kubectl create namespace flux-system >/dev/null

cp -R "$here/test/fixtures/running-jobs" "$work/fleet"
cd "$work/fleet"

say "The pattern of Flux's page 'Running Jobs': Kustomization pre has a migration Job, application depends on it."
fluxjob 0 plan -f flux

say "apply does it in that order: the application is written when the Job is complete."
fluxjob 0 apply -f flux --yes --logs=all

say "Nothing changed, so nothing runs: a Job is never run twice for one plan."
fluxjob 0 plan -f flux

say "Release 1.1.0, a new image for both. A Job's template is immutable, so Flux deletes the Job and runs it again: that is said before."
sed -i.bak 's/shop:1.0.0/shop:1.1.0/' pre/job.yaml application/deployment.yaml
fluxjob 3 plan -f flux --exit-code
fluxjob 0 apply -f flux --yes

say "Release 1.2.0 has a migration that fails. The application is held back."
sed -i.bak -e 's/shop:1.1.0/shop:1.2.0/' -e 's/echo "migrated"/echo "column is missing" >\&2; exit 3/' pre/job.yaml application/deployment.yaml
fluxjob 1 apply -f flux --yes
say "The application still runs $(image)."

say "Without force the Kustomization would be wedged: 'field is immutable'. plan sees it, apply writes nothing."
sed -i.bak 's/force: true/force: false/' flux/kustomizations.yaml
sed -i.bak 's/shop:1.2.0/shop:1.3.0/' pre/job.yaml application/deployment.yaml
fluxjob 4 plan -f flux --exit-code
fluxjob 4 apply -f flux --yes

say "That is all; the cluster is taken down."
