"""The admin API's two reads, as the official client makes them."""

import httpx
import openai
import pytest

pytestmark = pytest.mark.anyio

SCENARIO = """
[[keys]]
name = "acme"
secret = "sk-sim-FAKE-acme-0001"
organization = "org-acme"
projects = ["proj_acme"]
gate.open = "always"
[[admins]]
secret = "sk-admin-sim-FAKE-0001"
organization = "org-acme"
"""
RULED = SCENARIO + 'mode = "allow_list"\nmodels = ["gpt-5.1"]\nimages_per_minute = 0\n'


async def test_a_projects_rate_limits_have_a_row_for_each_model(start, client):
    admin = client(await start(RULED), admin_api_key="sk-admin-sim-FAKE-0001").admin.organization
    rows = [row async for row in admin.projects.rate_limits.list_rate_limits("proj_acme")]
    by_model = {row.model: row for row in rows}
    assert by_model["gpt-image-2"].max_images_per_1_minute == 0
    assert by_model["gpt-5.1"].max_images_per_1_minute is None


async def test_a_projects_model_permissions_are_told_and_kept(start, client):
    used = client(await start(RULED), admin_api_key="sk-admin-sim-FAKE-0001")
    ruled = await used.admin.organization.projects.model_permissions.retrieve("proj_acme")
    assert (ruled.mode, ruled.api_model_ids) == ("allow_list", ["gpt-5.1"])
    with pytest.raises(openai.PermissionDeniedError, match="does not have access to model"):
        await used.images.generate(model="gpt-image-2", prompt="a grey dot")


async def test_a_project_without_permissions_or_unknown_is_not_found(start, client):
    used = client(await start(SCENARIO), admin_api_key="sk-admin-sim-FAKE-0001")
    for project in ("proj_acme", "proj_other"):
        with pytest.raises(openai.NotFoundError):
            await used.admin.organization.projects.model_permissions.retrieve(project)


@pytest.mark.parametrize(
    ("secret", "error"),
    [
        ("sk-sim-FAKE-acme-0001", openai.PermissionDeniedError),
        ("sk-admin-sim-FAKE-0002", openai.AuthenticationError),
    ],
)
async def test_only_an_admin_key_may_ask(start, client, secret, error):
    used = client(await start(SCENARIO), admin_api_key=secret)
    with pytest.raises(error):
        await used.admin.organization.projects.model_permissions.retrieve("proj_acme")


async def test_without_a_key_it_says_that_none_was_provided(start):
    simulator = await start(SCENARIO)
    async with httpx.AsyncClient(base_url=simulator.origin) as stranger:
        places = "/v1/organization/projects/proj_acme/rate_limits", "/v1/models"
        answers = [(await stranger.get(place)).json() for place in places]
    assert answers[0]["error"]["message"].startswith("You didn't provide an API key.")
    assert answers[0] == answers[1]
