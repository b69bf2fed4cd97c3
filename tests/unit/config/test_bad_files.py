import os
from datetime import datetime
from pathlib import Path

import pytest

from monitor.config import SettingsError, load

BAD = Path(__file__).parent / "bad"


@pytest.mark.parametrize("name", sorted(path.stem for path in BAD.glob("*.toml")))
def test_each_bad_file_has_its_exact_report_and_shows_no_secret(
    name: str,
    environ: dict[str, str],
    now: datetime,
    canary: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`NAME.txt` is the report of `NAME.toml`.

    After a change that is meant, write them again with REWRITE_REPORTS=1 in the environment, and read
    the difference.
    """
    monkeypatch.chdir(BAD)
    with pytest.raises(SettingsError) as caught:
        load(Path(f"{name}.toml"), environ, now=now)

    report = str(caught.value).replace(f"{BAD}/", "").replace(str(BAD), ".") + "\n"
    if os.environ.get("REWRITE_REPORTS"):
        Path(f"{name}.txt").write_text(report, encoding="utf-8")
    assert report == Path(f"{name}.txt").read_text(encoding="utf-8")
    assert canary not in report + repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_no_report_is_left_without_its_file() -> None:
    reports = {path.stem for path in BAD.glob("*.txt")}
    assert reports == {path.stem for path in BAD.glob("*.toml")}
