"""Print the part of a lock that something needs: `locked.py requirements.lock NAME…`.

The lock names for each package who asked for it (`# via`); each NAME and all that it asks for, and they in
turn, are printed with their hashes. A package too many does no harm, and one too few fails the
installation, which takes nothing without a hash.
"""

import re
import sys
from pathlib import Path

#: One package: its name, its versions and hashes, and the comment lines that name who asked for it.
_ENTRY = re.compile(
    r"^(?P<name>[\w.-]+)==.*\n(?:    --hash=.*\n)+(?P<via>(?:    #.*\n)*)", re.MULTILINE
)
#: Who asked: a package, or a project by its file. The project's groups (`…toml:dev`) are not the project.
_ASKED_BY = re.compile(r"#(?: via)? +([\w.-]+)(?: \([^:)]*\))?$", re.MULTILINE)


def needed(lock: str, *wanted: str) -> list[str]:
    """The entries of all that these need, and their own if they have one, in the lock's order."""
    entries = list(_ENTRY.finditer(lock))
    names, before = set(wanted), 0
    while len(names) > before:
        before = len(names)
        names |= {one["name"] for one in entries if names & set(_ASKED_BY.findall(one["via"]))}
    return [one[0] for one in entries if one["name"] in names]


if __name__ == "__main__":
    sys.stdout.writelines(needed(Path(sys.argv[1]).read_text(encoding="utf-8"), *sys.argv[2:]))
