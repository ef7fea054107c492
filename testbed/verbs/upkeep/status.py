# SPDX-License-Identifier: Apache-2.0
"""`testbed status`: the two machines as libvirt knows them; the verb that is asked most often."""

from testbed.edge.computer.account import Account
from testbed.lab.machines.project import Project
from testbed.verbs.lab import Lab, print_json


def status(lab: Lab, *, as_json: bool) -> None:
    """Print the state of both machines and of the counting one, and what runs their CPUs."""
    project = Project(Account.current(), lab.checkout)
    states = project.states(project.domains)
    settings = (project.settings() or {}) if "running" in states.values() else {}
    accelerator = settings.get("accelerator")
    counting = "saved" if (project.path / "count/saved.json").exists() else "not created"
    if as_json:
        print_json({"machines": states, "counting": counting, "accelerator": accelerator})
        return
    for role, state in states.items():
        print(f"{role:<8} {state}")
    if counting != "not created":
        print(f"counting {counting}")
    if accelerator is not None:
        print(f"CPUs     {accelerator} ({settings.get('accelerator_reason', '?')})")
