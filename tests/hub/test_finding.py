"""How a repo is found by the name that a user writes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hfpipe.errors import UserError
from hfpipe.hub.publish import publish
from hfpipe.hub.repos import find


@pytest.fixture(scope="module")
def pushed(hub) -> str:
    """The commit of a repo of one's own."""
    return publish(hub, "local/found-by-name", "model", {"a.txt": b"a"}, "a").revision


@pytest.mark.parametrize("namespace", ["local", None])
def test_a_bare_name_is_a_repo_of_one_s_own(hub, pushed, namespace):
    """On the embedded Hub, and on one that only says who the token is."""
    endpoint = replace(hub, namespace=namespace)
    assert find(endpoint, "found-by-name", "model") == ("local/found-by-name", pushed)
    assert find(endpoint, f"found-by-name@{pushed}", "model")[1] == pushed
    assert find(endpoint, "local/found-by-name", "model") == ("local/found-by-name", pushed)


def test_a_name_that_there_is_nowhere_is_told_with_both_places(hub, pushed):
    elsewhere = replace(hub, namespace=None)
    with pytest.raises(UserError, match=r"neither 'found-by-nam' nor 'local/found-by-nam'"):
        find(elsewhere, "found-by-nam", "model")
    with pytest.raises(UserError, match="does not exist"):
        find(replace(elsewhere, token=None), "found-by-name", "model")
