"""The last steps before unknown code: build a root, give up every right, set limits. Linux only.

As a script it ends by becoming the program that is to be confined:

    python -I -S enter.py '{"root": …, "drop": …, "filter": …}' PROGRAM ARGUMENT…

and `confine` does the same to a fork of a running process. Everything goes through system calls
by ctypes, and this file imports nothing of the package, so that it starts in 20 ms.
Flags and numbers are those of the Linux headers (sched.h, mount.h, prctl.h, capability.h).
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys

NEW_MOUNTS, NEW_UTS, NEW_IPC = 0x00020000, 0x04000000, 0x08000000
NEW_USER, NEW_PIDS, NEW_NET = 0x10000000, 0x20000000, 0x40000000
READ_ONLY, NO_SUID, NO_DEVICES, REMOUNT, BIND = 1, 2, 4, 32, 4096
RECURSIVE, PRIVATE, DETACH = 16384, 1 << 18, 2
DEATH_SIGNAL, FILTER, DROP_BOUND, NO_NEW_RIGHTS = 1, 22, 24, 38
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
DEVICES = ("null", "zero", "full", "random", "urandom")
FIRST_USER, USERS = 60_000, 5_000  # ids that nobody has: limits on processes count by id


def confine(limits: dict, scratch: int, program: bytes, hide: list[str]) -> None:
    """Shut the calling process into namespaces of its own; it goes on as their process 1.

    Network, other processes and their memory are out of reach; /tmp and /dev/shm are its own,
    `scratch` bytes each, and end with it; /proc and what `hide` names are empty; `program` filters
    its system calls, see calls.py. What calls this waits in the parent for the same exit status.
    Root needs no user namespace for it, which some systems allow nobody else, and ends as another
    user. OSError where the kernel does not allow it.
    """
    if os.geteuid() != 0:
        _own_user_namespace(1000)
    _call("unshare", NEW_MOUNTS | NEW_PIDS | NEW_NET | NEW_IPC | NEW_UTS)
    _call("mount", None, b"/", None, RECURSIVE | PRIVATE, None)
    for path in hide:
        _hide(path)
    for place in ("/tmp", "/dev/shm"):
        if os.path.isdir(place):
            _cover(place, scratch)
    _loopback_up()
    data = private_bytes()
    _tmpfs("/proc", 4096, READ_ONLY)
    _stand_by_for(os.fork())
    os.setsid()  # out of reach of what it does to its process group
    os.chdir("/tmp")
    _other_user()
    drop({**limits, "data": data + limits["memory"]}, program)


def drop(limits: dict, program: bytes) -> None:
    """Give up all capabilities for good and take limits; ends with the process that started it."""
    _call("prctl", DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    for capability in range(64):
        try:
            _call("prctl", DROP_BOUND, capability, 0, 0, 0)
        except OSError:
            break  # no such capability, or none to drop
    header, nothing = struct.pack("<Ii", 0x20080522, 0), bytes(24)
    _call("capset", header, nothing)
    kinds = {"cpu": resource.RLIMIT_CPU, "data": resource.RLIMIT_DATA, "core": resource.RLIMIT_CORE,
             "file": resource.RLIMIT_FSIZE, "processes": resource.RLIMIT_NPROC,
             "files": resource.RLIMIT_NOFILE}  # fmt: skip
    for name, kind in kinds.items():
        if name in limits:
            most = int(limits[name])
            resource.setrlimit(kind, (most, most))
    refuse(program)


def refuse(program: bytes) -> None:
    """Filter the system calls of this process and its children from now on; see calls.py."""
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HP", len(program) // 8, ctypes.addressof(code))
    _call("prctl", NO_NEW_RIGHTS, 1, 0, 0, 0)
    _call("prctl", FILTER, 2, head, 0, 0)


def build(root: dict) -> None:
    """Make a root of {"show": paths, "hide": paths, "links": {…}, "scratch": bytes} and enter it.

    Without rights of its own the process first takes a user namespace. It forks: who goes on is
    process 1 of the new root.
    """
    if os.geteuid() != 0:
        _own_user_namespace(os.geteuid())
    _call("unshare", NEW_MOUNTS | NEW_PIDS | NEW_NET | NEW_IPC | NEW_UTS)
    _call("mount", None, b"/", None, RECURSIVE | PRIVATE, None)
    base = "/tmp"
    shown = {path: os.open(path, os.O_PATH) for path in root["show"]}  # some may lie in /tmp
    _tmpfs(base, 1 << 20)
    _devices(base)
    for place in ("/tmp", "/dev/shm"):
        os.makedirs(base + place, exist_ok=True)
        _tmpfs(base + place, root["scratch"])
    for path, handle in shown.items():
        _show(handle, base + path)
        os.close(handle)
    for path in root["hide"]:
        _hide(base + path)
    for path, target in root["links"].items():
        os.symlink(target, base + path)
    _loopback_up()
    os.makedirs(base + "/proc", exist_ok=True)
    _stand_by_for(os.fork())
    _call("mount", b"proc", (base + "/proc").encode(), b"proc", NO_SUID | NO_DEVICES, None)
    _pivot(base)


def main() -> None:
    """Run as a script: the rest of the command line is the program to become."""
    spec = json.loads(sys.argv[1])
    if spec["root"]:
        build(spec["root"])
    else:
        _loopback_up()
    if spec["drop"]:
        _other_user()
        limits = {**spec["drop"], "data": private_bytes() + spec["drop"]["memory"]}
        drop(limits, bytes.fromhex(spec["filter"]))
    os.chdir("/tmp")
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as problem:
        print(f"{sys.argv[2]}: {problem.strerror}", file=sys.stderr)
        raise SystemExit(127) from problem  # as a shell has it


def _own_user_namespace(uid: int) -> None:
    outside, group = os.geteuid(), os.getegid()
    _call("unshare", NEW_USER)
    for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {outside} 1"),
                       ("gid_map", f"{uid} {group} 1")):  # fmt: skip
        handle = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(handle, line.encode())
        os.close(handle)


def _other_user() -> None:
    """Leave root for an id that nobody has."""
    if os.geteuid() == 0:
        uid = FIRST_USER + int.from_bytes(os.urandom(2)) % USERS
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _stand_by_for(pid: int) -> None:
    """In the parent of a fork: wait for the child and end as it ended. The child returns."""
    if pid == 0:
        return
    os.closerange(0, 4096)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _show(handle: int, target: str) -> None:
    """Bind an open file or folder, with all that is mounted below it, for reading only."""
    _bind(handle, target)
    for place in _mounts(target):
        kept = os.statvfs(place).f_flag & ~READ_ONLY & 0x40F
        flags = BIND | REMOUNT | READ_ONLY | NO_SUID | kept
        _call("mount", None, place.encode(), None, flags, None)


def _bind(handle: int, target: str) -> None:
    path = f"/proc/self/fd/{handle}"
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "ab").close()
    _call("mount", path.encode(), target.encode(), None, BIND | RECURSIVE, None)


def _mounts(place: str) -> list[str]:
    """What is mounted at a path and below it; the kernel writes a space as \\040."""
    with open("/proc/self/mountinfo", "rb") as file:
        fields = [line.split()[4].decode("unicode_escape") for line in file]
    paths = [each.encode("latin-1").decode("utf-8", "surrogateescape") for each in fields]
    return [each for each in dict.fromkeys(paths) if f"{each}/".startswith(f"{place}/")]


def _cover(place: str, size: int) -> None:
    """An empty folder over one, but for what is mounted below it: a Python in /tmp, say.

    What is mounted there brings along what is mounted below itself.
    """
    below = [path for path in _mounts(place) if path != place]
    highest = [path for path in below
               if not any(path.startswith(f"{other}/") for other in below)]  # fmt: skip
    handles = {path: os.open(path, os.O_PATH) for path in highest}
    _tmpfs(place, size)
    for path, handle in handles.items():
        _bind(handle, path)
        os.close(handle)


def _hide(target: str) -> None:
    if os.path.isdir(target):
        _tmpfs(target, 4096, READ_ONLY)
    elif os.path.exists(target):
        _call("mount", b"/dev/null", target.encode(), None, BIND, None)


def _devices(base: str) -> None:
    os.makedirs(base + "/dev", exist_ok=True)
    for name in DEVICES:
        open(f"{base}/dev/{name}", "ab").close()
        _call("mount", f"/dev/{name}".encode(), f"{base}/dev/{name}".encode(), None, BIND, None)


def _tmpfs(place: str, size: int, flags: int = 0) -> None:
    flags |= NO_SUID | NO_DEVICES
    _call("mount", b"tmpfs", place.encode(), b"tmpfs", flags, f"size={size},mode=1777".encode())


def _pivot(base: str) -> None:
    os.chdir(base)
    machine = os.uname().machine
    if machine not in PIVOT_ROOT:
        raise OSError(f"no number of pivot_root is known for {machine}")
    _call("syscall", PIVOT_ROOT[machine], b".", b".")
    _call("umount2", b".", DETACH)
    _call("mount", None, b"/", None, BIND | REMOUNT | READ_ONLY | NO_SUID | NO_DEVICES, None)
    os.chdir("/")


def _loopback_up() -> None:
    """Let processes in the box talk among themselves: gloo needs 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 1)  # IFF_UP
        try:
            fcntl.ioctl(any_socket, 0x8914, request)  # SIOCSIFFLAGS
        except OSError:
            pass  # it is up, or this network is not ours to change


def private_bytes() -> int:
    """What the process has allocated so far, as RLIMIT_DATA counts it."""
    with open("/proc/self/status", encoding="utf-8") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmData"].split()[0]) * 1024


def _call(name: str, *arguments) -> int:
    result = getattr(_libc, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


_libc = ctypes.CDLL(None, use_errno=True)

if __name__ == "__main__":
    main()
