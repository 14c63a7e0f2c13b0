"""Run code that nobody has read: a student's, a model's, an agent's.

    outcome = sandbox.run(["python3", "-c", code], stdin=b"3 4", limits=Limits(seconds=5))
    outcome.status, outcome.stdout          # "ended", b"7\\n"

It sees the system's programs, the Python it runs on and what `readable` names, all read-only; a
scratch folder /tmp of its own; no network, no other process, no file of yours. Limits hold on
time, memory, processes, output and disk. What comes back is a status and bytes.

The box is made by bubblewrap where that is installed, else by hand from the same parts of Linux
(namespaces, another user, resource limits). Where neither works, nothing runs: UserError.
"""

from minimodels.sandbox.box import Box, engine
from minimodels.sandbox.limits import Limits, Outcome
from minimodels.sandbox.run import run

__all__ = ["Box", "Limits", "Outcome", "engine", "run"]
