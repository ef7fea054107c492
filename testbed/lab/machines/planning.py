# SPDX-License-Identifier: Apache-2.0
"""The work that `up` has to do, from what there is and what is wanted; and the provider for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.edge.hypervisor.libvirt import Domains
from testbed.edge.hypervisor.provider import Choice, Name, Provider, choose
from testbed.edge.hypervisor.states import RUNNING
from testbed.lab.machines import machines_json, reconcile
from testbed.lab.machines.accelerator import Accelerator
from testbed.lab.machines.box import Box
from testbed.lab.machines.project import ROLES, Project
from testbed.lab.machines.reconcile import Seen, Step
from testbed.lab.machines.taking_over import demand_ours, settled
from testbed.model.config import Config


@dataclass(frozen=True)
class Planning:
    """Where to look. `named` returns a provider; `problem` tells why Vagrant cannot be used."""

    config: Config
    project: Project
    domains: Domains
    private_key: Path
    named: Callable[[Name], Provider]
    problem: Callable[[], str | None]

    def plan(
        self, box: Box, chosen: Accelerator, stamp: Mapping[str, Any]
    ) -> tuple[list[Step], dict[str, Any]]:
        """Return the steps of `up`, and what the provider shall read in machines.json.

        Raises MachineError for a machine of our name that somebody else made, HostError where the
        provider that is asked for cannot be used.
        """
        states, wish = settled(self.domains), self.config.machines.provider
        old = self.project.settings()
        made_by = machines_json.provider_of(old) if old and states else None
        choice = choose(wish, made_by, self.problem)
        steps, wanted = self._steps(states, old, choice, box, chosen, stamp)
        if choice == made_by and any(step.action == "create" for step in steps):
            # One of a pair is lost: does what made it still work?
            still = choose(wish, None if choice.name == "vagrant" else made_by, self.problem)
            if still.name != choice.name:
                steps, wanted = self._steps(states, old, still, box, chosen, stamp)
        if steps:
            demand_ours(self.project, self.domains, states)
        return steps, wanted

    def _steps(
        self, states: Mapping[str, str], old: Mapping[str, Any] | None, choice: Choice, box: Box,
        chosen: Accelerator, stamp: Mapping[str, Any],
    ) -> tuple[list[Step], dict[str, Any]]:  # fmt: skip
        """Return the steps with a provider, and what it shall read."""
        taken = machines_json.taken(old, states) if old else frozenset()
        wanted = self._settings(box, chosen, choice, old if states and not taken else None)
        whole = all(states.get(role) == RUNNING for role in ROLES)
        names = self.domains.host_names(ROLES) if whole else {}
        disks = frozenset() if whole else self.domains.disks(ROLES)
        recorded = self.named(choice.name).recorded(states)
        current = self.project.is_prepared(stamp)
        seen = Seen(states, recorded, disks, old, taken, names, current)
        return reconcile.plan(seen, wanted), wanted

    def _settings(
        self, box: Box, chosen: Accelerator, choice: Choice, old: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Return what the provider shall read; ports are kept while the machines exist."""
        ports = old["ports"] if old else machines_json.free_ports()
        return {
            **machines_json.of_the_pair(self.config, self.project.path, ports),
            **machines_json.of_this_host(self.project.account, chosen),
            **machines_json.of_the_box(box, self.private_key),
            "prefix": self.domains.prefix,
            "provider": choice.name,
            "provider_reason": choice.reason,
            "command": self.named(choice.name).command(),
        }
