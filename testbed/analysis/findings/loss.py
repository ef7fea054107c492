# SPDX-License-Identifier: Apache-2.0
"""Where a trial's packets were lost, as far as counters tell."""

from testbed.analysis.formats.proc_files import difference
from testbed.analysis.reading.records import Trial
from testbed.analysis.reading.trial_records import Network


def lost_where(trial: Trial) -> str:
    """Before or after the hook, as far as its counter tells; control datagrams count as sent."""
    if trial.client is None or trial.server is None or trial.hook_hits is None:
        return ""
    missing = trial.client.offered - trial.server.unique
    before = trial.client.offered + trial.client.control_sent - trial.hook_hits
    if missing <= 0 or before < 0:
        return ""
    if before >= missing:
        return ", the rest never reached the hook"
    return (
        f", {before:,} of the rest never reached the hook"
        if before
        else ", the rest was lost after the hook"
    )


def socket_drops(trial: Trial) -> int | None:
    """The socket's drops less those for a wrong checksum, which the kernel counts there too."""
    drops = trial.server.socket_drops if trial.server else None
    return drops and max(0, drops - (counted(trial, "UdpInCsumErrors") or 0))


def counted(trial: Trial, name: str) -> int | None:
    """How far a UDP counter moved over the trial, in both namespaces together.

    The server's namespaces count separately. A namespace that only one snapshot has makes the
    sum unknown.
    """
    if trial.before is None or trial.after is None:
        return None
    return _sum_of_differences(trial.before, trial.after, name)


def _sum_of_differences(before: Network, after: Network, name: str) -> int | None:
    total = 0
    for space in before.snmp.keys() | after.snmp.keys():
        moved = difference(before.snmp.get(space, {}), after.snmp.get(space, {})).get(name)
        if moved is None:
            return None
        total += moved
    return total if before.snmp and after.snmp else None
