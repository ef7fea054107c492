#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Put this commit into a tree that mmdebstrap made, and print its name.
#
#   bench/put_into_tree.sh TREE FOLDER     # FOLDER is made, inside TREE
set -euo pipefail
tree=$1 folder=$2
checkout=$(dirname "$(dirname "$(readlink -f "$0")")")
commit=$(git -C "$checkout" rev-parse --short HEAD)
mkdir "$tree$folder"
git -C "$checkout" archive "$commit" | tar -x -C "$tree$folder"
# How this machine reaches its mirrors.
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs /etc/apt/apt.conf.d; do
    [ ! -e $file ] || cp -aLT --remove-destination $file "$tree$file"
done
echo "$commit"
