"""Where the installed packages lie that a user lets programs and tests import, with what they need
themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from schemas.errors import BadInput

_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@lru_cache(maxsize=16)
def package_places(names: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """The file of each importable module, by name, and the folders and files that they need.

    `names` are those of distributions or modules (numpy, scikit-learn); what they require comes with them.
    BadInput where one is not installed.
    """
    places: dict[str, str] = {}
    folders: list[str] = []
    owners = metadata.packages_distributions() if names else {}
    queue, visited = [_known(name, owners) for name in names], set[str]()
    while queue:
        name = queue.pop()
        if name in visited:
            continue
        visited.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # required for another platform or by an extra
        queue += [_NAME.match(each)[0] for each in distribution.requires or () if "extra ==" not in each]  # type: ignore[index]
        for module in [each for each, own in owners.items() if distribution.metadata["Name"] in own]:
            spec = find_spec(module)
            if spec is not None and spec.origin:
                places[module] = spec.origin
                folders.append(
                    str(Path(spec.origin).parent) if spec.submodule_search_locations else spec.origin
                )
        folders += map(str, Path(str(distribution.locate_file(""))).glob(f"{name.replace('-', '_')}.libs"))
    return places, list(dict.fromkeys(folders))


def _known(name: str, owners: Mapping[str, list[str]]) -> str:
    """The distribution of a name; BadInput where there is none."""
    if name in owners:
        return owners[name][0]
    try:
        return metadata.distribution(name).metadata["Name"]
    except metadata.PackageNotFoundError:
        raise BadInput(f"no package {name!r} is installed here for programs to use") from None
