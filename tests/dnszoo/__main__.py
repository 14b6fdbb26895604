"""Writes the table of docs/validation.md anew."""

import re
from pathlib import Path

from dnszoo.cases import table

PAGE = Path(__file__).parents[2] / "docs" / "validation.md"
TABLE = re.compile(r"<!-- table -->\n.*?<!-- end -->", re.DOTALL)

if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: f"<!-- table -->\n{table()}<!-- end -->", PAGE.read_text()))
