# Everything a fresh Debian machine needs is installed by the first target that needs it: Debian packages by apt-get,
# Python packages by uv into .venv. `make demo` and `make test` are all that a newcomer has to know.

SHELL := /bin/sh
PYTHON := .venv/bin/python
AS_ROOT := $(shell [ "$$(id -u)" -eq 0 ] || echo sudo)

.PHONY: demo demo-rollover test check units world simulate bench zoo mutants format clean set-up

demo: set-up
	$(AS_ROOT) env PYTHONPATH=tests $(PYTHON) -m demo

# A key rollover as it happens, with senders that try every 50 ms; then the naive way beside it.
demo-rollover: set-up
	$(AS_ROOT) env PYTHONPATH=tests $(PYTHON) -m demo.rollover

test: set-up check
	$(AS_ROOT) $(PYTHON) -m pytest -n auto --dist loadgroup -p no:cacheprovider

# Only what needs no server and no root.
units: set-up check
	$(PYTHON) -m pytest -n auto --dist loadgroup tests/unit tests/property tests/simulation

check: set-up
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

world: set-up
	scripts/world up

# Years of renewals and key rollovers, with everything that can go wrong (docs/simulation.md).
YEARS := 1000
simulate: set-up
	env PYTHONPATH=tests $(PYTHON) -m simulation --years $(YEARS)

# Figures beside bare Python and certbot (docs/bench.md, which it writes); BENCH=--quick only tries it.
bench: set-up
	$(AS_ROOT) env PYTHONPATH=tests UV="$$(command -v uv || echo .tools/bin/uv)" $(PYTHON) -m bench $(BENCH)

# Mail hosts right and wrong, and what danelaw and five other tools say of them (docs/agreement.md, which it writes).
zoo: set-up
	$(AS_ROOT) env PYTHONPATH=tests UV="$$(command -v uv || echo .tools/bin/uv)" $(PYTHON) -m zoo

# Mutants of the pure core, and whether the tests kill them (docs/mutants.md); an hour or more, or one: MODULES=gate.
mutants: set-up
	env PYTHONPATH=tests UV="$$(command -v uv || echo .tools/bin/uv)" $(PYTHON) -m mutants $(MODULES)

format: set-up
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

set-up:
	@scripts/set-up

clean:
	rm -rf .venv .tools build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
