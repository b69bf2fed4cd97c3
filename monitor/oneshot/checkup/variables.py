"""Do variables of the environment, which the official client obeys, contradict the settings?"""

from monitor.config.problems import shown
from monitor.oneshot.checkup.checkup_context import CheckupContext
from monitor.oneshot.checkup.results import CheckFinding

VARIABLES = "variables"


async def check(context: CheckupContext) -> CheckFinding | None:
    """A stale variable redirects other programs silently; the monitor itself goes by its settings."""
    target = context.plan.target
    configured = {
        "OPENAI_ORG_ID": target.organization,
        "OPENAI_PROJECT_ID": target.project,
        "OPENAI_BASE_URL": context.route.base_url,
    }
    seen = {name: context.environ.get(name, "").strip() for name in configured}
    stale = [
        f"{name} is {shown(seen[name][:100])}, the settings have {shown(value or 'none')}"
        for name, value in configured.items()
        if seen[name] and seen[name].rstrip("/") != (value or "")
    ]
    if stale:
        context.problem(VARIABLES, "; ".join(stale))
        context.notes.append(
            "Variables of this environment contradict the settings, and programs that use the official"
            f" client here obey them, not the settings: {'; '.join(stale)}. Remove them or set them alike."
        )
        return None
    agreeing = [name for name, value in seen.items() if value]
    context.ok(
        VARIABLES, f"{', '.join(agreeing)} as in the settings" if agreeing else "none are set"
    )
    return None
