#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Takes what was made of the same sources for the same kernel when the box was built, or builds:
#
#     sh made.sh STAMP FOLDER COMMAND...
#
# STAMP is a hash over the sources; FOLDER holds them, and then what the build leaves.
set -eu
made=/opt/testbed/made/$(uname -r)/$1 folder=$2
shift 2
if [ -d "$made" ]; then
	exec cp -a "$made/." "$folder"
fi
exec "$@"
