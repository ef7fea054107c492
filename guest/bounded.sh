#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a command with bounds on what it takes, and ends it with all that it started:
#
#     sh bounded.sh NAME MEGABYTES COMMAND...
#
# The bounds are those of a control group of its own, NAME. A command that goes beyond one is killed;
# the last line of stderr then says which, and the exit status is 124. Else it is the command's own.
#
# Time is bounded by what the command does. A build takes 10 s of CPU time where two quiet cores
# emulate this machine, 30 s where they are busy; one that waits for ever takes none. `longest_s`
# counts from the command's own start, so that waiting for other builds is not part of it.
set -eu
root=${TESTBED_CGROUPS:-/sys/fs/cgroup}
group=$root/$1 megabytes=$2
shift 2
processes=256 # a kernel module takes 10
idle_s=${TESTBED_IDLE_S:-20} busy_s=150 longest_s=600

empty() {
	[ -e "$group" ] || return 0
	echo 1 > "$group/cgroup.kill"
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		rmdir "$group" 2> /dev/null && return 0
		sleep 0.1
	done
}

# Ends the group when it goes beyond a bound of time or processes; which is told by the exit status.
watch() {
	before=0 still=0 seconds=0 beyond=0
	while sleep 1; do
		seconds=$((seconds + 1))
		read -r _ used < "$group/cpu.stat"
		read -r _ refused < "$group/pids.events"
		still=$((still + 1))
		[ $((used - before)) -lt 50000 ] || still=0 # µs: a twentieth of a CPU
		before=$used
		[ "$seconds" -lt "$longest_s" ] || beyond=14
		[ "$still" -lt "$idle_s" ] || beyond=13
		[ "$used" -lt "${busy_s}000000" ] || beyond=12
		[ "$refused" -eq 0 ] || beyond=11
		[ "$beyond" -eq 0 ] || break
	done
	trap '' TERM
	echo 1 > "$group/cgroup.kill"
	exit "$beyond"
}

empty # a command that was killed may have left it
mkdir -p "$group"
echo "$processes" > "$group/pids.max"
echo "${megabytes}M" > "$group/memory.max"
echo 1 > "$group/memory.oom.group" # half of a build is no build
watch > /dev/null 2>&1 < /dev/null &
watcher=$!
status=0 beyond=0
(echo 0 > "$group/cgroup.procs" && exec "$@") || status=$?
kill "$watcher" 2> /dev/null || true
wait "$watcher" 2> /dev/null || beyond=$? # sh would say "Terminated"
killed=0
while read -r event times; do
	[ "$event" != oom_group_kill ] || killed=$times
done < "$group/memory.events"
empty || true

[ "$status" -ne 0 ] || exit 0
case $beyond in
11) why="it wanted more than $processes processes at once" ;;
12) why="it took more than $busy_s s of CPU time" ;;
13) why="it did nothing for $idle_s s" ;;
14) why="it did not end within $longest_s s" ;;
*) why= ;;
esac
[ "$killed" -eq 0 ] || why="it took more than $megabytes MB of memory"
[ -n "$why" ] || exit "$status"
echo "bounded: $why" >&2
exit 124
