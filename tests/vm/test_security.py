# SPDX-License-Identifier: Apache-2.0
"""The promises of docs/security.md, tried on real machines."""

import subprocess
from pathlib import Path

import pytest

from testbed.lab.machines.leftovers import machine_processes

from .conftest import Testbed, read_json

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
LOOPBACK = "0100007F"  # 127.0.0.1 in /proc/net: hexadecimal, in the host's byte order
LISTEN = "0A"


def sockets_of(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    folder = Path(f"/proc/{pid}/fd")
    targets = [str(path.readlink()) for path in folder.iterdir()]
    return {t.removeprefix("socket:[").rstrip("]") for t in targets if t.startswith("socket:[")}


def test_nothing_listens_beyond_loopback(testbed: Testbed) -> None:
    """Only real processes have sockets.

    Neither of the machines' has a TCP or UDP socket at another address.
    """
    processes = machine_processes(testbed.prefix)
    assert len(processes) == 2
    for pid in processes:
        mine, found = sockets_of(pid), []
        for table in ("tcp", "tcp6", "udp", "udp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[9] in mine:
                    found.append((table, fields[1].partition(":")[0], fields[3]))
        assert {address for _, address, _ in found} == {LOOPBACK}
        assert ("tcp", LOOPBACK, LISTEN) in found  # the way to the guest's sshd
        assert [table for table, _, _ in found].count("udp") >= 1  # the private link


def ssh(testbed: Testbed, *options: str) -> str:
    """Try to get into the server; return what ssh said of it."""
    settings = read_json(testbed.checkout / ".testbed/machines.json")
    port = str(settings["machines"]["server"]["ssh_port"])
    done = subprocess.run(
        ["ssh", "-F", "none", "-p", port, "-o", "StrictHostKeyChecking=no", "-o",
         "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", *options,
         "root@127.0.0.1", "echo inside"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_only_the_key_of_this_machine_opens_a_guest(testbed: Testbed, tmp_path: Path) -> None:
    """Only a real sshd turns other keys away."""
    settings = read_json(testbed.checkout / ".testbed/machines.json")
    key = Path(settings["private_key"])
    assert key.stat().st_mode & 0o777 == 0o600
    only = ("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none")
    assert ssh(testbed, *only, "-i", str(key)) == "inside\n"
    # No password, no keyboard, no host: the guest offers nothing but a key.
    assert "Permission denied (publickey)." in ssh(testbed, "-o", "PubkeyAuthentication=no")
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    assert "Permission denied (publickey)." in ssh(testbed, *only, "-i", str(other))


def test_vagrants_well_known_key_opens_nothing(testbed: Testbed) -> None:
    """Only a real guest tells which keys its setup left in it."""
    role = "cat /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys 2>/dev/null"
    keys = [line for line in testbed.guest("server", role).splitlines() if line.strip()]
    assert keys
    assert all(line.split()[-1] == "testbed" for line in keys)
    assert "vagrant insecure" not in " ".join(keys)


def test_machines_run_without_roots_rights(testbed: Testbed) -> None:
    """Only real processes have rights."""
    for pid in machine_processes(testbed.prefix):
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        fields = {line.partition(":")[0]: line.split()[1:] for line in status}
        assert "0" not in fields["Uid"]
        assert int(fields["CapEff"][0], 16) == 0
