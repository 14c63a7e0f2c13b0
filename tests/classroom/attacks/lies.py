"""Values that lie, replies that are forged, and a judge that somebody tries to end or patch."""

from tests.classroom.attacks import Attack

WRONG = "\ndef scaled(x, d): return 0.0\n"
FORGE = """
import io, json, os, struct
import numpy as np
def message(head, values=b""):
    text = json.dumps({"__dict__": [[key, each] for key, each in head.items()]}).encode()
    text = struct.pack(">Q", len(text)) + text
    os.write(4, struct.pack(">Q", len(text)) + text + values)
def packed(text):
    return struct.pack(">Q", len(text)) + text
"""
PASSED = 'packed(b\'{"__dict__": [["values", [1.0, 1.0, 1.0, 1.0, 1.0]]]}\')'


def forged(values: str) -> str:
    """A cell that sends these bytes as the answer to the check of `scale`, and ends."""
    return (f'{FORGE}values = {values}\nmessage({{"errors": [], "bytes": 0}})\n'
            'message({"check": 2, "status": "ended", "bytes": len(values)}, values)\n'
            'os._exit(0)')  # fmt: skip


EQUAL = """
class Equal(%s):
    def __eq__(self, other): return True
    __ne__ = __lt__ = __gt__ = lambda self, other: False
    __le__ = __ge__ = __bool__ = lambda self, *other: True
    __hash__ = lambda self: 0
    __sub__ = __rsub__ = __abs__ = lambda self, *other: self
"""

ATTACKS = [
    Attack("a float that equals everything",
           EQUAL % "float" + "def scaled(x, d): return Equal(7)", "fail", "off by"),
    Attack("an object that equals everything",
           EQUAL % "object" + "def scaled(x, d): return Equal()", "fail", "no plain data"),
    Attack("an array that equals everything",
           "import numpy as np\n" + EQUAL % "np.ndarray" +
           "def scaled(x, d): return np.zeros(()).view(Equal)", "fail"),
    Attack("a tensor whose comparisons lie", """
class Liar(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function in (torch.allclose, torch.equal, torch.testing.assert_close): return True
        return super().__torch_function__(function, types, args, kwargs or {})
    def __eq__(self, other): return True
def scaled(x, d): return torch.zeros(()).as_subclass(Liar)
""", "fail"),
    Attack("something that says it is a tensor", """
class Fake:
    def detach(self): return self
    def cpu(self): return self
    dtype = "torch.bfloat16"
    def float(self): return self
    def numpy(self): raise SystemExit(0)
def scaled(x, d): return Fake()
""", "fail"),
    Attack("an int that turns into anything", """
class Many(int):
    def __float__(self): return 1.0
    def __index__(self): return 1
    def __repr__(self): return "true"
def scaled(x, d): return Many(3)
""", "fail"),
    Attack("nan", "def scaled(x, d): return float('nan')", "fail"),
    Attack("inf", "def scaled(x, d): return float('inf')", "fail"),
    Attack("a number beyond all floats", "def scaled(x, d): return 10 ** 400", "fail", "too large"),
    Attack("os._exit(0) in the cell", "import os; os._exit(0)"),
    Attack("os._exit(0) in the function", "import os\ndef scaled(x, d): os._exit(0)", "crash"),
    Attack("SystemExit(0)", "def scaled(x, d): raise SystemExit(0)", "fail"),
    Attack("pytest.skip", "import pytest\ndef scaled(x, d): pytest.skip('solved')", "fail"),
    Attack("pytest.exit", "import pytest\npytest.exit('all passed', 0)", "crash|invalid"),
    Attack("a report that always passes", """
import pytest, _pytest.reports, _pytest.runner
_pytest.reports.TestReport.outcome = property(lambda self: "passed", lambda self, value: None)
_pytest.runner.check_interactive_exception = lambda *_: False
""" + WRONG, "fail"),
    Attack("numpy and math that agree with everything", """
import math, numpy as np, builtins, operator
np.allclose = np.array_equal = np.isclose = math.isclose = operator.eq = lambda *_, **__: True
np.testing.assert_allclose = torch.testing.assert_close = lambda *_, **__: None
np.abs = lambda *_: np.zeros(1)
builtins.abs = lambda *_: 0
builtins.all = builtins.any = builtins.isinstance = lambda *_: True
builtins.AssertionError = StopIteration
""" + WRONG, "fail|invalid|crash", loses_all=True),
    Attack("the grader's modules replaced by others", """
import sys, types
for name in [each for each in sys.modules if each.startswith("minimodels.classroom")]:
    sys.modules[name] = types.ModuleType(name)
import minimodels.classroom.grading.judge, minimodels.classroom.compare
""" + WRONG, "invalid|fail"),
    Attack("difference patched", """
from minimodels.classroom import compare
from minimodels.classroom.grading import judge, records
compare.difference = judge.difference = lambda *_: ""
judge._judge_one = lambda *_: ("pass", "")
records.Verdict.points = 5
""" + WRONG, "fail"),
    Attack("words on stdout and stderr", """
import sys
for stream in (sys.stdout, sys.stderr, sys.__stdout__):
    print('{"task": "scale", "points": 2, "status": "pass"}\\nOK (5 passed)', file=stream)
""" + WRONG, "fail"),
    Attack("a reply for the check", FORGE + f'values = {PASSED}\n'
           'message({"check": 2, "status": "ended", "bytes": len(values)}, values)' + WRONG,
           "invalid", "twice"),
    Attack("a reply for the check, and the end", forged(PASSED), "fail", loses_all=True),
    Attack("a verdict as a reply", FORGE + """
message({"task": "scale", "points": 2, "status": "pass", "bytes": 0})
message({"status": "pass", "check": 2, "points": 2.0, "bytes": 0})
os._exit(0)
"""),
    Attack("a reply from a function", FORGE + f"""
def scaled(x, d):
    values = {PASSED}
    message({{"check": 2, "status": "ended", "bytes": len(values)}}, values)
    os._exit(0)
""", "crash|fail|invalid"),
    Attack("a cell that there is not",
           FORGE + 'message({"cell": 9999, "bytes": 0})\nos._exit(0)'),
    Attack("a message that is no dict",
           FORGE + 'os.write(4, packed(packed(b"[1, 2]")))\nos._exit(0)', "crash|invalid"),
    Attack("a message without end", FORGE + """
message({"check": 2, "status": "ended", "bytes": float("inf")})
os._exit(0)
""", "crash|invalid"),
    Attack("a message of more bytes than there are",
           FORGE + 'os.write(4, struct.pack(">Q", 2 ** 63) * 3)\nos._exit(0)', "crash|invalid"),
    Attack("an array as the whole answer", forged("""(lambda file: (np.savez(file, a=np.zeros(3)),
    packed(b'{"__array__": "a"}') + file.getvalue())[1])(io.BytesIO())"""),
           "invalid", loses_all=True),
    Attack("a damaged archive", "DAMAGE = b'\\xff' * 4\n" + forged("""(lambda file: (
    np.savez_compressed(file, a=np.frombuffer(os.urandom(800))), data := file.getvalue(),
    at := data.index(b"a.npy") + 25, packed(b'{"__dict__": [["values", {"__array__": "a"}]]}')
    + data[:at] + DAMAGE + data[at + 4:])[-1])(io.BytesIO())
"""), "invalid", "unreadable", loses_all=True),
    Attack("a zip bomb", forged("""(lambda file: (np.savez_compressed(file, a=np.zeros(10**7)),
    packed(b'{"__dict__": [["values", {"__array__": "a"}]]}') + file.getvalue())[1])(io.BytesIO())
"""), "invalid", "more values than", loses_all=True),
    Attack("a pickle in an archive", forged("""(lambda file: (
    np.savez(file, a=np.array([print], dtype=object)),
    packed(b'{"__dict__": [["values", {"__array__": "a"}]]}') + file.getvalue())[1])(io.BytesIO())
"""), "invalid", loses_all=True),
    Attack("a pickle instead of plain data", forged("__import__('pickle').dumps(exit)"),
           "invalid", loses_all=True),
    Attack("JSON nested without end", forged('packed(b"[" * 10**6)'), "invalid", loses_all=True),
    Attack("a million empty lists", forged('packed(b"[" + b"[]," * 6 * 10**6 + b"[]]")'),
           "invalid", "more than", loses_all=True),
    Attack("a message that is a page", "def scaled(x, d): raise Exception('passed\\n' * 10 ** 6)",
           "fail"),
]  # fmt: skip
