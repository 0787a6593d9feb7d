"""Which folders of the project stand for a function's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_emulator.function_compute.errors import MissingLayerError

if TYPE_CHECKING:
    from pathlib import Path

    from local_emulator.function_compute.template import Function

# Third-party wheels belong to one Python: the emulator takes those of its own, not those that are published.
_INSTALLED = {"dependencies": "build/layers/dependencies/python"}


def folders(function: Function, root: Path) -> tuple[Path, ...]:
    """A folder a layer, in the template's order; the last words of a layer's name are its folder's in layers/."""
    known = sorted(each.name for each in (root / "layers").glob("*") if each.is_dir())
    found = []
    for layer in function.layers:
        name = next((each for each in known if f"-{layer}".endswith(f"-{each}")), None)
        if name is None:
            raise MissingLayerError(
                f"{function.name}: layer {layer}: expected its name to end with a folder of {root / 'layers'}, "
                f"found {', '.join(known) or 'none'}; rename the layer in the template"
            )
        folder = root / _INSTALLED.get(name, f"layers/{name}/python")
        if not folder.is_dir():
            raise MissingLayerError(
                f"{function.name}: layer {layer}: {folder} doesn't exist; "
                f"install it for this Python: make {_INSTALLED.get(name, folder)}/.stamp"
            )
        found.append(folder.resolve())
    return tuple(found)
