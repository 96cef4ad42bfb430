#!/usr/bin/env bash
# Makes sure that a command which the tests need is there: install.sh COMMAND PACKAGE
set -euo pipefail
command=$1 package=$2

if command -v "$command" >/dev/null; then
	exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	echo "installing $package"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "$package" >/dev/null
	exit 0
fi
echo "The tests need $command. Install it (Debian: apt-get install $package)," >&2
echo "or choose to leave out what needs it: make test SHORT=1" >&2
exit 1
