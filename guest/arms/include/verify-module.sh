#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# usage: verify-module.sh MODULE PARAMETER=VALUE...
# Prove that MODULE is live with exactly these parameters; print what was found
# as JSON. A live module has its hook: registering it is what loading does.
set -eu

complain() {
	echo "verify-module: $*" >&2
	exit 1
}

# `read` starts no process, as `cat` would: that takes most of the time here.
module=$1
shift
state=/sys/module/$module
initstate=
[ ! -e "$state/initstate" ] || read -r initstate < "$state/initstate"
[ "$initstate" = live ] || complain "$module is not loaded"

facts="\"mode\": \"module\", \"module\": \"$module\""
for wanted in "$@"; do
	name=${wanted%%=*}
	read -r value < "$state/parameters/$name" || complain "$module has no $name"
	[ "$value" = "${wanted#*=}" ] || complain "$module has $name=$value, not $wanted"
	facts="$facts, \"$name\": \"$value\""
done
printf '{%s}\n' "$facts"
