"""Photographs and a film of hands, for tests: fingerpose 0.1.0 (npm, MIT) and GCompris (Debian, GPL-3; fetched, never shipped).

    python tests/nodes/hand_pictures.py         (launch/setup.py --for test does that: nothing is left to fetch while tests run)

They are kept in the cache under ``media``; a file counts by its digest, whatever release of the package it is from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from omnistream.errors import ModelError
from omnistream_models import Package, cached_files
from omnistream_models.fetch import download, read_member

__all__ = ["HANDS", "PHOTOS", "cutouts", "photos"]

_FINGERPOSE = Package("npm", "fingerpose", "0.1.0", "MIT")
PHOTOS = {
    "nocurl.jpg": "5c4fff4ce6629b6add336c908abce0a3e73d32aa6eee6927aab2da8fc27cb380",
    "halfcurl.jpg": "b38ad7603c2b333c84ff0481004875bca068e4a716995c2acee60e78608beec1",
    "fullcurl.jpg": "9158ac10da1b6deacabcf6f38f4a0521db7bebcc4c5fbc53324ed688af6ce54b",
    "fingers-lq.gif": "1452516bb43bf19702f93ca796bba635d708fdc57607597b1e207e9d3e039bbe",
}
_GCOMPRIS = "gcompris-qt-data"
#: Out of its leftright.rcc: hands (main) and fists (poing), on transparent ground.
HANDS = {
    "main_droite_dessus.webp": "05657aeb43336d513b6724533e79082b149bdf6e6af0680031b601c9bc78e77d",
    "main_droite_paume.webp": "7ac0058c04f93fd039a2acb06a7548e0a3990fe4074ae694367923380f29f356",
    "main_gauche_dessus.webp": "f588e583051557a4f61a071b836a6091e67fae7a6703f912ab3a9bd44b5d4705",
    "main_gauche_paume.webp": "e57658199006929a6af8973974197acfa69c7da0cab7c835a1805ecb44e2ab59",
    "poing_droit_dessus.webp": "305784dc75919d340ece5703d107e841376b4fb42965e324fe42c761c49a175a",
    "poing_droit_paume.webp": "6ae0836358634d700a6d1143c4527b14321c23b332f270a175843b8805f5308f",
    "poing_gauche_dessus.webp": "a6a9a168d9920ddd1e77ee9611d7403f2a13e6de2a799a978af677d21a75dbac",
    "poing_gauche_paume.webp": "7c31b833b995dfa59a0fb69d550dcda48a07a785a76b60d1950c498115f3a0c7",
}
_APT_S = 100


def photos() -> dict[str, Path]:
    """Three photographs of a hand and a film of one, by name. Raises ModelError where npm cannot fetch them."""
    return cached_files("media", PHOTOS, str(_FINGERPOSE), _from_npm)


def cutouts() -> dict[str, Path]:
    """Eight photographs of hands, cut out. Raises ModelError where apt-get cannot fetch their package."""
    return cached_files("media", HANDS, _GCOMPRIS, _from_debian)


def _from_npm(folder: Path) -> Iterator[tuple[str, bytes]]:
    archive = download(_FINGERPOSE, folder)
    return ((name, read_member(archive, f"package/assets/{name}", 1 << 22)) for name in PHOTOS)


def _from_debian(folder: Path) -> Iterable[tuple[str, bytes]]:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise ModelError("the photographs of open palms are in a Debian package, and this is no Debian")
    error = _apt_get(folder, "download", _GCOMPRIS)
    if error and os.geteuid() == 0:  # a machine that was never told what there is
        _apt_get(folder, "update")
        error = _apt_get(folder, "download", _GCOMPRIS)
    if error:
        raise ModelError(f"apt-get cannot download {_GCOMPRIS} ({error}); try again after apt-get update")
    subprocess.run(["dpkg-deb", "-x", str(next(folder.glob("*.deb"))), str(folder)], check=True, timeout=_APT_S)
    names = {digest: name for name, digest in HANDS.items()}
    images = (i for file in folder.glob("usr/share/**/leftright.rcc") for i in _webp_in(file.read_bytes()))
    return {names[d]: i for i in images if (d := hashlib.sha256(i).hexdigest()) in names}.items()


def _apt_get(folder: Path, *words: str) -> str:
    """Empty, or what it said last."""
    command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", *words]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_APT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer for {_APT_S} s"
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return said[-1] if done.returncode else ""


def _webp_in(data: bytes) -> Iterator[bytes]:
    at = data.find(b"RIFF")
    while at >= 0:
        size = int.from_bytes(data[at + 4 : at + 8], "little") + 8
        if data[at + 8 : at + 12] == b"WEBP":
            yield data[at : at + size]
        at = data.find(b"RIFF", at + 4)


def main() -> int:
    failed = 0
    for fetch in (photos, cutouts):
        try:
            fetch()
        except (ModelError, OSError) as error:
            failed = 1
            print(f"pictures of hands: {error}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main())
