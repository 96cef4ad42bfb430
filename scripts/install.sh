#!/usr/bin/env bash
# Installs a command that the tests need, if it is missing: install.sh COMMAND PACKAGE
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
echo "or skip the tests that need it: make test SHORT=1" >&2
exit 1
