"""The command line that shuts a program into a box."""

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from minimodels.errors import UserError
from minimodels.sandbox import calls
from minimodels.sandbox.limits import Limits

ENTER = Path(__file__).with_name("enter.py")
PACKAGE = Path(__file__).resolve().parent.parent
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache",
          "/etc/alternatives", "/nix/store")  # fmt: skip
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp",
               "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1",
               "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
               "PYTHONPATH": str(PACKAGE.parent)}  # fmt: skip
SERVER = ("KILL", "SYS_PTRACE", "SYS_ADMIN", "NET_ADMIN")  # to watch its children and box them in
NONE = "none"
REFUSED = ("there is no way to run untrusted code safely here: install bubblewrap (Debian: "
           "`make system`), allow user namespaces, or run this as root.")  # fmt: skip


@dataclass(frozen=True)
class Box:
    """What a program sees besides the system, this Python and this package (all read-only)."""

    readable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()  # empty in its eyes, though they lie below something readable
    scratch: int = Limits.scratch
    environment: dict[str, str] = field(default_factory=dict)


def command(argv: list[str], box: Box, limits: Limits | None, engine: str) -> list[str]:
    """`argv` in a box. Without `limits` it keeps the right to change its user: our own servers."""
    drop = limits.of_a_process() if limits else None
    root = None if engine == "bubblewrap" else _root(box)
    spec = json.dumps({"root": root, "drop": drop, "filter": calls.program().hex()})
    inner = [sys.executable, "-I", "-S", str(ENTER), spec, *argv]
    if engine == "bubblewrap":
        return [*_bubblewrap(box, limits is None), "--", *inner]
    if engine == "namespaces":
        return inner
    raise UserError(REFUSED)


def environment(box: Box) -> dict[str, str]:
    """The only environment variables that a program in a box gets."""
    return {**ENVIRONMENT, **box.environment}


@cache
def engine() -> str:
    """How boxes are made here: "bubblewrap" or "namespaces", tried once. UserError if neither is.

    "none" is never found, only asked for by who trusts the code.
    """
    for name in ("bubblewrap", "namespaces"):
        if works(name):
            return name
    raise UserError(REFUSED)


def works(name: str) -> bool:
    """Whether this machine lets one way of making a box start a program."""
    if sys.platform != "linux" or platform.machine() not in calls.MACHINES:
        return False
    if name == "bubblewrap" and not shutil.which("bwrap"):
        return False
    box = Box()
    argv = command([sys.executable, "-c", "print('in')"], box, Limits(), name)
    try:
        done = subprocess.run(argv, env=environment(box), capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout == b"in\n"


def _shown(box: Box) -> list[str]:
    """Folders and files to bind, those that hold others first; links of the system left out."""
    python = [sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))]
    wanted = {*SYSTEM, *python, str(PACKAGE), *(str(path.resolve()) for path in box.readable)}
    there = [path for path in wanted if os.path.exists(path) and not os.path.islink(path)]
    return sorted(there, key=len)


def _hidden(box: Box) -> list[str]:
    """Of what is to be hidden, what a program could see."""
    shown = [Path(path) for path in _shown(box)]
    hidden = [path.resolve() for path in box.hidden if path.exists()]
    return [str(path) for path in hidden if any(each in path.parents for each in shown)]


def _links() -> dict[str, str]:
    """Links of the system: /bin is usr/bin in most."""
    return {path: os.readlink(path) for path in SYSTEM if os.path.islink(path)}


def _root(box: Box) -> dict:
    return {"show": _shown(box), "hide": _hidden(box), "links": _links(), "scratch": box.scratch}


def _bubblewrap(box: Box, server: bool) -> list[str]:
    words = ["bwrap", "--die-with-parent", "--new-session", "--unshare-pid", "--unshare-net",
             "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]  # fmt: skip
    if os.geteuid() != 0:
        words += ["--unshare-user"]
    else:  # root needs no user namespace, and keeps what it takes to become somebody else
        words += ["--cap-drop", "ALL"]
        for right in ("SETUID", "SETGID", "SETPCAP", *(SERVER if server else ())):
            words += ["--cap-add", f"CAP_{right}"]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for place in ("/tmp", "/dev/shm"):
        words += ["--perms", "1777", "--size", str(box.scratch), "--tmpfs", place]
    for folder in _above(_shown(box)):
        words += ["--perms", "0755", "--dir", folder]  # else nobody but root may pass
    for path in _shown(box):
        words += ["--ro-bind", path, path]
    for path, target in _links().items():
        words += ["--symlink", target, path]
    for path in _hidden(box):
        words += ["--tmpfs", path] if os.path.isdir(path) else ["--ro-bind", "/dev/null", path]
    for path in ("/", "/dev", *filter(os.path.isdir, _hidden(box))):
        words += ["--remount-ro", path]  # else who is not root owns them, and may fill them
    return [*words, "--chdir", "/tmp"]


def _above(paths: list[str]) -> list[str]:
    """The folders above these paths, the highest first."""
    return sorted({str(folder) for path in paths for folder in Path(path).parents} - {"/"}, key=len)
