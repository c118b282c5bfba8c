"""Sets OmniStream up in this checkout: virtual environment, locked packages, Debian packages where it may, model files.

Called by the Makefile with any Python; uses the standard library only. Does nothing (in well under a second) when a
stamp says that it has been done for these files. Every failure is one sentence that says what to install.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "omnistream-setup.json"
#: What decides whether an earlier setup still holds.
INPUTS = ("pyproject.toml", "constraints.txt", "launch/setup.py", "nodes/omnistream_models/registry.py")
#: Debian packages, and what is lost without them.
PACKAGES = {
    "run": {"mosquitto": "the demo's MQTT broker (an embedded one serves instead)"},
    "test": {
        "mosquitto": "tests against a real MQTT broker",
        "mosquitto-clients": "tests against an MQTT client that is not ours",
        "iproute2": "tests between hosts, which are network namespaces",
        "flite": "synthesized voices for recordings and tests",
        "espeak-ng": "synthesized voices for recordings and tests",
        "pocketsphinx-testdata": "a person's recorded voice, for recordings and tests",
        "alsa-utils": "tests of the microphone on a recorded voice",
        "sox": "tests of the microphone at other rates",
        "ffmpeg": "tests of the camera and the microphone on other people's streams",
        "pulseaudio": "tests of the microphone through PulseAudio",
        "pulseaudio-utils": "tests of the microphone through PulseAudio",
        "libasound2-plugins": "tests of the microphone through ALSA",
        "python3-gi": "tests of the camera over RTSP",
        "gir1.2-gst-rtsp-server-1.0": "tests of the camera over RTSP",
        "gstreamer1.0-plugins-good": "tests of the camera over RTSP",
        "npm": "pictures of hands, for recordings and tests",
        "prometheus": "tests of the metrics against a real Prometheus",
        "libegl1": "tests of rendered scenes",
        "libgl1-mesa-dri": "tests of rendered scenes",
        "asterisk-core-sounds-en-g722": "recorded voices, for benchmarks",
    },
}


#: Set where nothing more is to be installed: pip could not go on, or somebody pressed Ctrl-C.
STOPPED = threading.Event()


class SetupError(Exception):
    """A sentence for the person who ran make."""


def say(text: str) -> None:
    print("setup: " + text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--for", dest="purpose", choices=("run", "test"), default="run")
    parser.add_argument("--torch", choices=("cpu", "cuda", "system"), default="")
    parser.add_argument("--python-given", action="store_true")
    options = parser.parse_args()
    find_python(options.python_given)
    stamp = read_stamp()
    same_python = not options.python_given or stamp.get("python") in (None, python_version())
    same_torch = options.torch in ("", stamp.get("torch", options.torch))
    key = stamp_key()
    if stamp.get("key") == key and same_python and same_torch and done_for(stamp, options.purpose):
        return
    torch = options.torch or stamp.get("torch") or "cpu"
    if VENV.is_dir() and not (same_python and same_torch):
        say(f"rebuilding .venv for Python {python_version()}, torch: {torch}")
        shutil.rmtree(VENV)
    environment(torch)
    install(options.purpose, torch)
    files = models()
    if options.purpose == "test":
        pictures()
    write_stamp({"key": key, "python": venv_version(), "torch": torch, "purpose": options.purpose, "files": files})
    say("ready")


def python_version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def venv_version() -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def find_python(given: bool) -> None:
    """Go on under Python 3.11 or newer, or say what is missing."""
    if sys.version_info >= (3, 11):  # noqa: UP036 - an older Python may well be the one that runs this file
        return
    if not given:
        for name in ("python3.13", "python3.12", "python3.11"):
            if shutil.which(name):
                os.execvp(name, [name, *sys.argv])
    raise SetupError(
        f"{sys.executable} is Python {python_version()}, but 3.11 or newer is needed; install it (on Debian or Ubuntu: "
        "apt-get install python3.11 python3.11-venv) or name one: make PYTHON=/path/to/python3.11"
    )


def stamp_key() -> str:
    digest = hashlib.sha256()
    for name in INPUTS:
        digest.update(name.encode() + b"\0" + (ROOT / name).read_bytes() + b"\0")
    digest.update(f"{ROOT} {os.environ.get('OMNISTREAM_CACHE', '')}".encode())
    return digest.hexdigest()


def read_stamp() -> dict[str, Any]:
    try:
        return json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_stamp(stamp: dict[str, Any]) -> None:
    new = STAMP.with_suffix(".new")
    new.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    new.replace(STAMP)


def done_for(stamp: dict[str, Any], purpose: str) -> bool:
    """What was set up for tests serves a run too; model files may have gone from the cache meanwhile."""
    if purpose == "test" and stamp.get("purpose") != "test":
        return False
    return all(Path(path).is_file() and Path(path).stat().st_size == size for path, size in stamp["files"])


def install(purpose: str, torch: str) -> None:
    """Debian's packages and pip's: one is downloaded while the other is unpacked."""
    with ThreadPoolExecutor() as pool:
        system = pool.submit(debian, PACKAGES[purpose])
        try:
            packages(purpose, torch)
            system.result()
        except BaseException:
            STOPPED.set()
            raise


def debian(wanted: dict[str, str]) -> None:
    """Install Debian packages as root on Debian or Ubuntu; elsewhere say what is missing and go on."""
    if shutil.which("dpkg-query") is None:
        for name, why in wanted.items():
            if name in ("mosquitto", "flite", "espeak-ng", "sox", "ffmpeg", "npm") and not shutil.which(name):
                say(f"'{name}' is not installed: {why}")
        return
    missing = [n for n in wanted if not has_package(n)]
    if missing and os.geteuid() == 0:
        missing = apt(missing)
    if STOPPED.is_set():
        return
    for name in missing:
        say(f"'{name}' is not installed: {wanted[name]}")
    if missing:
        say("to have them: sudo apt-get install --no-install-recommends " + " ".join(missing))


def has_package(name: str) -> bool:
    if name == "npm" and shutil.which(name):
        return True  # Node.js is often not Debian's
    done = subprocess.run(["dpkg-query", "-W", "-f=${Status}", name], capture_output=True, text=True, check=False)
    return done.stdout.endswith(" installed")


def apt(names: list[str]) -> list[str]:
    """Install what can be had; returns the rest. Services that packages start are stopped: we start our own."""
    if not shutil.which("apt-get"):
        return names
    say("apt-get install " + " ".join(names))
    if not apt_get("install", *names):
        apt_get("update")
        if not apt_get("install", *names):  # one that this release does not have must not cost the others
            for name in names:
                apt_get("install", name)
    missing = [n for n in names if not has_package(n)]
    for service in {"mosquitto", "prometheus"} & set(names) - set(missing):
        systemd = Path("/run/systemd/system").is_dir()
        stop = ["systemctl", "disable", "--now", f"{service}.service"] if systemd else ["service", service, "stop"]
        if shutil.which(stop[0]):
            subprocess.run(stop, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return missing


def apt_get(what: str, *names: str) -> bool:
    if STOPPED.is_set():
        return False
    command = ["apt-get", what, "-y", "-qq", *(["--no-install-recommends", *names] if names else [])]
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    done = subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if done.returncode:
        STOPPED.wait(1)  # if a Ctrl-C ended it, the main thread says so in a moment
    return done.returncode == 0


def environment(torch: str) -> None:
    """The virtual environment in .venv, with pip."""
    if PYTHON.exists() and subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
        return
    say(f"making .venv with Python {sys.version.split()[0]}")
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    if torch == "system":
        command.insert(3, "--system-site-packages")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    package = f"python{python_version()}-venv"
    if done.returncode and os.geteuid() == 0 and not apt([package]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        raise SetupError(f"Python's venv module does not work here; on Debian or Ubuntu: sudo apt-get install {package}")


def packages(purpose: str, torch: str) -> None:
    """The locked packages and this checkout, editable."""
    constraints = ROOT / "constraints.txt"
    lines = constraints.read_text(encoding="utf-8").splitlines()
    locked = next(line.split("==")[1] for line in lines if line.startswith("torch=="))
    if torch == "system":
        if fails("import torch"):
            raise SetupError("TORCH=system, but the system's Python has no torch; install it there or leave TORCH out")
        constraints = VENV / "constraints.txt"
        constraints.write_text("\n".join(line for line in lines if not line.startswith("torch==")), encoding="utf-8")
    elif torch == "cuda":
        pip(f"torch=={locked},!={locked}+cpu", constraints, "torch with CUDA")
        if fails("import torch; assert torch.version.cuda"):
            raise SetupError(f"pip's index has no CUDA build of torch {locked} for this machine; use TORCH=cpu or TORCH=system")
    else:
        try:  # The CPU build by name, where the index has it: the plain name may mean gigabytes of CUDA.
            pip(f"torch=={locked}+cpu", constraints, "torch for the CPU")
        except SetupError:
            say(f"pip's index has no CPU-only torch {locked} for this machine; taking its default build")
    pip(f"-e{ROOT}[{'demo,dev' if purpose == 'test' else 'demo'}]", constraints, f"about {len(lines)} packages")


def fails(code: str) -> bool:
    return subprocess.run([PYTHON, "-c", code], capture_output=True, check=False).returncode != 0


def pip(what: str, constraints: Path, called: str) -> None:
    """Run pip install, showing how far it is. Raises SetupError with pip's own last error."""
    command = [str(PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    say("pip install: " + called)
    errors: list[str] = []
    seen = 0
    with subprocess.Popen([*command, what, "-c", str(constraints)], stdout=-1, stderr=subprocess.STDOUT, text=True) as p:
        for line in p.stdout or ():
            text = line.strip()
            if text.startswith("ERROR"):
                errors.append(text[7:].strip())
            elif text.startswith("Collecting"):
                seen += 1
                if seen % 10 == 0:
                    say(f"  {seen} packages")
            elif text.startswith("Downloading") and re.search(r"\d\d+(\.\d)? MB|GB", text):
                say("  " + text.split("/")[-1])
            elif text.startswith("Installing collected"):
                say("  installing")
    if p.returncode:
        reason = (errors or [f"exit code {p.returncode}"])[-1].rstrip(".")
        raise SetupError(
            f"pip could not install what OmniStream needs: {reason}. Check the network and pip's settings; the locked versions "
            f"were tried with Python 3.11, and this is {python_version()}"
        )


def models() -> list[tuple[str, int]]:
    """Pull the model files; returns their paths and sizes."""
    code = (
        "import json, sys\nfrom omnistream.errors import OmniStreamError\nfrom omnistream_models import pull\n"
        "try:\n    paths = pull(progress=lambda line: print('setup:   ' + line, file=sys.stderr, flush=True))\n"
        "except OmniStreamError as e:\n    sys.exit('setup: ' + str(e))\n"
        "print(json.dumps([[str(p), p.stat().st_size] for p in paths.values()]))"
    )
    say("model files")
    done = subprocess.run([PYTHON, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise SetupError("the model files are not complete; mend that and run the same command again")
    return json.loads(done.stdout)


def pictures() -> None:
    """Fetch the photographs that tests of hands look at; where they cannot be had, those tests are skipped with a sentence."""
    say("pictures of hands, for tests")
    if subprocess.run([PYTHON, "tests/nodes/hand_pictures.py"], cwd=ROOT, check=False).returncode:
        say("tests of hands that need these will be skipped")


if __name__ == "__main__":
    os.chdir(ROOT)
    try:
        main()
    except SetupError as e:
        print(f"setup: {e}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("setup: stopped; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
