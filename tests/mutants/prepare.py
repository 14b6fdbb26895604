"""Run in mutmut's environment and in the copy: write the mutants, ask mypy of them, find which tests reach what."""

import json
from pathlib import Path

from mutmut import __main__ as mutmut  # type: ignore[import-not-found]  # only in its own environment
from mutmut.mutation.trampoline import set_mutant_under_test  # type: ignore[import-not-found]

if __name__ == "__main__":
    set_mutant_under_test("mutant_generation")
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.setup_source_paths()
    mutmut.create_mutants(1)
    refused = mutmut.filter_mutants_with_type_checker()
    Path("mutants/refused.json").write_text(
        json.dumps({name: row.error.error_description for name, row in refused.items()})
    )
    runner = mutmut.get_mutant_runner(1)
    mutmut.collect_or_load_stats(runner, mutants_caught_by_type_checker=refused, apply_config_invalidation=True)
