#!/usr/bin/env bash
# Builds the release archives into dist/ and writes plugins.yaml from them.
# Usage: dist.sh VERSION. The same commit and Go version give the same archives
# byte for byte.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$1
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+ ]] || { echo "dist: version $version: want vMAJOR.MINOR.PATCH, set VERSION" >&2; exit 2; }
rm -rf dist
mkdir -p dist/build

{
	sed '/^  platforms:/q' plugins.yaml | sed "s/^  version: .*/  version: $version/"
	for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do
		os=${platform%/*} arch=${platform#*/}
		echo "building $platform" >&2
		CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=false -tags disable_grpc_modules \
			-ldflags "-s -w -buildid= -X github.com/fluxjob/kubectl-fluxjob/pkg/cmd.Version=$version" \
			-o dist/build/kubectl-fluxjob ./cmd/kubectl-fluxjob
		cp LICENSE dist/build/
		archive=kubectl-fluxjob_${version}_${os}_${arch}.tar.gz
		tar -C dist/build --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime=@0 -cf - . | gzip -n -9 >"dist/$archive"
		sum=$(sha256sum "dist/$archive" | cut -d' ' -f1)
		echo "$sum  $archive" >>dist/checksums.txt
		cat <<-YAML
		    - selector:
		        matchLabels:
		          os: $os
		          arch: $arch
		      uri: https://github.com/fluxjob/kubectl-fluxjob/releases/download/$version/$archive
		      sha256: $sum
		      bin: kubectl-fluxjob
		YAML
	done
} >dist/plugins.yaml
rm -rf dist/build
cp dist/plugins.yaml plugins.yaml
