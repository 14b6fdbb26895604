"""Run in mutmut's environment, in its folder of mutants: `loop.py RESULTS MODULE...` runs each mutant's tests.

mutmut's own loop collects the tests anew for each mutant and runs them in no order. Here they are collected once, each
mutant gets a fork of that process, and the quickest tests come first, up to the first that fails. What mypy refuses is
killed by `make check`, and is not run. RESULTS is a JSON file that grows: what it has is not run again.
"""

import json
import os
import re
import resource
import signal
import sys
from difflib import unified_diff
from pathlib import Path

import pytest
from mutmut.mutation import trampoline  # type: ignore[import-not-found]  # only in its own environment

PATIENCE = 120
"""Seconds of CPU time for a mutant; one that needs more is killed by its time."""


class Loop:
    """A pytest plugin that runs the tests once for each mutant."""

    def __init__(self, results: Path, modules: list[str]) -> None:
        self._path, self._modules = results, modules
        self._results = json.loads(results.read_text()) if results.exists() else {}
        known = json.loads(Path("mutmut-stats.json").read_text())
        self._reach, self._duration = known["tests_by_mangled_function_name"], known["duration_by_test"]
        self._refused = json.loads(Path("refused.json").read_text())

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        for module in self._modules:
            for name, change in changes(module).items():
                if name in self._results and self._results[name]["change"] == change:
                    continue
                reach = sorted(self._reach.get(name.partition("__mutmut_")[0], ()), key=self._duration.__getitem__)
                if name in self._refused:
                    verdict = "refused"
                else:
                    verdict = _verdict(session, name, [items[test] for test in reach if test in items])
                self._results[name] = {"verdict": verdict, "module": module, "change": change}
                self._path.write_text(json.dumps(self._results, indent=1))
        return True


def _verdict(session: pytest.Session, mutant: str, items: list[pytest.Item]) -> str:
    child = os.fork()
    if not child:
        code = 3
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE + 1))
            trampoline.get_mutant_under_test = lambda: mutant
            code = _failed(session, items)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "timeout" if os.WTERMSIG(status) in {signal.SIGXCPU, signal.SIGKILL} else "killed"
    return "killed" if os.WEXITSTATUS(status) else "survived"


def _failed(session: pytest.Session, items: list[pytest.Item]) -> int:
    for item, following in zip(items, [*items[1:], None], strict=True):
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return 1
    return 0


def changes(module: str) -> dict[str, str]:
    """Return what each mutant of a module changes, on one line: "was => is"."""
    path = Path(f"src/danelaw/lifecycle/{module}.py")
    lines = path.read_text().splitlines()
    spans = json.loads(Path(f"{path}.spans").read_text())["spans"]
    bodies = {
        name: [re.sub(r"__mutmut_\w+", "", line).strip() for line in lines[first - 1 : last]]
        for name, (first, last) in spans.items()
    }
    found = {}
    for name, body in bodies.items():
        function, _, number = name.rpartition("__mutmut_")
        if number != "orig":
            both = list(unified_diff(bodies[f"{function}__mutmut_orig"], body, n=0, lineterm=""))[3:]
            was, now = (" ".join(line[1:] for line in both if line[0] == sign) for sign in "-+")
            found[f"danelaw.lifecycle.{module}.{name}"] = f"{was} => {now}"
    return found


if __name__ == "__main__":
    trampoline.get_mutant_under_test = str  # none, and quicker than looking at the environment
    sys.path.insert(0, "src")
    tests = json.loads(Path("mutmut-stats.json").read_text())["duration_by_test"]
    options = ["-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:terminal"]
    files = sorted({test.partition("::")[0] for test in tests})
    sys.exit(pytest.main([*options, "--hypothesis-seed=0", *files], plugins=[Loop(Path(sys.argv[1]), sys.argv[2:])]))
