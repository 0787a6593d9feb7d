"""Finds the project's folders that hold the content of a function's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.function_compute.errors import MissingLayerError

if TYPE_CHECKING:
    from pathlib import Path

    from local_emulator.function_compute.template import Function

# Wheels fit one Python version: the emulator uses wheels for its own Python, not the wheels of the published layer.
_INSTALLED = {"dependencies": "build/layers/dependencies/python"}


def folders(function: Function, root: Path) -> tuple[Path, ...]:
    """Return one folder for each layer, in the template's order; a layer's name ends with its folder's name in layers/.

    Raises MissingLayerError.
    """
    known = sorted(folder.name for folder in (root / "layers").glob("*") if folder.is_dir())
    result = []
    for layer in function.layers:
        name = next((name for name in known if f"-{layer}".endswith(f"-{name}")), None)
        if name is None:
            raise MissingLayerError(
                f"{function.name}: layer {layer}: expected its name to end with a folder of {root / 'layers'}, "
                f"found {', '.join(known) or 'none'}; rename the layer in the template"
            )
        folder = root / _INSTALLED.get(name, f"layers/{name}/python")
        if not folder.is_dir():
            raise MissingLayerError(
                f"{function.name}: layer {layer}: {folder} doesn't exist; "
                f"to install the layer for this Python: make {_INSTALLED.get(name, folder)}/.stamp"
            )
        result.append(folder.resolve())
    return tuple(result)


def is_installed(folder: Path) -> bool:
    """Whether a layer's folder has installed wheels, which are too large to be copied at each start."""
    return any(folder.as_posix().endswith(place) for place in _INSTALLED.values())
