"""What at the top of a file is about the file, and not about the statement below it."""

from __future__ import annotations

import re

LINE = r"#.*(?:\r\n|\r|\n)"
RULER = re.compile(r"#\s*[-=#*_~─═]{5,}")
RIGHTS = re.compile(r"copyright|licen[cs]e|SPDX|all rights reserved", re.IGNORECASE)


def header_end(lead: str, of_definition: bool = True) -> int:
    """Where the shebang, the coding line and the file's own comment block end in the `lead` of its first statement.

    The block right above a definition, or a banner, is about the definition, unless it speaks of rights.
    """
    first = re.match(rf"(?:#!{LINE[1:]})?(?:#.*coding[:=]{LINE[1:]})?", lead)
    end = first.end() if first else 0
    block = re.match(rf"(?:{LINE})+", lead[end:])
    if block is None:
        return end
    lines = block.group().splitlines()
    apart = lead[end + block.end() :][:1] in ("\r", "\n") and not any(RULER.match(line) for line in lines)
    stays = not of_definition or apart or RIGHTS.search(block.group())
    return end + block.end() if stays else end
