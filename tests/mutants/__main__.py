"""`make mutants`: mutmut's mutants of the pure core, how many the tests kill, and whether each that lives is explained.

`python -m mutants [MODULE...]`; everything lies in build/mutants, and what was run there once is not run again while
neither the mutant nor a test has changed. docs/mutants.md has the survivors that are explained, a line for each.
"""

import os
import shutil
import subprocess
import sys
from collections import Counter
from json import loads
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
HERE = ROOT / "tests" / "mutants"
COPY = ROOT / "build" / "mutants"
PAGE = ROOT / "docs" / "mutants.md"
PYTHON = ROOT / ".tools" / "mutmut" / "bin" / "python"
VERDICTS = ("killed", "refused", "timeout", "survived")


def main(modules: list[str]) -> int:
    """Return 1 where a survivor is not explained."""
    _install()
    _copy()
    environment = {**os.environ, "PATH": f"{PYTHON.parent}:{os.environ['PATH']}"}
    subprocess.run([PYTHON, HERE / "prepare.py"], cwd=COPY, env=environment, check=True, stdout=subprocess.DEVNULL)
    results = COPY / "results.json"
    subprocess.run([PYTHON, HERE / "loop.py", results, *modules], cwd=COPY / "mutants", env=environment, check=True)
    rows = [row for row in loads(results.read_text()).values() if row["module"] in modules]
    sys.stdout.write(table(rows))
    explained = PAGE.read_text()
    lost = [row for row in rows if row["verdict"] == "survived" and line(row) not in explained]
    sys.stdout.write("".join(f"not explained: {line(row)}\n" for row in lost))
    sys.stdout.write(f"{len(rows)} mutants, {len(lost)} survivors that docs/mutants.md does not explain.\n")
    return 1 if lost else 0


def line(row: dict[str, str]) -> str:
    """Return how docs/mutants.md names a survivor."""
    return f"`{row['module']}`: `` {row['change']} ``"


def table(rows: list[dict[str, str]]) -> str:
    """Return the figures, a line for each module."""
    text = f"{'module':<12}" + "".join(f"{verdict:>10}" for verdict in VERDICTS) + "\n"
    for module in dict.fromkeys(row["module"] for row in rows):
        count = Counter(row["verdict"] for row in rows if row["module"] == module)
        text += f"{module:<12}" + "".join(f"{count[verdict]:>10}" for verdict in VERDICTS) + "\n"
    return text


def _install() -> None:
    uv = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    if not PYTHON.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, PYTHON.parent.parent], check=True)
    requirements: list[str | Path] = ["-r", ROOT / "requirements.txt", "-r", HERE / "requirements-mutmut.txt"]
    subprocess.run([uv, "pip", "install", "--quiet", "--python", PYTHON, *requirements], check=True)


def _copy() -> None:
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, COPY / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "pyproject.toml", COPY)


if __name__ == "__main__":
    every = sorted(path.stem for path in (ROOT / "src" / "danelaw" / "lifecycle").glob("[a-z]*.py"))
    sys.exit(main(sys.argv[1:] or every))
