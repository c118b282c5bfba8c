"""The house stands: imports point down, what clients import is light, and nothing that can run a stranger's bytes is used."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import omnistream

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "omnistream": ROOT / "omnistream",
    "omnistream_nodes": ROOT / "nodes" / "omnistream_nodes",
    "omnistream_models": ROOT / "nodes" / "omnistream_models",
    "omnistream_drivers": ROOT / "drivers" / "omnistream_drivers",
}

#: What all may import.
BASICS = {"errors", "message", "clock"}
#: What each part of omnistream imports of the others, beside the basics (DESIGN section 1).
BELOW: dict[str, set[str]] = {
    "errors": set(),
    "message": set(),
    "clock": set(),
    "coded": set(),
    "tensor": set(),
    "protocol": set(),
    "media": set(),
    "node": {"coded"},
    "flow": {"tensor", "node"},
    "link": {"tensor"},
    "graph": {"node", "flow"},
    "observe": {"flow", "graph"},
    "record": {"coded", "tensor", "flow", "media", "link", "observe", "graph"},
    "engine": {"coded", "tensor", "node", "flow", "link", "observe", "graph", "record"},
    "cli": {"flow", "observe", "graph", "record", "engine"},
    "client": {"protocol"},
    "testing": {"node", "graph", "record", "engine"},
    "pytest_plugin": {"testing"},
    "": {"node"},  # what `import omnistream` gives
}
#: What nodes, models and drivers use of omnistream, beside the basics: never its queues, links, engines or command line.
PUBLIC: dict[str, set[str]] = {
    "omnistream_nodes": {"node"},
    "omnistream_models": set(),
    "omnistream_drivers": {"node", "coded", "media", "protocol"},
}
#: Where omnistream reaches into the packages beside it: commands about them. Nobody else may: their parts come by entry points
#: and import paths.
BESIDE = {
    ("omnistream/cli/devices.py", "omnistream_drivers.devices"),
    ("omnistream/cli/models_cmd.py", "omnistream_models"),
    ("omnistream/cli/run.py", "omnistream_drivers.recording"),
    ("omnistream/cli/run.py", "omnistream_models.store"),
}


def modules(package: str) -> list[Path]:
    return sorted(p for p in FOLDERS[package].rglob("*.py"))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports at any depth, types included, by its whole name."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def modules_imported(path: Path) -> set[str]:
    """The same without the names in them."""
    nodes = list(ast.walk(tree(path)))
    froms = {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module is not None}
    return froms | {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}


def part_of(path: Path) -> str:
    """The part of omnistream that a file belongs to."""
    first = path.relative_to(FOLDERS["omnistream"]).parts[0]
    return first.removesuffix(".py").replace("__init__", "")


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def every_import() -> Iterator[tuple[str, Path, str, int]]:
    for package in FOLDERS:
        for path in modules(package):
            for name, line in imports(path):
                yield package, path, name, line


# -- imports point down ---------------------------------------------------------------------------


def test_the_list_of_parts_is_complete_and_has_no_circles() -> None:
    assert {part_of(p) for p in modules("omnistream")} == set(BELOW)
    list(TopologicalSorter(BELOW).static_order())
    basics = [path for path in modules("omnistream") if part_of(path) in BASICS]
    assert not [name for path in basics for name, _ in imports(path) if name.split(".")[0] in FOLDERS]


def test_no_part_knows_what_stands_above_it_and_none_may_use_what_it_does_not() -> None:
    used, found = {part: set[str]() for part in BELOW}, list[str]()
    for path in modules("omnistream"):
        part = part_of(path)
        for name, line in imports(path):
            top, _, rest = name.partition(".")
            if top == "omnistream" and (other := rest.split(".")[0]) in BELOW.keys() - BASICS - {part, ""}:
                used[part].add(other)
                if other not in BELOW[part]:
                    found.append(f"{where(path, line)}: {part or 'omnistream'} imports {other}")
    assert found == []
    assert used == BELOW


def test_omnistream_reaches_into_the_packages_beside_it_at_few_places() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in modules("omnistream")
        for name in modules_imported(path)
        if name.split(".")[0] in FOLDERS.keys() - {"omnistream"}
    }
    assert found == BESIDE


def test_nodes_models_and_drivers_use_what_is_public_of_the_runtime() -> None:
    """And never each other, but nodes the models."""
    beside = {"omnistream_nodes": {"omnistream_models"}, "omnistream_models": set(), "omnistream_drivers": set()}
    found = []
    for package, path, name, line in every_import():
        top, _, rest = name.partition(".")
        if package == "omnistream" or top not in FOLDERS or top == package:
            continue
        if top == "omnistream":
            part = rest.split(".")[0]
            public = part not in BELOW or part in BASICS | PUBLIC[package] | {""}
            fine = public or (path.name, part) in READS_RECORDINGS
        else:
            fine = top in beside[package] or (package, name) in READS_COMMANDS
        if not fine:
            found.append(f"{where(path, line)}: {name}")
    assert found == []


#: Ears are trained for a commands file; there is no second reader of those.
READS_COMMANDS = {
    ("omnistream_models", f"omnistream_nodes.{name}")
    for name in (
        "grammar", "grammar.Grammar", "grammar_file", "grammar_file.find_grammar", "grammar_file.load_grammar",
    )
}  # fmt: skip
#: The `recording` source reads recordings; there is no second reader.
READS_RECORDINGS = {("recording.py", "record")}


# -- what is used where ---------------------------------------------------------------------------


def test_ray_is_imported_by_one_module_and_there_inside_functions() -> None:
    found = [(path, line) for _, path, name, line in every_import() if name.split(".")[0] == "ray"]
    assert {p.relative_to(ROOT).as_posix() for p, _ in found} <= {"omnistream/engine/ray.py"}
    top_level = {n.lineno for n in tree(ROOT / "omnistream/engine/ray.py").body}
    assert not {line for _, line in found} & top_level


def test_only_the_clock_asks_for_the_time() -> None:
    """In omnistream. `datetime.now` and the like count, and so does a bare `time` in any form."""
    asking = {"time", "datetime"}
    found = [
        where(path, line)
        for package, path, name, line in every_import()
        if package == "omnistream" and name.split(".")[0] in asking and path.name != "clock.py"
    ]
    assert found == []


def test_nodes_know_no_clock() -> None:
    """Rule 27: a node is a function of its state, its inputs, `ctx.now` and `ctx.rng`."""
    chance = {"time", "datetime", "random", "secrets", "uuid"}
    found = [
        where(path, line)
        for package, path, name, line in every_import()
        if package == "omnistream_nodes" and name.split(".")[0] in chance
    ]
    for path in modules("omnistream_nodes"):
        named = [n for n in ast.walk(tree(path)) if isinstance(n, ast.Attribute)]
        found += [where(path, n.lineno) for n in named if n.attr in ("urandom", "default_rng", "perf_counter", "monotonic")]
    assert found == []


# -- nothing runs a stranger's bytes --------------------------------------------------------------


def test_nothing_unpickles_evaluates_or_builds_objects_from_text() -> None:
    """No pickle is reachable from a socket, a file or a slot. What Ray pickles for itself is Ray's."""
    modules_of_old = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
    found = [f"{where(path, line)}: {name}" for _, path, name, line in every_import() if name.split(".")[0] in modules_of_old]
    for package in FOLDERS:
        for path in modules(package):
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.Call):
                    found += [f"{where(path, node.lineno)}: {what}" for what in unsafe(node)]
    assert found == []


def unsafe(call: ast.Call) -> Iterator[str]:
    """What is wrong with a call, if anything is."""
    function = call.func
    arguments = {k.arg: k.value for k in call.keywords}
    if isinstance(function, ast.Name) and function.id in ("eval", "exec", "compile", "__import__"):
        yield function.id
        return
    if isinstance(function, ast.Name) and function.id == "YAML":
        function = ast.Attribute(ast.Name("yaml"), "YAML")
    if not isinstance(function, ast.Attribute):
        return
    if function.attr in (
        "recv_pyobj",
        "send_pyobj",
        "full_load",
        "unsafe_load",
        "full_load_all",
        "unsafe_load_all",
        "execfile",
    ):
        yield function.attr
    owner = function.value.id if isinstance(function.value, ast.Name) else ""
    if owner == "yaml" and function.attr in ("load", "load_all"):
        yield "yaml.load"
    if owner == "os" and function.attr in ("system", "popen"):
        yield f"os.{function.attr}"
    if isinstance(shell := arguments.get("shell"), ast.Constant) and shell.value:
        yield "a shell"
    if isinstance(allow := arguments.get("allow_pickle"), ast.Constant) and allow.value:
        yield "allow_pickle"
    if owner == "torch" and function.attr == "load" and not getattr(arguments.get("weights_only"), "value", False):
        yield "torch.load without weights_only"
    if isinstance(typ := arguments.get("typ"), ast.Constant) and typ.value == "unsafe":
        yield "an unsafe YAML loader"


@pytest.mark.parametrize(
    "text",
    [
        "eval(x)", "exec(x)", "yaml.load(x)", "socket.recv_pyobj()", "subprocess.run(x, shell=True)", "os.system(x)",
        "np.load(x, allow_pickle=True)", "torch.load(x)", "ruamel.yaml.YAML(typ='unsafe')",
    ],
)  # fmt: skip
def test_this_check_can_fail(text: str) -> None:
    assert list(unsafe(ast.parse(text, mode="eval").body))  # type: ignore[arg-type]
    assert not list(unsafe(ast.parse("torch.load(x, weights_only=True)", mode="eval").body))  # type: ignore[arg-type]


# -- what importing costs -------------------------------------------------------------------------


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True, cwd=ROOT)
    return set(done.stdout.split())


HEAVY = {"ray", "torch", "onnxruntime", "ai_edge_litert", "av", "aiomqtt", "webrtcvad", "mujoco"}


@pytest.mark.parametrize(
    ("statement", "also"),
    [
        ("import omnistream", {"msgpack", "zmq", "pydantic", "rich", "typer", "ruamel"}),
        ("import omnistream.client", {"rich", "typer", "ruamel", "pydantic"}),
        ("import omnistream.testing", set()),
        ("import omnistream.cli.main", set()),
    ],
)
def test_importing_loads_neither_ray_nor_torch(statement: str, also: set[str]) -> None:
    assert not loaded_by(statement) & (HEAVY | also)


def test_importing_every_installed_node_and_driver_loads_nothing_heavy() -> None:
    """So that listing and checking them stays quick: models and transports are imported where a part opens."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    targets = sorted({t.split(":")[0] for g in groups.values() for t in g.values()})
    assert len(targets) > 10
    assert not loaded_by(f"import {', '.join(targets)}") & HEAVY


def test_the_public_names_are_few_and_there() -> None:
    assert sorted(omnistream.__all__) == [
        "Context", "Emit", "Message", "Node", "OmniStreamError", "Recent", "Sink", "Source", "Window",
    ]  # fmt: skip
    assert all(hasattr(omnistream, name) for name in omnistream.__all__)
