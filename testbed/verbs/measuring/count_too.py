# SPDX-License-Identifier: Apache-2.0
"""The exact count of a run of trials: the same arms, counted when the last trial is done.

A run's trials never depend on it. Where nothing can be counted, the run has the reason instead.
"""

import shutil

from testbed.edge.output import journal
from testbed.lab.counting.arm import PACKETS
from testbed.lab.experiment.recording import Recording
from testbed.lab.guests.deploy import Wanted
from testbed.model import count_files
from testbed.model.errors import HostError, TestbedError
from testbed.model.run_files import LOG
from testbed.verbs.lab import Lab
from testbed.verbs.measuring.count import gate_of, record_of

INTERRUPTED, BUG = "it was interrupted", "the testbed failed at it"


def count_too(lab: Lab, recording: Recording, wanted: Wanted) -> None:
    """Count a run's arms into its `count/`, or write there why they were not counted.

    Controls are left out: they show the noise of a clock, and a count has none. The gate was this
    run's own. Where counting is impossible, the reason is said and recorded, and is no error.
    """
    run_dir, counted = recording.run_dir, [arm for arm in recording.arms if arm.control is None]
    folder = run_dir.path / count_files.FOLDER
    payload = lab.config.bench.payload_bytes
    shutil.rmtree(folder, ignore_errors=True)  # of a command that was killed while it counted
    why, hint = INTERRUPTED, "`testbed count` counts the same arms"
    try:
        if lab.machines.boxes.find() is None:
            raise HostError("the box of today's recipe is not built", hint="`testbed up` builds it")
        gate = gate_of(run_dir, counted)
        record_of(lab, wanted, counted, [payload], PACKETS, run_dir, gate=gate)
        why = ""
    except TestbedError as error:
        why, hint = error.message, error.hint
        if error.detail:  # which a hint calls "above", and here it is in the log alone
            journal.note(error.detail)
            rest = f"the words of what failed are in the run's {LOG}"
            hint = rest if "above" in hint or not hint else f"{hint}; {rest}"
        what = f": {hint}" if hint else ""
        lab.terminal.warn(f"no exact count ({why}){what}. The trials are whole without it")
    except Exception:
        why = BUG
        raise
    finally:
        if why:
            shutil.rmtree(folder, ignore_errors=True)
            facts = {
                "schema": count_files.SCHEMA, "arms": [arm.name for arm in counted],
                "payloads": [payload], "packets": PACKETS,
                count_files.NOT_COUNTED: {"why": why, "hint": hint},
            }  # fmt: skip
            run_dir.write_json(f"{count_files.FOLDER}/{count_files.INDEX}", facts)
        if why == INTERRUPTED:
            lab.terminal.warn("no exact count: interrupted. `testbed report` has the trials, whole")
