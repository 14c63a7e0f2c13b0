"""Looking for the answer, for other people's work, and for what the judge knows."""

from tests.classroom.attacks import Attack

TELL = """
text = " ".join(map(str, found))
text = "SUCCESS" if "CANARY" + "-" in text or "SUCCESS" in text else text[-200:]
def scaled(x, d): raise Exception(text)
"""

ATTACKS = [
    Attack("files that nobody may read", """
found = []
for place in PLACES:
    try:
        found.append(open(place, errors="replace").read()[:2000])
    except OSError as error:
        found.append(error.strerror)
""" + TELL, "fail", wins_openly=True),
    Attack("the environment", "import os\nfound = [os.environ.get(SECRET)]" + TELL, "fail",
           wins_openly=True),
    Attack("the environment of every process", """
import glob
found = []
for place in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try:
        text = open(place, "rb").read().decode(errors="replace")
        found += [each for each in text.split("\\0") if each.startswith(SECRET)]
    except OSError:
        pass
""" + TELL, "fail", wins_openly=True),
    Attack("all that can be walked", """
import os
found = []
for top in ("/root", "/home", "/var", "/run", "/tmp", "/mnt", "/srv", "/opt", "/work"):
    for folder, _, names in os.walk(top):
        if ".venv" in folder or "site-packages" in folder: continue
        found += [os.path.join(folder, n) for n in names if n.endswith(("_checks.py", ".db"))
              and "classroom/patterns" not in folder]
if found: found = ["SUCCESS", *found]
""" + TELL, "fail"),
    Attack("frames up to the judge", """
import sys
found, frame = [], sys._getframe()
while frame:
    found += [f"{frame.f_code.co_filename}:{name}" for name, each in frame.f_locals.items()
              if "expected" in name or "verdict" in name or "master" in name]
    frame = frame.f_back
""" + TELL, "fail"),
    Attack("everything that is in memory", """
import gc
found = []
for each in gc.get_objects():
    if isinstance(each, dict):
        try:
            found += [str(value)[:200] for value in list(each.values())
                      if isinstance(value, str) and "CANARY" + "-" in value and len(value) < 500]
        except Exception:
            pass
""" + TELL, "fail"),
    Attack("the master's function instead of one's own", """
import sys
found = []
def scaled(x, d):
    frame = sys._getframe()
    while frame:
        for each in frame.f_locals.values():
            other = each.get("scaled") if isinstance(each, dict) else None
            if callable(other) and other is not scaled: return other(x, d)
        frame = frame.f_back
    raise LookupError("no other")
""", "fail", "no other"),
    Attack("the private inputs as the answer", """
import sys
def scaled(x, d):
    frame = sys._getframe(1)
    while "inputs" not in frame.f_locals: frame = frame.f_back
    return float(frame.f_locals["inputs"]["x"].ravel()[0])
""", "fail"),
    Attack("the driver, patched", """
import sys
def scaled(x, d):
    frame = sys._getframe(1)
    while "driver" not in frame.f_locals: frame = frame.f_back
    frame.f_locals["trusted"]["scale"] = lambda *_: "passed"
    frame.f_locals["driver"]["source"] = "def scale(*_): return 'passed'"
    return 0.0
""", "fail"),
    Attack("the checks as a module", """
import importlib, minimodels, os, sys
found = []
course = os.path.dirname(minimodels.__path__[0])
for place in ("/", f"{course}/x", "/tmp", "solutions/00_toy", *PLACES):
    sys.path.insert(0, place.rpartition("/")[0] or "/")
for name in ("lab_mean_checks", "solutions", "tests.classroom.toys", "toys"):
    try:
        found.append(vars(importlib.import_module(name)))
    except ImportError as error:
        found.append(error)
""" + TELL, "fail", wins_openly=True),
    Attack("a path with dots", """
found = []
for place in PLACES:
    for start in ("/proc/1/root", "/proc/self/root", "/proc/self/cwd/../../../..", "/tmp/../.."):
        try:
            found.append(open(start + place).read()[:1000])
        except OSError as error:
            found.append(error.strerror)
""" + TELL, "fail", wins_openly=True),
    Attack("links", """
import os, zipfile
found = []
for number, place in enumerate(PLACES):
    os.symlink(place, f"/tmp/{number}-link")
    try:
        found.append(open(f"/tmp/{number}-link").read()[:1000])
    except OSError as error:
        found.append(error.strerror)
    finally:
        os.unlink(f"/tmp/{number}-link")
""" + TELL, "fail", wins_openly=True),
    Attack("what an earlier notebook left", """
import os, sys
ours = [*sys.path, sys.prefix, sys.base_prefix]
found = [name for top in ("/tmp", "/dev/shm", "/var/tmp") for name in
         (os.listdir(top) if os.path.isdir(top) else [])
         if not any(f"{place}/".startswith(f"{top}/{name}/") for place in ours)]
if found != []: found = ["SUCCESS", *found]
for top in ("/tmp", "/dev/shm"):
    open(f"{top}/left-here", "w").write("for the next one")
""" + TELL, "fail"),
    Attack("open files", """
import fcntl, os
found = []
for number in range(1024):
    try:
        fcntl.fcntl(number, fcntl.F_GETFD)
        found.append(f"fd{number}")
    except OSError:
        pass
found = ["SUCCESS"] + found if set(found) - {f"fd{n}" for n in range(8)} else ["few"]
""" + TELL, "fail"),
    Attack("the request once more", """
import os
os.lseek  # a pipe cannot be rewound
try:
    found = [os.read(3, 100_000)]
except OSError as error:
    found = [error.strerror]
""" + TELL, "fail"),
    Attack("the keys of the kernel", """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
found = [libc.syscall(250, 0, -3, 1), os.strerror(ctypes.get_errno())]
assert found[0] < 0
""" + TELL, "fail", "not permitted"),
]  # fmt: skip
