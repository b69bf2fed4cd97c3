"""Files and folders that this user may not read or write: each is named, with what to do."""

import asyncio
import os

import pytest
from warm_command import COMMAND

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]

SETTINGS = """
[monitor]
database = "sqlite:///{folder}/monitor.db"
[[keys]]
name = "ключ-☃"
secret = "{secret}"
watch = ["gpt-image-2"]
"""
#: Root may read and write anything, unless it lays its powers down.
POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()


async def test_what_may_not_be_read_or_written_is_named_with_what_to_do(lab):
    for name in ("shut", "open", "closed"):
        (lab.folder / name).mkdir()
    (lab.folder / "secret.txt").write_text("sk-sim-FAKE-acme-0001")
    lab.environ["KEY"] = "sk-sim-FAKE-acme-0001"
    settings = {
        "nowhere.toml": ("shut", "env:KEY"),
        "hidden.toml": ("open", "env:KEY"),
        "barred.toml": ("closed", "env:KEY"),
        "closed/within.toml": ("open", "env:KEY"),
        "secretive.toml": ("open", "file:secret.txt"),
    }
    for name, (folder, secret) in settings.items():
        (lab.folder / name).write_text(SETTINGS.format(folder=folder, secret=secret))
    (lab.folder / "shut").chmod(0o555)
    (lab.folder / "closed").chmod(0)
    (lab.folder / "hidden.toml").chmod(0)
    (lab.folder / "secret.txt").chmod(0)
    place = "shut/monitor.db: Permission denied; let this user write there, or name another place"
    cases = (
        ("run --config nowhere.toml", 1, place),
        ("check --config nowhere.toml", 1, place),
        ("declare verified ключ-☃ --config nowhere.toml", 1, place),
        ("config check --config hidden.toml", 2, "hidden.toml"),
        ("config check --config closed/within.toml", 2, "closed/within.toml"),
        ("config check --config barred.toml", 0, "cannot write to "),
        ("run --config barred.toml", 1, "closed/monitor.db: Permission denied"),
        ("declare verified ключ-☃ --config barred.toml", 1, "closed/monitor.db: Permission denied"),
        ("status --config barred.toml", 1, "let this user enter its folder"),
        (
            "check --config secretive.toml",
            2,
            'secret.txt": Permission denied; let this user read it',
        ),
    )

    async def ended(arguments: str) -> int:
        process = await lab.launch(*POWERLESS, COMMAND, *arguments.split(), log="all")
        return await process.wait()

    statuses = await asyncio.gather(*(ended(arguments) for arguments, _, _ in cases))
    said = (lab.folder / "all.log").read_text()
    for (arguments, status, words), found in zip(cases, statuses, strict=True):
        assert found == status, (arguments, said)
        assert words in said, (arguments, said)
    assert said.count(place) == 3
    assert "Traceback" not in said
    (lab.folder / "closed").chmod(0o700)
