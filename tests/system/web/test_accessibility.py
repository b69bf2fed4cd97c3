"""What everybody needs of every page: axe-core finds nothing, and a narrow window shows all."""

import pytest
from axe_playwright_python.async_playwright import Axe

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

#: What does not fit, in words: the page must not scroll sideways, and only what says so may.
_TOO_WIDE = """
() => {
  const most = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll("body *")].filter(
    (one) =>
      !one.closest(".scroll, .hidden, .skip, svg, thead") &&
      one.getBoundingClientRect().right > most + 1
  );
  const page = document.documentElement.scrollWidth > most ? ["the page"] : [];
  return [...page, ...wide.map((one) => one.outerHTML.slice(0, 120))];
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_has_a_violation_or_is_too_wide(
    site, viewer, pages, tokens, signed_in, opened, scheme
):
    viewer.expected = ["status of 404"]
    await site.watch(tokens=True)
    await site.serve()
    # every state, an opening that was measured, and one that is waited for
    for organization in ("org-acme", "org-pool"):
        await site.declare(organization)
    await site.lab.told("propagating", count=2)
    await site.lab.replay(opened)
    await site.reaches("available")
    assert set((await site.status()).values()) >= {"available", "propagating", "locked", "unknown"}

    for pattern in ("acme-prod/*", "channel:pager"):  # one in force, and one that ended
        made = await site.lab.call("silence", "add", pattern, "--for", "2h", "--reason", "moving")
        assert made.status == 0, made.err
    ended = await site.lab.call("silence", "end", "2")
    assert ended.status == 0, ended.err

    def dead() -> bool:
        return bool(site.lab.ask("SELECT 1 FROM notifications WHERE state = 'dead'"))

    await site.lab.until(dead, "a dead notification")
    found, looked_at = [], 0
    for width in (320, 1200):
        context = await viewer.context(
            color_scheme=scheme, viewport={"width": width, "height": 800}
        )
        page = await viewer.open(site.url, context=context)
        await signed_in(page, tokens["write"])
        for name, path in pages.items():
            await page.goto(site.url + path)
            for violation in (await Axe().run(page)).response["violations"]:
                nodes = [node["html"][:160] for node in violation["nodes"][:3]]
                found.append(f"{name}, {width} px: {violation['id']}: {violation['help']}: {nodes}")
            found += [
                f"{name}, {width} px: too wide: {one}" for one in await page.evaluate(_TOO_WIDE)
            ]
            looked_at += 1
    assert found == []
    assert looked_at == 2 * len(pages)
