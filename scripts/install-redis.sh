#!/usr/bin/env bash
# Makes sure that redis-server is there, for the tests against a real Redis.
set -euo pipefail

if command -v redis-server >/dev/null; then
	exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "installing redis-server"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends redis-server >/dev/null
	exit 0
fi
echo "The tests need redis-server. Install it (Debian: apt-get install redis-server)," >&2
echo "or choose to leave out what needs it: make test SHORT=1" >&2
exit 1
