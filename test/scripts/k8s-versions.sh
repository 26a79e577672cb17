#!/usr/bin/env bash
# Writes the module files of the embedded cluster's older minor versions,
# test/cluster/go.k8s-MINOR.mod and .sum: what test/cluster/go.mod requires, with
# the modules of Kubernetes at the newest patch version that is served. They are
# committed, and not made by the build, so that every build has the same modules.
# Usage: k8s-versions.sh [MINOR...]; without one, those that are there.
set -euo pipefail
cd "$(dirname "$0")/../cluster"

minors=("$@")
if [ $# = 0 ]; then
	for file in go.k8s-*.mod; do
		file=${file#go.k8s-}
		minors+=("${file%.mod}")
	done
fi

newest=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
for minor in "${minors[@]}"; do
	version=$(go list -m -f '{{join .Versions "\n"}}' -versions k8s.io/kubernetes | grep -E "^v${minor/./\\.}\.[0-9]+$" | tail -1) ||
		{ echo "k8s-versions: Kubernetes $minor is not served" >&2; exit 1; }
	staging=v0.${version#v1.}
	theirs=$(go mod download -json "k8s.io/kubernetes@$version" | sed -nE 's/^\s*"GoMod": "(.*)",$/\1/p')
	etcd=$(awk '$1 == "go.etcd.io/etcd/server/v3" { print $2 }' "$theirs")
	file=go.k8s-$minor.mod

	# What go.mod says of indirect and replaced modules is about its own version.
	{
		sed -e '/\/\/ indirect$/d' -e '/ => /d' -e "s/ $newest$/ $version/" -e "s/ v0\.${newest#v1.}$/ $staging/" \
			-e "s|\(go\.etcd\.io/.*\) v.*|\1 $etcd|" go.mod
		echo "replace ("
		sed -nE "s|^\s*(k8s\.io/[a-z-]+) => \..*|\1 => \1 $staging|p" "$theirs"
		echo ")"
	} >"$file"
	go mod tidy -modfile="$file"
	echo "$file: Kubernetes $version, etcd $etcd"
done
