# SPDX-License-Identifier: Apache-2.0
"""The project's own arms, to be built while the box is: natively, by the box's own compiler.

A guest without KVM takes half a minute for a kernel module. It finds these by the hash of their
sources, so an arm that was edited since is built in the guest, as those of users always are.
"""

import gzip
import shlex
from pathlib import Path

from testbed.edge.files.sources import Source, tar_of
from testbed.lab.guests.deploy import Wanted, placed
from testbed.model import arm as arm_manifest

LISTED = "arms.txt"


def own_arms(checkout: Path) -> bytes:
    """Return a tar for /opt/testbed: guest/arms with all sources, and the list arms.txt.

    A line of the list: an arm's folder, the stamp of its sources, and the shell line that builds
    it. Arms without a build, or whose build depends on the addresses, are not in it.
    """
    folder = checkout / "guest/arms"
    arms = arm_manifest.choose(folder, arm_manifest.known(folder))
    wanted = Wanted.read(checkout, arms)
    stamps = wanted.stamps()
    files, lines = dict(wanted.shared), []
    for name, (arm, own) in wanted.arms.items():
        commands = arm.commands.build
        if commands and not any("{" in word for argv in commands for word in argv):
            files |= placed(name, own)
            lines.append(f"{name} {stamps[name]} {' && '.join(map(shlex.join, commands))}\n")
    placed_files = {f"guest/{path}": source for path, source in files.items()}
    listed = Source("".join(lines).encode())
    # What unpacks it reads from a pipe, where tar does not find out about a compression.
    return gzip.decompress(tar_of({**placed_files, LISTED: listed}))
