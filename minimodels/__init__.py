"""minimodels: from an empty rack of servers to a working agent, on a laptop.

The front door. Names are imported when they are first used, so `import minimodels` is instant.
"""

from importlib import import_module

_HOME = {
    "build": "minimodels.architecture.build",
    "load": "minimodels.architecture.checkpoint",
    "save": "minimodels.architecture.checkpoint",
    "generate": "minimodels.architecture.generate",
    "models": "minimodels.architecture.models",
    "UserError": "minimodels.errors",
}

__all__ = ["UserError", "build", "generate", "load", "models", "save"]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'minimodels' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__():
    return sorted([*globals(), *_HOME])
