# SPDX-License-Identifier: Apache-2.0
"""`bench --until-precise`: a plan grows, two blocks at a time, until its ratio is known closely."""

from dataclasses import dataclass
from typing import Any

from testbed.lab.experiment.recording import Recording
from testbed.lab.experiment.trials import Grow
from testbed.model.plan import Plan
from testbed.verbs.lab import Lab


@dataclass(frozen=True)
class Precision:
    """When `--until-precise` stops: at this half-width of the ratio's interval, as a share."""

    target: float
    at_least: int
    at_most: int

    def as_json(self) -> dict[str, Any]:
        """Return what plan.json holds."""
        return {"target": self.target, "min_blocks": self.at_least, "max_blocks": self.at_most}


def grower(lab: Lab, recording: Recording, precision: Precision | None) -> Grow:
    """Return what lengthens a plan, two blocks at a time, until the ratio is known well enough."""

    def grow(plan: Plan) -> Plan:
        if precision is None or len(plan.blocks) >= precision.at_most:
            return plan
        from testbed.analysis.conclusions.until_precise import hopeless, reached

        if why := hopeless(recording.run_dir.path):
            lab.terminal.warn(f"no further block is measured: {why}")
            return plan
        enough, half_width = reached(recording.run_dir.path, precision.target)
        if enough:
            return plan
        longer = plan.longer(min(len(plan.blocks) + 2, precision.at_most))
        wide = "not known" if half_width is None else f"± {half_width * 100:.1f} %"
        why = f"wanted ± {precision.target * 100:g} %"
        if half_width is not None and half_width <= precision.target:
            why = "narrow enough, and to be confirmed by three more blocks"
        lab.terminal.say(
            f"after {len(plan.blocks)} blocks the interval is {wide}; {why}: "
            f"on to {len(longer.blocks)}"
        )
        recording.write_plan(longer)
        return longer

    return grow
