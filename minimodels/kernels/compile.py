"""Compile a kernel for a GPU that is not there, to read what it became. Needs no driver.

Not in a process with TRITON_INTERPRET=1: there a kernel is a Python function.
"""


def compile_only(kernel, signature: dict[str, str], constants: dict, capability: int = 90):
    """The compiled kernel for NVIDIA's compute capability (80 A100, 90 H100, 100 B200).

    signature: argument -> "*bf16", "i32", "fp32", …; constants: the constexpr arguments. The result
    holds `asm` (stages by name: "ttir", "ttgir", "llir", "ptx", "cubin") and `metadata`.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature = signature | dict.fromkeys(constants, "constexpr")
    order = {name: i for i, name in enumerate(kernel.arg_names)}
    aligned = {  # PyTorch's memory is: 16-byte loads become possible
        (order[name],): [["tt.divisibility", 16]] for name, t in signature.items() if t[0] == "*"
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32))
