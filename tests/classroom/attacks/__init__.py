"""Attacks on the judge: what somebody hands in instead of an answer.

Each takes the place of the answer to the task `scale` of the toy lab (the borrowing ones that of
`attention` in the attention lab), and must get 0 points there, while the honest answers beside it
keep theirs. Success would show: what an attack has read or done it raises as an error, SUCCESS.

These words in a cell are replaced: PLACES by a list of files that nobody may read, TARGET by a
file that nobody may write, PORT by the port of a server that listens on this machine, VICTIM by
the number of a process that must live, SECRET by the name of an environment variable.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Attack:
    """One attack, and what must become of it."""

    name: str
    cell: str
    status: str = "invalid"  # what the task is called; several, separated by |
    says: str = ""  # a part of the message
    loses_all: bool = False  # whether it takes the honest answers of its own notebook along
    wins_openly: bool = False  # whether it gets out where there is no box: a control
    slow: bool = False  # takes as long as the limits allow
