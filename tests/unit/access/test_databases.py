"""The address of a PostgreSQL: what may be shown of it, and what is taken for one."""

import pickle

import pytest

from monitor.access.databases import Server


@pytest.mark.parametrize(
    ("address", "shown", "passwords"),
    [
        ("postgresql://db.example/monitor", "postgresql://db.example/monitor", ()),
        ("postgres://a:b%2Fc@db.example:6432/m?x=y", "postgresql://db.example:6432/m", ("b/c",)),
        ("postgresql://a:b@h1,h2:99/m", "postgresql://h1,h2:99/m", ("b",)),
        ("postgresql:///m?host=/run/pg&user=a&password=p%23q", "postgresql:///m", ("p#q",)),
        ("postgresql://db.example/m?sslpassword=s", "postgresql://db.example/m", ("s",)),
        ("postgresql://[::1]:5432/m", "postgresql://[::1]:5432/m", ()),
    ],
)
def test_host_and_name_are_shown_and_nothing_else(address, shown, passwords):
    server = Server(address)
    assert (str(server), repr(server), server.passwords) == (shown, f"Server({shown})", passwords)
    assert server.reveal() == address


@pytest.mark.parametrize("sign", ["/", "?", "#", "%zz", "%", "[", " "])
def test_a_password_that_readers_take_apart_differently_is_refused_and_not_shown(sign):
    with pytest.raises(ValueError, match="must be encoded") as refused:
        Server(f"postgresql://monitor:FAKE{sign}secret@db.example/monitor")
    assert "FAKE" not in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["", "mysql://db.example/m", "postgresql:db", "postgresql://[::1/m"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="is no postgresql://"):
        Server(address)


def test_it_is_not_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(Server("postgresql://a:b@db.example/m"))
