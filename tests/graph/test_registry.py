from __future__ import annotations

import sys
from pathlib import Path

import pytest

from omnistream.errors import GraphError
from omnistream.graph import registry
from omnistream.graph.registry import find, installed
from omnistream.message import Text

MODULE = '''
from collections.abc import AsyncIterator
from dataclasses import dataclass
from omnistream.node import Source
from omnistream.message import Text

@dataclass(kw_only=True)
class Said(Source):
    """Says something."""
    async def run(self, ctx) -> AsyncIterator[Text]:
        yield Text("x")
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes installed packages that register nodes, as pip would leave them."""

    def make(name: str, points: str, group: str = "omnistream.nodes", **modules: str) -> None:
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{points}\n")
        for module, text in modules.items():
            (tmp_path / f"{module}.py").write_text(text)
            monkeypatch.delitem(sys.modules, module, raising=False)
        registry._names.cache_clear()

    monkeypatch.syspath_prepend(str(tmp_path))
    registry._names.cache_clear()
    yield make
    registry._names.cache_clear()


def refused(use: str) -> str:
    with pytest.raises(GraphError) as caught:
        find(use)
    return str(caught.value)


def test_a_package_brings_its_nodes(package) -> None:
    package("their-nodes", "said_it = their_said:Said", their_said=MODULE)
    found = find("said_it")
    assert (found.target, found.role, found.ports.outputs) == ("their_said:Said", "source", {"out": frozenset({Text})})
    assert "said_it" in installed()


def test_it_brings_drivers_too(package) -> None:
    package("their-drivers", "said_that = their_said2:Said", group="omnistream.drivers", their_said2=MODULE)
    assert find("said_that").target == "their_said2:Said"


def test_a_name_that_two_packages_provide_is_refused_with_both(package) -> None:
    package("one", "twice = their_a:Said", their_a=MODULE)
    package("two", "twice = their_b:Said", their_b=MODULE)
    found = refused("twice")
    assert found.startswith("'twice' is provided twice, by ")
    assert "'their_a:Said' of one" in found
    assert "'their_b:Said' of two" in found


def test_an_unknown_name(package) -> None:
    package("one", "said_it = their_said:Said", their_said=MODULE)
    assert refused("said_itt") == "there is no node or driver 'said_itt'; did you mean 'said_it'?"
    assert refused("some.module.Class") == (
        "there is no node or driver 'some.module.Class'; write 'some.module:Class' for an import path"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import no_such_package_x\n", "'their_bad' needs the package 'no_such_package_x', which is not installed; install it"),
        (
            "from numpy import no_such_thing\n",
            "'their_bad' cannot be imported: ImportError: cannot import name 'no_such_thing'",
        ),
        ("def f(:\n", "'their_bad' cannot be imported: SyntaxError"),
        ("1 / 0\n", "'their_bad' cannot be imported: ZeroDivisionError: division by zero"),
        ("", "module 'their_bad' has no 'Said'"),
        ("Said = 3\n", "'their_bad:Said' is no Node, Source or Sink"),
    ],
)
def test_a_module_that_cannot_be_had(package, text: str, sentence: str) -> None:
    package("bad", "bad_one = their_bad:Said", their_bad=text)
    assert refused("bad_one").startswith(sentence)
    assert refused("their_bad:Said").startswith(sentence)


@pytest.mark.parametrize("use", ["a b:C", ":C", "os:", "os:path.join", "..os:X", "os;x:Y", "os:a:b"])
def test_what_is_no_import_path(use: str) -> None:
    assert "is not an import path; write 'module:Class'" in refused(use)


def test_a_module_that_is_not_there() -> None:
    assert refused("no_such_module_x.sub:C") == "there is no module 'no_such_module_x'; check its name, or install its package"
