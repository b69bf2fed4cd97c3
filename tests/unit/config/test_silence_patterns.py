"""What people type to silence something, and what they are told when it is nothing."""

import pytest

from monitor.config.silence_patterns import Names, patterns_of

NAMES = Names(
    targets=[
        "acme-prod/gpt-image-2:images",
        "acme-prod/vendor/model:free:chat",
        "acme-dev/gpt-5.1:summary",
        "acme-dev/[vip]m:chat",
        "pool-a-0123abcd/gpt-image-2:images",
        "event:odd/gpt-image-2:images",
    ],
    organizations=["org-acme", "org-example"],
    pools=["pool-a"],
    channels=["ops", "mail"],
)


@pytest.mark.parametrize(
    ("typed", "patterns"),
    [
        ("acme-prod/gpt-image-2:images", "acme-prod/gpt-image-2:images"),
        ("acme-prod/gpt-image-2", "acme-prod/gpt-image-2:*"),
        ("acme-prod/vendor/model:free", "acme-prod/vendor/model:free:*"),
        ("acme-dev/[vip]m:chat", "acme-dev/[vip]m:chat"),
        ("acme-dev/[vip]m", "acme-dev/[[]vip]m:*"),
        ("acme-*/*", "acme-*/*"),
        ("*/gpt-image-2:*", "*/gpt-image-2:*"),
        ("acme-prod", "acme-prod/*"),
        ("acme-*", "acme-*/*"),
        ("event:odd", "event:odd/*"),
        ("org-acme", "organization:org-acme"),
        ("organization:org-*", "organization:org-*"),
        ("pool-a", "pool:pool-a"),
        ("pool:pool-*", "pool:pool-*"),
        ("channel:ops", "channel:ops"),
        ("channel:*", "channel:*"),
        ("event:locked", "event:locked"),
        ("event:*", "event:*"),
    ],
)
def test_it_is_read_as_one_pattern(typed, patterns):
    assert patterns_of([typed], NAMES) == (patterns,)


def test_the_same_twice_is_one_pattern():
    typed = ["acme-prod", "acme-prod/*", "channel:ops"]
    assert patterns_of(typed, NAMES) == ("acme-prod/*", "channel:ops")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("acme-prd", 'no key, pool, organization or target is named "acme-prd"; did you mean "acme-prod"'),
        ("acme-prod/gpt-image-3", 'did you mean "acme-prod/gpt-image-2:images"'),
        ("org-exmple", 'did you mean "org-example"'),
        ("organization:acme", 'no organization is named "acme"; did you mean "org-acme"'),
        ("pool:pool-b", 'no pool is named "pool-b"; did you mean "pool-a"'),
        ("channel:opps", 'no channel is named "opps"; did you mean "ops"'),
        ("event:lockd", 'no event is named "lockd"; did you mean "locked"'),
        ("zzz-*", 'is named "zzz-*"; known: '),
        ("other/*", 'no target is named "other/*"'),
        ("", 'is named ""'),
        ("*" * 60_000, "at most 500 characters"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_an_error_that_names_the_nearest(typed, said):
    with pytest.raises(ValueError, match=r"named|at most") as caught:
        patterns_of([typed], NAMES)
    assert said in str(caught.value)
