# SPDX-License-Identifier: Apache-2.0
"""GRO on the server's NIC, as the configuration wants it for as long as a command lasts.

While a generic XDP program is attached, the kernel leaves GRO out on that NIC (netif_elide_gro()
in net/core/dev.c); the other arms go through it. `[bench] gro = false` switches it off for all of
them alike. veth has it off unless somebody switches it on (veth_disable_gro(), Linux 5.13).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from testbed.edge.guests.guest import Guest
from testbed.edge.output.uninterrupted import uninterrupted
from testbed.model.config import Config
from testbed.model.errors import TestbedError
from testbed.model.nic import INTERFACE


@contextmanager
def gro_as_configured(server: Guest, config: Config) -> Iterator[None]:
    """Switch GRO off where the configuration says so, and on again at the end, also after Ctrl-C.

    After a kill the next command's setup/server.sh switches it on. Raises GuestError with
    ethtool's words when it cannot be switched; an earlier failure goes before that one.
    """
    if config.bench.gro:
        yield
        return
    try:
        _switch(server, "off")
        yield
    except BaseException:
        with suppress(TestbedError):
            _switch(server, "on")
        raise
    _switch(server, "on")


def _switch(server: Guest, to: str) -> None:
    with uninterrupted():
        server.run(["ethtool", "-K", INTERFACE, "gro", to])
