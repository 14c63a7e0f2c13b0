"""What the judge cannot tell from an honest answer, and what to do about it."""

OPEN = {
    "an answer from elsewhere":
        "Right code that a friend, a web page or a model wrote is right code. `minimodels grade` "
        "reports similar submissions; a conversation tells more.",
    "the formula in somebody's source":
        "A box shows torch and other packages. Their sources and docstrings tell of attention in "
        "other places than FORBIDDEN names; who copies ten lines from there has found a book.",
    "an operator made of others":
        "softmax(q kᵀ) v out of torch's own matmul and softmax is the answer, not an attack. An "
        "operator counts as forbidden if its name is in FORBIDDEN, and only then.",
    "machine code in the process":
        "torch's library is mapped into the process, and ctypes can call any address in it: "
        "who calls a kernel by its mangled name gets past the dispatcher. It can be seen in the "
        "code that was handed in.",
    "the private inputs":
        "They and the drivers of the checks lie in the memory that a student's code can read, and "
        "the message of an error can carry some of them out. They do not hold the answers; "
        "another seed gives other inputs.",
    "answers computed elsewhere":
        "Who knows the inputs of a seed can hand in a table of the outputs. Grade with a new seed: "
        "the table is then wrong.",
    "memory of the kernel":
        "Buffers of pipes and sockets count for no process. A limit on the whole batch (a "
        "container, a cgroup) holds for them too.",
    "a hole in the kernel":
        "A box is as tight as the Linux below it. Grade on a machine that holds nothing else.",
}  # fmt: skip
