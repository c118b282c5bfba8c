"""How the pictures of hands come here: by digest only, and on a machine whose apt-get was never told what there is."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import hand_pictures
import pytest

from omnistream.errors import ModelError

IMAGE = b"RIFF" + (12).to_bytes(4, "little") + b"WEBP" + b"a hand!!"
NAME = "main_droite_dessus.webp"
#: An apt-get that knows of no package before it was updated, and then gives a file that dpkg-deb unpacks.
APT = """#!/bin/sh
case "$*" in
  *update) touch "$0.told" ;;
  *download*) if [ ! -e "$0.told" ]; then echo "E: No packages found" >&2; exit 100; fi; touch hands_1_all.deb ;;
esac
"""
DPKG = """#!/bin/sh
mkdir -p "$3/usr/share/gcompris-qt/rcc" && cp "$0.rcc" "$3/usr/share/gcompris-qt/rcc/leftright.rcc"
"""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs of a Debian that has one picture, and a cache with nothing in it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("apt-get", APT), ("dpkg-deb", DPKG)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (programs / "dpkg-deb.rcc").write_bytes(b"qres" + IMAGE + b"RIFF\x02\x00\x00\x00WAVE" + b"rest")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OMNISTREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hand_pictures, "HANDS", {NAME: hashlib.sha256(IMAGE).hexdigest()})
    return programs


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may tell apt-get what there is")
def test_a_machine_that_was_never_told_is_told(debian: Path) -> None:
    kept = hand_pictures.cutouts()
    assert kept[NAME].read_bytes() == IMAGE
    (debian / "apt-get").unlink()  # what is there is not fetched again
    assert hand_pictures.cutouts() == kept


def test_a_file_that_was_spoilt_is_fetched_anew(debian: Path) -> None:
    (debian / "apt-get.told").touch()
    kept = hand_pictures.cutouts()[NAME]
    kept.write_bytes(b"spoilt")
    assert hand_pictures.cutouts()[NAME].read_bytes() == IMAGE


def test_another_picture_than_the_one_that_was_tried_is_refused_and_not_kept(
    debian: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (debian / "apt-get.told").touch()
    monkeypatch.setattr(hand_pictures, "HANDS", {NAME: hashlib.sha256(b"another").hexdigest()})
    with pytest.raises(ModelError, match=f"holds no {NAME}: it is not the one that was tried"):
        hand_pictures.cutouts()
    assert not (Path(os.environ["OMNISTREAM_CACHE"]) / "media" / NAME).exists()


def test_without_the_package_it_says_what_apt_get_said(debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ModelError, match="apt-get cannot download gcompris-qt-data .E: No packages found.; try again after"):
        hand_pictures.cutouts()
