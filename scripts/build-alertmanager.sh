#!/usr/bin/env bash
# Builds alertmanager and amtool of one version from the Go module, into a
# folder: build-alertmanager.sh 0.35.0 [.tools/alertmanager-0.35.0]
#
# Since 0.32 the module lacks the web pages that Alertmanager embeds, so that
# `go install` fails; a stub page takes their place. Nothing else is changed.
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
# Beside the folder, so that the last step is one rename: an interrupted build
# leaves nothing that looks like a whole one.
work=$(mktemp -d "$folder.building.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
work=$(cd "$work" && pwd)

echo "building Alertmanager $version from its Go module, once, in about a minute"
# Outside of our module, whose go.mod would choose the version; and with no
# workspace or flag that a developer may have set for others.
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
		echo '<!DOCTYPE html><title>Alertmanager</title><p>This build of Alertmanager has no pages, its API works.' \
			>"$work/source/$page"
	fi
done

mkdir "$work/bin"
(cd "$work/source" && go build -trimpath \
	-ldflags "-s -w -X github.com/prometheus/common/version.Version=$version" \
	-o "$work/bin/" ./cmd/alertmanager ./cmd/amtool)

# Another run may have been faster, its result is as good.
rm -rf "$folder"
mv "$work/bin" "$folder"
echo "built $folder/alertmanager and $folder/amtool"
