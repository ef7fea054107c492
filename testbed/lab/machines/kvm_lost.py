# SPDX-License-Identifier: Apache-2.0
"""KVM that worked when it was tried, and does not when the machines boot.

The answer of a trial is kept until this computer boots (`accelerator`). Meanwhile another
hypervisor may take the CPU. Its refusal is not the machines' fault: the answer is forgotten, KVM is
tried again, and the machines come up emulated where that is allowed.
"""

from collections.abc import Callable

from testbed.edge.hypervisor.kvm_words import kvm_failure
from testbed.lab.machines import accelerator
from testbed.lab.machines.box import Box
from testbed.lab.machines.machines import Machines
from testbed.model.errors import MachineError


def retried(machines: Machines, attempt: Callable[[], None]) -> None:
    """Run `attempt`, which brings the machines up; again where KVM was refused, twice at most.

    Before the second time KVM is tried; before the third, the machines' refusal counts for more
    than a trial that succeeded. Raises what `attempt` raises, and HostError when KVM is demanded
    and a trial finds that it does not work any more.
    """
    is_second = False
    while True:
        try:
            attempt()
            return
        except MachineError as error:
            refusal = kvm_failure(f"{error.message}\n{error.detail}")
            box = machines.boxes.find()
            if refusal is None or box is None:
                raise
            if (since := accelerator.forget(machines.account, box)) is None:
                raise  # nothing was remembered to be wrong: the machines were not on KVM
            if is_second and machines.config.machines.accelerator == "kvm":
                raise
            if is_second:
                why = (
                    f"a trial kernel boots on {accelerator.DEVICE}, the machines do not: {refusal}"
                )
                accelerator.remember(machines.account, box, why)
                machines.terminal.warn(accelerator.emulating(why))
            else:
                machines.terminal.warn(f"KVM worked on {since} and does not now: {refusal}")
                _try_again(machines, box)
            is_second = True


def _try_again(machines: Machines, box: Box) -> None:
    """Try KVM, and say what follows. Raises HostError as `accelerator.choose`."""
    with machines.terminal.step("try KVM again", expect_s=1):
        chosen = accelerator.choose(machines.config.machines.accelerator, machines.account, box)
    if chosen.name == "emulation":
        machines.terminal.warn(accelerator.emulating(chosen.reason))
    else:
        machines.terminal.say(f"KVM works again: {chosen.reason}")
