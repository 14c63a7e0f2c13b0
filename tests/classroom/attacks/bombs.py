"""Using up time, memory, processes, disk, or the patience of whoever reads the answer."""

from tests.classroom.attacks import Attack

ATTACKS = [
    Attack("an endless loop", "def scaled(x, d):\n    while True: pass", "timeout"),
    Attack("an endless loop in a cell", "while True: pass"),
    Attack("a loop that no alarm ends", """
import signal
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
while True:
    try:
        while True: pass
    except BaseException:
        pass
""", "timeout|invalid|crash", slow=True),
    Attack("an answer that comes late", """
import time
def scaled(x, d):
    time.sleep(60)
    return x / d ** 0.5
""", "timeout"),
    Attack("signals that are ignored", """
import signal, time
for number in set(range(1, 65)) - {signal.SIGCHLD}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
def scaled(x, d):
    while True: time.sleep(1)
""", "timeout"),
    Attack("a list without end", """
def scaled(x, d):
    kept = []
    while True: kept.append(bytearray(2 ** 26))
""", "out of memory|timeout"),
    Attack("a tensor without end",
           "def scaled(x, d): return torch.ones(2 ** 40).sum()", "out of memory"),
    Attack("memory that is shared", """
import mmap
def scaled(x, d):
    kept = []
    while True:
        kept.append(mmap.mmap(-1, 2 ** 28))
        kept[-1].write(bytes(2 ** 28))
""", "out of memory|timeout"),
    Attack("memory in files that have no name", """
import os
def scaled(x, d):
    for number in range(1000):
        file = os.memfd_create(str(number))
        for _ in range(200): os.write(file, bytes(2 ** 20))
""", "fail", "not permitted"),
    Attack("memory of System V", """
import ctypes
libc = ctypes.CDLL(None)
def scaled(x, d):
    assert libc.shmget(0, 2 ** 30, 0o1600) >= 0, "refused"
""", "fail", "refused"),
    Attack("memory in many processes", """
import os, time
def scaled(x, d):
    for _ in range(8):
        if os.fork() == 0:
            kept = bytearray(b"x") * (500 * 2 ** 20)
            time.sleep(60)
    time.sleep(60)
""", "out of memory|timeout|crash"),
    Attack("a fork bomb", """
import os
def scaled(x, d):
    while True:
        try:
            os.fork()
        except OSError:
            pass
""", "timeout|crash|out of memory", loses_all=True),
    Attack("a thread bomb", """
import threading, time
def scaled(x, d):
    while True: threading.Thread(target=time.sleep, args=(60,)).start()
""", "fail|timeout|crash|out of memory"),
    Attack("a full disk", """
def scaled(x, d):
    for number in range(99):
        with open(f"/tmp/{number}", "wb") as file:
            for _ in range(128): file.write(bytes(2 ** 20))
""", "fail|crash"),
    Attack("a gigabyte of output", """
import os
for _ in range(1024): os.write(1, bytes(2 ** 20))
def scaled(x, d): return 0.0
""", "fail"),
    Attack("a gigabyte of answers", """
import os
while True: os.write(4, b"x" * 2 ** 20)
""", "invalid|crash", loses_all=True, slow=True),
    Attack("a value that is too large",
           "def scaled(x, d): return torch.zeros(10 ** 8)", "crash|invalid|out of memory|timeout"),
    Attack("recursion without end", """
import sys
sys.setrecursionlimit(10 ** 9)
def scaled(x, d): return scaled(x, d)
""", "crash|fail|out of memory|timeout"),
    Attack("a crash of the interpreter", """
import ctypes
def scaled(x, d): return ctypes.string_at(0)
""", "crash"),
    Attack("a crash in a cell", "import ctypes; ctypes.string_at(0)"),
    Attack("a generator in place of a list", """
def scaled(x, d):
    class Endless(list):
        def __iter__(self):
            while True: yield 1
        __len__ = lambda self: 2 ** 62
    return Endless([1])
""", "fail|timeout|out of memory|crash"),
]  # fmt: skip
