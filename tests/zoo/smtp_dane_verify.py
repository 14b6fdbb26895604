"""smtp-dane-verify, in an environment of its own (nothing of danelaw depends on it), asked about many hosts at once."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
TOOLS = HERE.parent.parent / ".tools"

PATIENCE = 60.0
"""Seconds for all hosts together; a host that says nothing costs 10."""

# It prints to standard output what openssl does, so the answer goes to a descriptor of its own.
_SCRIPT = """
import json, os, sys
from concurrent.futures import ThreadPoolExecutor
from smtp_dane_verify.verification import verify
answers = os.fdopen(int(sys.argv[1]), "w")
def ask(host):
    try:
        return host, verify(host).model_dump()
    except Exception as error:
        return host, {"message": f"{type(error).__name__}: {error}"}
with ThreadPoolExecutor(6) as pool:
    json.dump(dict(pool.map(ask, json.load(sys.stdin))), answers)
"""

Answer = Mapping[str, object]


def install() -> Path:
    """Install what requirements-smtp-dane-verify.txt pins, unless it is there; return the environment's Python.

    It is kept in .tools, so that only the first zoo needs a network. Raises RuntimeError with uv's words.
    """
    requirements = HERE / "requirements-smtp-dane-verify.txt"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.executable.encode()).hexdigest()
    environment = TOOLS / f"smtp-dane-verify-{wanted[:16]}"
    if not environment.is_dir():
        TOOLS.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=TOOLS) as folder:
            made = Path(folder) / "made"
            uv = os.environ.get("UV") or shutil.which("uv") or str(TOOLS / "bin" / "uv")
            _run([uv, "venv", "--quiet", "--python", sys.executable, str(made)])
            options = ["--quiet", "--compile-bytecode", "--require-hashes", "--python", str(made / "bin" / "python")]
            _run([uv, "pip", "sync", *options, str(requirements)])
            with suppress(OSError):  # somebody else was faster
                made.rename(environment)
    return environment / "bin" / "python"


def _run(argv: list[str]) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)
    except OSError as error:
        raise RuntimeError(f"{argv[0]}: {error.strerror}; make set-up installs uv") from error
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")


def ask(python: Path, hosts: Sequence[str]) -> Mapping[str, Answer]:
    """Return what it says of each host; raises RuntimeError where it does not come to an end."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as answers:
        process = subprocess.Popen(
            [str(python), "-c", _SCRIPT, str(writer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[writer],
            start_new_session=True,  # it leaves openssl behind where a server says nothing
        )
        os.close(writer)
        try:
            process.communicate(json.dumps(list(hosts)).encode(), timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"smtp-dane-verify did not end within {PATIENCE:g} s") from None
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        found: Mapping[str, Answer] = json.load(answers)
    return found
