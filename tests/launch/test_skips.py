"""What a test skips for want of, `make test` installs: a fresh Debian machine skips nothing."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

TESTS = Path(__file__).parents[1]
SETUP = runpy.run_path(str(TESTS.parent / "launch" / "setup.py"))


def test_every_package_that_a_skip_names_is_installed_for_tests() -> None:
    named = {
        (word, file.name)
        for file in TESTS.rglob("*.py")
        for words in re.findall(r"skip.*?apt-get install ([a-z0-9.\- ]+)", file.read_text(encoding="utf-8"))
        for word in words.split()
    }
    assert len(named) >= 9
    assert {(word, file) for word, file in named if word not in SETUP["PACKAGES"]["test"]} == set()


def test_every_program_that_a_test_looks_for_is_in_a_package_that_is_installed_for_tests() -> None:
    holders = {
        "mosquitto_sub": "mosquitto-clients", "mosquitto_pub": "mosquitto-clients", "pactl": "pulseaudio-utils",
        "parec": "pulseaudio-utils", "aplay": "alsa-utils", "arecord": "alsa-utils", "ip": "iproute2",
        "promtool": "prometheus",
    }  # fmt: skip
    always = {"make", "apt-get", "dpkg-deb", "git"}  # make has called us; the next two are Debian's own
    sought = {
        (program, file.name)
        for file in TESTS.rglob("*.py")
        for program in re.findall(r"shutil\.which\(\"([^\"]+)\"\)", file.read_text(encoding="utf-8"))
    }
    assert sought
    lacking = {(p, file) for p, file in sought if p not in always and holders.get(p, p) not in SETUP["PACKAGES"]["test"]}
    assert lacking == set()
