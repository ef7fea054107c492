#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run ./lab on another release of Debian, from nothing to a report, without installing it.
#
#   sudo bench/distributions.sh SUITE [WORD ...]     # e.g. trixie, trixie --provider libvirt
#
# Makes a tree of that release (mmdebstrap), enters it with mount and process namespaces of its own
# and runs `./lab WORD ...` of this commit there as root, then status, doctor and down --destroy.
# The network is this machine's; the tree and all that ran in it are gone afterwards.
# Prints what it ran, with versions and times; exit code 1 when something went wrong.
set -euo pipefail

suite=${1:?"which release? e.g. bench/distributions.sh trixie"}
shift
[ "$(id -u)" -eq 0 ] || { echo "only root may make the tree: use sudo" >&2; exit 1; }
bench=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d "${TMPDIR:-/var/tmp}/testbed-$suite.XXXXXX")
tree=$work/tree
trap 'rm -rf --one-file-system "$work"' EXIT

mmdebstrap --quiet --variant=minbase --include=ca-certificates "$suite" "$tree"
commit=$("$bench/put_into_tree.sh" "$tree" /root/testbed)
cat >"$tree/root/inside.sh" <<'END'
set -u
seen=/root/seen
. /root/testbed/bench/steps.sh
cd /root/testbed
step ./lab "$@"
step .venv/bin/testbed status
step .venv/bin/testbed doctor
[ -s results/latest/report.html ] || { echo "no report" >>"$seen"; failed=1; }
step .venv/bin/testbed down --destroy
versions
exit $failed
END

status=0
"$bench/enter_tree.sh" "$tree" bash /root/inside.sh "$@" || status=$?
echo
echo "./lab${*:+ $*} on $suite, $(date -u +%F), commit $commit:"
cat "$tree/root/seen" || status=1
exit $((status != 0))
