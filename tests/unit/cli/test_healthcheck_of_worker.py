"""`healthcheck --worker`: a name that no worker has is no health."""

from pathlib import Path

import pytest

from monitor.access.readable import ReadableError
from monitor.cli import healthcheck
from monitor.store import status_queries

NOBODY = "no worker is named z; `access-monitor status` lists them"


def test_a_worker_that_is_not_there_is_not_taken_for_another_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "access-monitor.toml"
    path.write_text(f'[monitor]\ndatabase = "sqlite:///{tmp_path}/x.db"\n')
    monkeypatch.setattr(status_queries, "worker", lambda *_: None)
    with pytest.raises(ReadableError) as problem:
        healthcheck._daemon(path, "z")
    assert str(problem.value).endswith(NOBODY)
