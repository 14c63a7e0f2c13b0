"""Which system calls unknown code is refused: a filter program for the kernel (seccomp).

The walls of a box are namespaces. What is refused here would build new ones inside, with the rights
of root in them (mounts without a limit of size), look into other processes, keep memory that no
limit counts, or leave something behind for who comes next. No lab needs any of it.
Numbers: asm/unistd.h of each machine; instructions: linux/filter.h, linux/seccomp.h.
"""

import platform
import struct
from collections.abc import Iterable

REFUSED = (
    *("unshare", "setns", "chroot", "pivot_root", "mount", "umount2", "mount_setattr"),
    *("open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "open_by_handle_at"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "userfaultfd"),
    *("memfd_create", "memfd_secret", "shmget", "msgget", "semget"),
    *("add_key", "request_key", "keyctl", "bpf", "perf_event_open", "io_uring_setup"),
)
PROGRAMS = ("execve", "execveat")  # to start another program

_NUMBERS = {  # name: (x86_64, aarch64)
    "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51), "pivot_root": (155, 41),
    "mount": (165, 40), "umount2": (166, 39), "mount_setattr": (442, 442), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "open_by_handle_at": (304, 265), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "userfaultfd": (323, 282), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "bpf": (321, 280),
    "perf_event_open": (298, 241), "io_uring_setup": (425, 425), "execve": (59, 221),
    "execveat": (322, 281), "clone": (56, 220), "clone3": (435, 435),
}  # fmt: skip
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, name in audit.h

_NEW_NAMESPACES = 0x7E020000  # the flags CLONE_NEW… of sched.h
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # where seccomp_data holds what
_ALLOW, _KILL, _NOT_PERMITTED, _NOT_THERE = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026


def program(refused: Iterable[str] = REFUSED) -> bytes:
    """The filter that refuses these calls and new namespaces; KeyError for an unknown machine.

    Calls of another architecture (32 bit) end the process. clone3, whose flags no filter can see,
    is said not to exist: every C library falls back to clone.
    """
    column, architecture = MACHINES[platform.machine()]
    numbers = [_NUMBERS[name][column] for name in refused]
    clone, clone3 = _NUMBERS["clone"][column], _NUMBERS["clone3"][column]
    steps = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL)]
    steps += [(_LOAD, 0, 0, _NUMBER)]
    steps += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]  # x32, another one of 32 bit
    for number in numbers:
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _NOT_PERMITTED)]
    steps += [(_EQUAL, 0, 1, clone3), (_RETURN, 0, 0, _NOT_THERE)]
    steps += [(_EQUAL, 1, 0, clone), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
    steps += [(_ANY_BIT, 0, 1, _NEW_NAMESPACES), (_RETURN, 0, 0, _NOT_PERMITTED)]
    steps += [(_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
