#!/usr/bin/env bash
# Builds one version of alertmanager and amtool from the Go module, into a folder:
# build-alertmanager.sh 0.35.0 [.tools/alertmanager-0.35.0]
#
# Since 0.32, the module does not contain the web pages that Alertmanager embeds, so
# `go install` fails. This script adds a stub page, and changes nothing else.
set -euo pipefail

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
	echo "usage: $0 VERSION [FOLDER]" >&2
	exit 2
fi
version=$1
folder=${2:-$(dirname "$0")/../.tools/alertmanager-$version}
module=github.com/prometheus/alertmanager

if [ -x "$folder/alertmanager" ] && [ -x "$folder/amtool" ]; then
	echo "Alertmanager $version is in $folder"
	exit 0
fi

mkdir -p "$(dirname "$folder")"
# Build in a temporary folder in the same place, so that the last step is one rename.
# Then an interrupted build is never mistaken for a complete one.
work=$(mktemp -d "$folder.building.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
work=$(cd "$work" && pwd)

echo "building Alertmanager $version from its Go module, which takes about a minute the first time"
# Build outside of our module, because our go.mod would choose the version. Ignore the
# workspace and the flags of the developer.
unset GOFLAGS
export GOWORK=off CGO_ENABLED=0
source_dir=$(cd "$work" && go mod download -json "$module@v$version" |
	sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
if [ ! -d "$source_dir" ]; then
	echo "cannot download $module@v$version" >&2
	exit 1
fi
cp -R "$source_dir" "$work/source"
chmod -R u+w "$work/source"

for page in ui/app/dist/index.html ui/mantine-ui/dist/index.html; do
	if [ ! -e "$work/source/$page" ] && [ -d "$work/source/$(dirname "$(dirname "$page")")" ]; then
		mkdir -p "$work/source/$(dirname "$page")"
		echo '<!DOCTYPE html><title>Alertmanager</title><p>This build of Alertmanager has no pages. Its API works.' \
			>"$work/source/$page"
	fi
done

mkdir "$work/bin"
(cd "$work/source" && go build -trimpath \
	-ldflags "-s -w -X github.com/prometheus/common/version.Version=$version" \
	-o "$work/bin/" ./cmd/alertmanager ./cmd/amtool)

# Another run may have created the folder meanwhile. Its content is the same.
rm -rf "$folder"
mv "$work/bin" "$folder"
echo "built $folder/alertmanager and $folder/amtool"
