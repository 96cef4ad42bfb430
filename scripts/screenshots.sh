#!/usr/bin/env bash
# Takes the screenshots in docs/screenshots with `muster --demo`.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=$(mktemp -d)
./muster --demo --web.listen-address=127.0.0.1:9195 2>/dev/null &
muster=$!
trap 'kill $muster; rm -rf "$profile"' EXIT

until curl -sf -o /dev/null http://127.0.0.1:9195/-/ready; do sleep 0.1; done
echo "waiting one minute for the story of the demo"
sleep 65
group=$(curl -s 'http://127.0.0.1:9195/api/v1/groups?limit=1' | sed 's/.*"groups":\[{"id":"\([0-9a-f]*\)".*/\1/')

picture() { # NAME SCHEME WIDTH HEIGHT PATH; the scheme is 0 for dark, 1 for light
	chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
		--disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$profile/$1" \
		--blink-settings=preferredColorScheme="$2" --window-size="$3,$4" \
		--screenshot="docs/screenshots/$1.png" "http://127.0.0.1:9195$5" 2>/dev/null
}
mkdir -p docs/screenshots
picture groups-light 1 1200 760 /
picture groups-dark 0 1200 760 /
picture group-light 1 1200 900 "/groups/$group"
picture group-dark 0 1200 900 "/groups/$group"
ls -l docs/screenshots
