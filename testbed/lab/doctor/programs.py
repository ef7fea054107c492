# SPDX-License-Identifier: Apache-2.0
"""Programs on this computer: which are there, what they say of themselves, what they may do."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.edge.hypervisor import provider
from testbed.edge.hypervisor.vagrant import Vagrant
from testbed.lab.counting import plugin
from testbed.lab.doctor import software
from testbed.lab.doctor.diagnosis import Diagnosis
from testbed.lab.doctor.software import Tool
from testbed.lab.doctor.survey import NoAccount, Surroundings, slow
from testbed.lab.machines import image
from testbed.model.errors import HostError, TooSlow

LIMIT_S = 10.0
PLUGIN = "vagrant-libvirt"
DISTRIBUTIONS = Path("/usr/share/vagrant-plugins/plugins.d") / f"{PLUGIN}.json"
"""Where the distribution's package tells Vagrant of the plugin."""


def tools(at: Surroundings) -> list[Diagnosis]:
    """Look at everything that `./lab` installs."""
    wanted = at.config.machines.provider
    with ThreadPoolExecutor() as pool:
        trial = pool.submit(_provider, at)
        said = dict(zip(software.TOOLS, pool.map(_version, software.TOOLS), strict=True))
    found = []
    for tool, words in said.items():
        if tool.name == "vagrant":
            made_by = trial.result()
            found.append(made_by)
            if wanted == "libvirt" or (wanted == "auto" and words is None):
                continue  # nothing needs it
        if isinstance(words, TooSlow):
            found.append(slow(tool.name, words))
        else:
            found.append(software.tool(tool, words))
        if tool.name == "vagrant" and (wanted == "vagrant" or made_by.level == "ok"):
            found.append(software.plugin(_plugin(at)))
        elif tool.name == "qemu" and isinstance(words, str):
            nic = at.config.machines.nic_model
            found += [software.nic_model(nic, software.version_in(words)), _counting(at)]
        elif tool.name == "libvirt":
            found.append(software.daemon([name for name in software.DAEMONS if _path(name)]))
    missing = {name: package for name, package in software.SMALL_TOOLS.items() if not _path(name)}
    files = [str(path) for path in (image.MBR_CODE, image.KEYRING) if not path.exists()]
    return [*found, software.small_tools(missing, files)]


def _provider(at: Surroundings) -> Diagnosis:
    """Find out what would make machines here, and let Vagrant load its plugin where that decides.

    Nothing is made: Vagrant gets a home to throw away where it has none.
    """
    try:
        vagrant = Vagrant(at.account, at.account.project_dir(at.checkout))
        problem = partial(vagrant.problem, LIMIT_S)
        choice = provider.choose(at.config.machines.provider, None, problem)
    except NoAccount as error:
        return Diagnosis("provider", "note", f"not looked at: {error.message}", "`./lab setup`")
    except HostError as error:
        return software.no_provider(error.message)
    return software.provider(choice.name, choice.reason, installed=_path("vagrant") is not None)


def _counting(at: Surroundings) -> Diagnosis:
    """Ask QEMU for its plugin interface, by trying."""
    try:
        return software.counting(plugin.ask(at.account, at.checkout), "")
    except HostError as error:
        return software.counting(None, error.message)
    except OSError as error:
        return software.counting(None, f"the counter cannot be built: {error}")


def _version(tool: Tool) -> str | TooSlow | None:
    """Return what a tool says of its version, None where it is not installed."""
    path = _path(tool.command[0])
    if path is None:
        return None
    try:
        done = host.run([path, *tool.command[1:]], timeout_s=LIMIT_S, check=False)
    except TooSlow as error:
        return error
    return done.stdout + done.stderr


def _path(tool: str) -> str | None:
    try:
        return host.find(tool, package="")
    except HostError:
        return None


def _plugin(at: Surroundings) -> str | None:
    """Return what is written about the version of Vagrant's libvirt plugin, None without one.

    Vagrant itself is not asked: it would make its home where there is none.
    """
    if DISTRIBUTIONS.exists():
        query = _path("dpkg-query")
        argv = [query or "", "-W", "-f", "${Version}", PLUGIN]
        return host.run(argv, timeout_s=LIMIT_S, check=False).stdout if query else ""
    try:
        text = (at.account.data_dir / "vagrant.d/plugins.json").read_text()
        plugin = json.loads(text)["installed"][PLUGIN]
    except (NoAccount, FileNotFoundError, ValueError, LookupError, TypeError):
        return None
    return str(plugin.get("installed_gem_version") or plugin.get("gem_version") or "")


def refused_namespace(account: Account) -> str | None:
    """Return why mmdebstrap gets no user namespace, None where it gets one: by trying."""
    helper = host.find("mmdebstrap", package="mmdebstrap")
    argv = account.command([helper, "--unshare-helper", "true"])
    done = host.run(
        argv, environment=account.environment(), timeout_s=LIMIT_S, check=False, cwd=Path("/")
    )
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    # The last ones only say that the others stopped it.
    return next((line for line in lines if "failed" in line), lines[-1]).replace("E: ", "")


def may_write(account: Account, folder: Path) -> bool:
    """Whether the account may make files in a folder."""
    test = account.command(["test", "-w", str(folder), "-a", "-x", str(folder)])
    return host.run(test, check=False, timeout_s=LIMIT_S).returncode == 0


def i_may_write(folder: Path) -> bool:
    """Whether whoever runs this may make files in a folder."""
    return os.access(folder, os.W_OK | os.X_OK)
