# SPDX-License-Identifier: Apache-2.0
"""`testbed doctor --orphans`: what earlier crashes and deleted checkouts left, and away with it."""

from testbed.edge.computer.account import Account
from testbed.lab.orphans import inventory, orphans
from testbed.lab.orphans.orphans import Orphan
from testbed.lab.orphans.removal import Removal
from testbed.model.errors import ExitCode, TestbedError
from testbed.verbs.lab import Lab, print_json


def clear_away(lab: Lab, *, remove: bool, as_json: bool) -> ExitCode:
    """Print what nobody owns any more; with `remove`, remove it. HOST when some of it stays.

    Raises HostError when libvirt does not answer, since then nobody knows what is in use.
    """
    account = Account.current()
    with lab.terminal.step("looking for leftovers", expect_s=0.5):
        there = inventory.take(account)
        removal = Removal.of(account)
    found = orphans.find(there)
    rows = []
    for orphan in found:
        row = {
            "kind": orphan.kind,
            "name": orphan.name,
            "why": orphan.why,
            "command": removal.command(orphan),
            "removed": False,
        }
        error = _remove(removal, orphan) if remove else ""
        row |= {"removed": remove and not error, "error": error}
        if not as_json:
            _print(row)
        rows.append(row)
    unknown = [str(project.folder) for project in orphans.unknown(there)]
    if as_json:
        print_json({"orphans": rows, "unknown": unknown})
    failed = sum(bool(row["error"]) for row in rows)
    _say_rest(lab, len(rows), failed, unknown, remove=remove)
    return ExitCode.HOST if failed else ExitCode.OK


def _remove(removal: Removal, orphan: Orphan) -> str:
    """Remove it; return what went wrong, empty when nothing did."""
    try:
        removal.remove(orphan)
    except TestbedError as error:
        return "; ".join([error.message, *error.detail.splitlines()[-1:]])
    return ""


def _print(row: dict[str, object]) -> None:
    done = "removed " if row["removed"] else "not removed: " if row["error"] else ""
    print(f"{done}{row['kind']} {row['name']}: {row['why']}")
    if row["error"]:
        print(f"  {row['error']}")
    if not row["removed"]:
        print(f"  → {row['command']}")


def _say_rest(lab: Lab, count: int, failed: int, unknown: list[str], *, remove: bool) -> None:
    """Say what is to be said beside the list."""
    say = lab.terminal.say
    if not count:
        say("nothing left by earlier crashes or deleted checkouts")
    elif failed:
        say(f"{failed} of {count} could not be removed; the commands above show why")
    elif not remove:
        say("`testbed doctor --orphans --remove` removes all of it")
    if unknown:
        folder = unknown[0].rpartition("/")[0]
        say(
            f"left alone, not saying whose they are: {len(unknown)} of the folders in {folder}; "
            "`testbed up` in a checkout records it"
        )
