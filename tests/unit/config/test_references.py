import copy
import os
import pickle
from pathlib import Path

import pytest

from monitor.access.masking import Mask
from monitor.config.references import FILE_CAP, Secret, UnresolvedError, resolve


def test_a_secret_shows_its_reference_and_fingerprint_but_never_its_value(canary: str) -> None:
    secret = Secret(f"sk-test-FAKE-{canary}", "env:OPENAI_API_KEY")
    shown = [repr(secret), str(secret), f"{secret}", f"{[secret]}", secret.fingerprint]
    assert secret.reveal() == f"sk-test-FAKE-{canary}"
    assert all(canary not in text for text in shown)
    assert repr(secret) == f"Secret(env:OPENAI_API_KEY, {secret.fingerprint})"
    assert not hasattr(secret, "__dict__")


def test_the_fingerprint_is_the_start_of_the_values_sha256() -> None:
    assert Secret("abc", "env:A").fingerprint == "sha256:ba7816bf"


def test_a_secret_is_not_pickled_and_a_copy_is_itself() -> None:
    secret = Secret("abc", "env:A")
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)
    assert copy.copy(secret) is secret
    assert copy.deepcopy(secret) is secret


def test_secrets_compare_by_value_and_reference() -> None:
    assert Secret("abc", "env:A") == Secret("abc", "env:A")
    assert hash(Secret("abc", "env:A")) == hash(Secret("abc", "env:A"))
    assert Secret("abc", "env:A") != Secret("abd", "env:A")
    assert Secret("abc", "env:A") != Secret("abc", "env:B")
    assert Secret("abc", "env:A") != "abc"


def test_whitespace_around_a_value_is_stripped(tmp_path: Path) -> None:
    secret, warning = resolve("env:KEY", {"KEY": "  sk-test-FAKE \r\n"}, tmp_path)
    assert (secret.reveal(), secret.reference, warning) == ("sk-test-FAKE", "env:KEY", None)


@pytest.mark.parametrize("absolute", [True, False])
def test_a_file_is_read_from_the_folder_of_the_settings(tmp_path: Path, *, absolute: bool) -> None:
    file = tmp_path / "openai.key"
    file.write_text("sk-test-FAKE\n")
    file.chmod(0o640)
    reference = f"file:{file}" if absolute else "file:openai.key"
    secret, warning = resolve(reference, {}, tmp_path)
    assert (secret.reveal(), warning) == ("sk-test-FAKE", None)


def test_a_file_that_every_user_can_read_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "openai.key"
    file.write_text("sk-test-FAKE\n")
    file.chmod(0o644)
    _, warning = resolve("file:openai.key", {}, tmp_path)
    assert warning is not None
    assert "every user can read it (mode 0644)" in warning
    assert "sk-test-FAKE" not in warning


def test_a_credential_is_read_from_the_folder_of_the_service_manager(tmp_path: Path) -> None:
    (tmp_path / "openai").write_text("sk-test-FAKE")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    secret, warning = resolve("credential:openai", environ, Path("/nowhere"))
    assert (secret.reveal(), warning) == ("sk-test-FAKE", None)


def test_a_pipe_is_refused_at_once_instead_of_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnresolvedError, match="not a regular file"):
        resolve("file:pipe", {}, tmp_path)


def test_a_file_of_any_size_is_read_up_to_the_cap_only(tmp_path: Path) -> None:
    (tmp_path / "huge").write_bytes(b"x" * (FILE_CAP + 1))
    with pytest.raises(UnresolvedError, match="larger than 64 KiB"):
        resolve("file:huge", {}, tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"a b", b"a\nb", b"a\0b", b"\xef\xbb\xbfabc", b"a\x7fb"]
)
def test_a_value_that_no_header_can_carry_is_refused_without_showing_it(
    tmp_path: Path, canary: str, data: bytes
) -> None:
    (tmp_path / "key").write_bytes(data and data + canary.encode() if data.strip() else data)
    with pytest.raises(UnresolvedError) as caught:
        resolve("file:key", {}, tmp_path)
    assert canary not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ('"sk-test-FAKE-0001"', "has quotes around it"),
        ("'sk-test-FAKE-0001'", "has quotes around it"),
        ("12345", "is shorter than 6 characters"),
    ],
)
def test_a_value_in_quotes_and_one_too_short_to_hide_is_refused(value: str, fault: str) -> None:
    with pytest.raises(UnresolvedError, match=fault) as caught:
        resolve("env:KEY", {"KEY": value}, Path())
    assert value not in str(caught.value)


def test_the_shortest_value_that_is_taken_can_be_hidden() -> None:
    secret, _ = resolve("env:KEY", {"KEY": "123456"}, Path())
    assert "123456" not in Mask([secret.reveal()]).text("no such key: 123456")


@pytest.mark.parametrize(
    "reference",
    ["", "env", "env:", "ENV:KEY", "file:", "file:a\0b", "vault:x", "credential:..", "https://x"],
)
def test_what_is_no_reference_is_refused(tmp_path: Path, reference: str) -> None:
    with pytest.raises(UnresolvedError):
        resolve(reference, {"": "x", "KEY": "x", "CREDENTIALS_DIRECTORY": "/"}, tmp_path)
