# SPDX-License-Identifier: Apache-2.0
"""The output of virsh and its meaning; a pretended virsh keeps its domains in files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.libvirt import Domains, for_each
from testbed.lab.machines import processes
from testbed.lab.machines.leftovers import machine_processes, remains, saved_states
from testbed.lab.machines.processes import Process
from testbed.model.errors import HostError, MachineError

VIRSH = """
shift 3; echo "$@" >> {log}
case "$1" in
list) cat {folder}/list ;;
pool-list) echo testbed ;;
vol-list) printf '%s\\n' 'tb1-client.img  /pool/tb1-client.img' \\
    'tb2-client.img  /pool/tb2-client.img' ;;
qemu-agent-command) cat {folder}/said ;;
managedsave) echo "error: disk full" >&2; exit 1 ;;
*) : ;;
esac
"""
LIST = """\
 7   tb1-client        running
 -   tb1-server        saved
 8   tb2-client        running
 -   another           shut off
"""


@pytest.fixture
def domains(
    account: Account, tmp_path: Path, tool: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch, real_virsh: Callable[..., str],
) -> Domains:  # fmt: skip
    """Domains of the project tb1, of which virsh tells."""
    monkeypatch.setattr(Domains, "_virsh", real_virsh)
    tool("virsh", VIRSH.format(log=tmp_path / "log", folder=tmp_path))
    (tmp_path / "list").write_text(LIST)
    return Domains(account, "tb1-")


def asked(tmp_path: Path) -> list[str]:
    return (tmp_path / "log").read_text().splitlines()


def test_states_are_of_this_project_alone(domains: Domains, tmp_path: Path) -> None:
    assert domains.states() == {"client": "running", "server": "saved"}
    assert asked(tmp_path) == ["list --all --managed-save"]  # one call: `status` has to be quick


def test_states_of_two_words(domains: Domains, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(" -   tb1-client   shut off\n 9   tb1-server   in shutdown\n")
    assert domains.states() == {"client": "shut off", "server": "in shutdown"}


GERMAN = """
case "${{LANGUAGE:-${{LC_ALL:-$LANG}}}}" in C*) on=running ;; *) on=laufend ;; esac
echo " 7   tb1-client   $on"; echo " 8   tb1-server   $on"
"""


@pytest.mark.parametrize("name", ["LANG", "LC_ALL", "LC_MESSAGES", "LANGUAGE"])
def test_virsh_speaks_english_whatever_the_users_language(
    domains: Domains, tool: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    tool("virsh", GERMAN.format())
    monkeypatch.setenv(name, "de_DE.UTF-8")
    assert domains.states() == {"client": "running", "server": "running"}


@pytest.mark.parametrize("state", ["laufend", "dreaming", "running away"])
def test_an_unknown_state_is_shown_and_never_taken_for_not_running(
    domains: Domains, tmp_path: Path, state: str
) -> None:
    (tmp_path / "list").write_text(f" 7   tb1-client   {state}\n -   other   {state}\n")
    with pytest.raises(MachineError) as caught:
        domains.states()
    assert caught.value.message == (
        f"libvirt calls the state of tb1-client '{state}', which is not known here"
    )


def test_a_state_of_somebody_elses_machine_does_not_matter(
    domains: Domains, tmp_path: Path
) -> None:
    (tmp_path / "list").write_text(" -   mine   dreaming\n\n 7   tb1-client   running\n")
    assert domains.states() == {"client": "running"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('{"return":{"host-name":"server"}}', "server"),
        ('{"error":{"class":"GenericError"}}', None),
        ("", None),
        ("[]", None),
    ],
)
def test_host_name(domains: Domains, tmp_path: Path, said: str, expected: str | None) -> None:
    (tmp_path / "said").write_text(said)
    assert domains.host_name("server") == expected


def test_removing_takes_everything_of_the_role_and_nothing_else(
    domains: Domains, tmp_path: Path
) -> None:
    domains.remove("client")
    words = [line for line in asked(tmp_path) if line.split()[0] not in ("list", "pool-list")]
    assert words == [
        "destroy tb1-client", "undefine --managed-save --snapshots-metadata tb1-client",
        "vol-list testbed", "vol-delete tb1-client.img --pool testbed",
    ]  # fmt: skip
    (tmp_path / "log").unlink()
    domains.remove("server")
    assert not [line for line in asked(tmp_path) if line.startswith("destroy")]


def test_what_cannot_be_done_is_said_in_libvirts_words(domains: Domains) -> None:
    with pytest.raises(MachineError) as caught:
        for_each(["client"], "save", domains)
    assert caught.value.message == "the client could not be saved"
    assert caught.value.detail == "error: disk full"
    with pytest.raises(HostError):
        domains.save("client")


def test_what_remains_is_named(domains: Domains, account: Account, tmp_path: Path) -> None:
    saves = account.home / ".config/libvirt/qemu/save"
    saves.mkdir(parents=True)
    (saves / "tb1-server.save").touch()
    (saves / "tb2-server.save").touch()
    project = tmp_path / "project"
    assert saved_states(account, "tb1-") == [saves / "tb1-server.save"]
    assert remains(account, domains, project, None) == [
        "domain tb1-client (running)", "domain tb1-server (saved)", "disk tb1-client.img",
        f"saved state {saves}/tb1-server.save",
    ]  # fmt: skip
    project.mkdir()
    assert remains(account, domains, project, None)[-1] == f"folder {project}"


def test_processes_are_found_by_the_name_of_the_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = {
        12: ("qemu", "-name", "guest=tb1-client,debug-threads=on"),
        13: ("qemu", "-name", "guest=tb2-client"),
        14: ("qemu", "-drive", "file=tb1-client.img"),
    }
    running = [Process(pid, 1, "qemu", words, 1, 1) for pid, words in commands.items()]
    monkeypatch.setattr(processes, "machines", lambda: running)
    assert machine_processes("tb1-") == {12: "tb1-client"}
