"""certbot, in an environment of its own that is thrown away afterwards: nothing of danelaw depends on it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def install(folder: Path) -> Path:
    """Install certbot as bench/requirements-certbot.txt pins it, modules compiled; return its program.

    Raises RuntimeError with uv's words where that fails.
    """
    uv = os.environ.get("UV") or shutil.which("uv") or str(HERE.parent / ".tools" / "bin" / "uv")
    environment = folder / "certbot"
    python = environment / "bin" / "python"
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)])
    options = ["--quiet", "--compile-bytecode", "--require-hashes", "--python", str(python)]
    _run([uv, "pip", "sync", *options, str(HERE / "requirements-certbot.txt")])
    return environment / "bin" / "certbot"


def _run(argv: list[str]) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)
    except OSError as error:
        raise RuntimeError(f"{argv[0]}: {error.strerror}; make set-up installs uv") from error
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")


def renew(program: Path, folder: Path, *options: str) -> list[str]:
    """Return the command that renews what is due below a folder, without its random sleep of up to 8 minutes."""
    return [str(program), "renew", *folders(folder), "--no-random-sleep-on-renew", "--non-interactive", *options]


def folders(folder: Path) -> list[str]:
    """Return the options that keep certbot inside a folder."""
    return [
        *("--config-dir", str(folder)),
        *("--work-dir", str(folder / "work")),
        *("--logs-dir", str(folder / "logs")),
    ]
