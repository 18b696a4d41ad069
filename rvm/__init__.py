"""Real-time video matting: cut people out of moving pictures, hair and all.

Importing this package is cheap: everything heavy is imported on first use.

    rvm.convert("talk.mp4", "out.mp4", background="blur")
    with rvm.Matter() as matter: matte = matter.step(frame)
    rvm.live(camera=0, background="office.jpg")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rvm.api import convert as convert
    from rvm.api import live as live
    from rvm.errors import RvmError as RvmError
    from rvm.matting.matter import Matter as Matter

__all__ = ["Matter", "RvmError", "__version__", "convert", "live"]

_LAZY = {
    "Matter": "rvm.matting.matter",
    "RvmError": "rvm.errors",
    "convert": "rvm.api",
    "live": "rvm.api",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'rvm' has no attribute {name!r}")
