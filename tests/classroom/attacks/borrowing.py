"""The attention lab, answered with somebody else's attention: each way of getting at one."""

from tests.classroom.attacks import Attack

BORROWED = "\ndef attention(q, k, v, mask): return borrowed(q, k, v, attn_mask=mask)\n"
PATH = "\nimport minimodels, os\nPATH = os.path.dirname(minimodels.__file__) + '/architecture/'\n"
NESTED = '''
import io, subprocess, sys, numpy
CODE = """
import sys, io, numpy, torch
q, k, v, m = (torch.from_numpy(a) for a in numpy.load(io.BytesIO(sys.stdin.buffer.read())).values())
y = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=m)
numpy.save(file := io.BytesIO(), y.numpy())
sys.stdout.buffer.write(file.getvalue())
"""
def attention(q, k, v, mask):
    file = io.BytesIO()
    numpy.savez(file, *(each.numpy() for each in (q, k, v, mask)))
    done = subprocess.run([sys.executable, %s "-c", CODE], input=file.getvalue(),
                          capture_output=True)
    if done.returncode: raise RuntimeError(done.stderr[-200:])
    return torch.from_numpy(numpy.load(io.BytesIO(done.stdout)))
'''


def borrow(name: str, code: str, **more) -> Attack:
    return Attack(name, code + BORROWED, "fail|invalid|crash", wins_openly=True, **more)


ATTACKS = [
    borrow("import of a function", "from torch.nn.functional import scaled_dot_product_attention\n"
           "borrowed = scaled_dot_product_attention"),
    borrow("torch.nn.functional, reloaded", """
import importlib, torch.nn.functional
torch._C._add_docstr = lambda function, text: function  # it can be done once only
borrowed = importlib.reload(torch.nn.functional).scaled_dot_product_attention
"""),
    borrow("torch.ops", "borrowed = torch.ops.aten.scaled_dot_product_attention"),
    borrow("torch.ops, one overload", "borrowed = torch.ops.aten.scaled_dot_product_attention"
           ".default"),
    borrow("an operator taken apart",
           "borrowed = torch.ops.aten.scaled_dot_product_attention.default.decompose"),
    borrow("one key of the dispatcher", """
def borrowed(q, k, v, attn_mask):
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return torch.ops.aten.scaled_dot_product_attention.default._op_dk(key, q, k, v, attn_mask)
"""),
    borrow("torch._C", "borrowed = torch._C._nn.scaled_dot_product_attention"),
    borrow("an operator by name", """
operator = torch._C._jit_get_operation("aten::scaled_dot_product_attention")[0]
def borrowed(q, k, v, attn_mask): return operator(q, k, v, attn_mask)
"""),
    borrow("torch.jit", """
graph = torch._C.parse_ir('''
graph(%q : Tensor, %k : Tensor, %v : Tensor, %m : Tensor):
  %p : float = prim::Constant[value=0.]()
  %no : bool = prim::Constant[value=0]()
  %none : NoneType = prim::Constant()
  %y : Tensor = aten::scaled_dot_product_attention(%q, %k, %v, %m, %p, %no, %none, %no)
  return (%y)
''')
unit = torch._C._create_function_from_graph("f", graph)
def borrowed(q, k, v, attn_mask): return unit(q, k, v, attn_mask)
"""),
    borrow("under vmap", """
def borrowed(q, k, v, attn_mask):
    one = lambda a, b, c: torch.ops.aten.scaled_dot_product_attention(a, b, c, attn_mask)
    return torch.vmap(one)(q, k, v)
"""),
    borrow("the operator below", """
def borrowed(q, k, v, attn_mask):
    bias = torch.zeros(attn_mask.shape).masked_fill(~attn_mask, float("-inf"))
    return torch.ops.aten._scaled_dot_product_attention_math(q, k, v, bias)[0]
"""),
    borrow("the CPU's own operator", """
def borrowed(q, k, v, attn_mask):
    bias = torch.zeros(attn_mask.shape).masked_fill(~attn_mask, float("-inf"))
    run = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return run(q, k, v, attn_mask=bias)[0]
"""),
    borrow("a function that somebody kept", """
import gc
borrowed = [each for each in torch.overrides.get_testing_overrides()
            if getattr(each, "__name__", "") == "scaled_dot_product_attention"][0]
"""),
    borrow("all objects in memory", """
import gc
found = [each["scaled_dot_product_attention"] for each in gc.get_objects()
         if type(each) is dict and callable(each.get("scaled_dot_product_attention"))]
def borrowed(q, k, v, attn_mask):
    for each in found:
        try:
            return each(q, k, v, attn_mask)
        except NotImplementedError:
            pass
"""),
    borrow("a class among subclasses", """
kind = [each for each in torch.nn.Module.__subclasses__() if each.__name__ == "MultiheadAttention"]
def borrowed(q, k, v, attn_mask):
    B, H, T, d = q.shape
    layer = kind[0](d, 1, bias=False, batch_first=True)
    with torch.no_grad():
        layer.in_proj_weight.copy_(torch.cat([torch.eye(d)] * 3))
        layer.out_proj.weight.copy_(torch.eye(d))
        return layer(*(each.flatten(0, 1) for each in (q, k, v)),
                     attn_mask=~attn_mask)[0].unflatten(0, (B, H))
"""),
    borrow("flexible attention", """
from torch.nn.attention.flex_attention import flex_attention
def borrowed(q, k, v, attn_mask):
    return flex_attention(q, k, v, score_mod=lambda s, b, h, i, j:
                          torch.where(attn_mask[i, j], s, -float("inf")))
"""),
    borrow("flexible attention, below", """
from torch._higher_order_ops.flex_attention import math_attention
def borrowed(q, k, v, attn_mask):
    info = (1, 1) + (torch.zeros(1, 1, 1, dtype=torch.int32),) * 8 + (1, 1)
    score = lambda s, b, h, i, j: torch.where(attn_mask[i, j], s, -float("inf"))
    block = (*info, lambda b, h, i, j: attn_mask[i, j])
    return math_attention(q, k, v, score, block, q.shape[-1] ** -0.5, {})[0]
"""),
    borrow("the operators put back", """
def borrowed(q, k, v, attn_mask):
    for name in list(vars(torch.library)):
        if name in ("_impls", "_defs"): getattr(torch.library, name).clear()
    import gc
    for each in gc.get_objects():
        if isinstance(each, torch.library.Library): each._destroy()
    return torch.ops.aten.scaled_dot_product_attention(q, k, v, attn_mask)
"""),
    borrow("import of the course's own", """
from minimodels.architecture.attention import attend
def borrowed(q, k, v, attn_mask): return attend(q, k, v, attn_mask)
"""),
    borrow("the course's own, by importlib without finders", """
import importlib, sys
sys.meta_path[:] = [each for each in sys.meta_path if "Forbidden" not in type(each).__name__]
own = importlib.import_module("minimodels.architecture.attention")
def borrowed(q, k, v, attn_mask): return own.attention_by_hand(q, k, v, attn_mask)
"""),
    borrow("the course's own, by its path", PATH + """
import importlib.util
spec = importlib.util.spec_from_file_location("mine", PATH + "attention.py")
own = importlib.util.module_from_spec(spec)
spec.loader.exec_module(own)
def borrowed(q, k, v, attn_mask): return own.attention_by_hand(q, k, v, attn_mask)
"""),
    borrow("the course's own, by runpy", PATH + """
import runpy
own = runpy.run_path(PATH + "attention.py")
def borrowed(q, k, v, attn_mask): return own["attention_by_hand"](q, k, v, attn_mask)
"""),
    borrow("the course's own, read and executed", PATH + """
own = {}
exec(open(PATH + "attention.py").read(), own)
def borrowed(q, k, v, attn_mask): return own["attention_by_hand"](q, k, v, attn_mask)
"""),
    borrow("the course's own, bytecode", PATH + """
import glob, marshal
own = {}
for name in glob.glob(PATH + "__pycache__/attention.*.pyc"):
    exec(marshal.loads(open(name, "rb").read()[16:]), own)
if not own: exec(open(PATH + "attention.py").read(), own)
def borrowed(q, k, v, attn_mask): return own["attention_by_hand"](q, k, v, attn_mask)
"""),
    borrow("the course's own, found by inspect", """
import inspect, importlib.util
own = {}
spec = importlib.util.find_spec("minimodels.architecture.attention")
exec(spec.loader.get_source(spec.name), own)
def borrowed(q, k, v, attn_mask): return own["attention_by_hand"](q, k, v, attn_mask)
"""),
    borrow("the course's own, zipped and imported", PATH + """
import sys, zipfile
with zipfile.ZipFile("/tmp/own.zip", "w") as file: file.write(PATH + "attention.py", "own.py")
sys.path.insert(0, "/tmp/own.zip")
import own
def borrowed(q, k, v, attn_mask): return own.attention_by_hand(q, k, v, attn_mask)
"""),
    borrow("another library's", """
from transformers.integrations.sdpa_attention import sdpa_attention_forward as theirs
def borrowed(q, k, v, attn_mask):
    bias = torch.zeros(attn_mask.shape).masked_fill(~attn_mask, float("-inf"))
    class Layer: is_causal, training = False, False
    return theirs(Layer(), q, k, v, bias[None, None])[0].transpose(1, 2)
"""),
    Attack("another Python", NESTED % "", "fail", wins_openly=True, slow=True),
    Attack("another Python, without our path", NESTED % '"-I",', "fail", wins_openly=True,
           slow=True),
]  # fmt: skip
