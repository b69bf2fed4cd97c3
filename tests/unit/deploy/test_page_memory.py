"""What the page is started with, so that it takes as much memory as docs/running.md says."""


def test_the_page_is_started_with_one_heap_wherever_it_runs(root, compose, manifests, fleet):
    unit = (root / "deploy" / "systemd" / "access-monitor-web.service").read_text()
    assert " MALLOC_ARENA_MAX=1\n" in unit
    assert compose["services"]["web"]["environment"] == {"MALLOC_ARENA_MAX": "1"}
    several = [
        manifests["StatefulSet"],
        *(one for one in fleet.values() if one["kind"] == "Deployment"),
    ]
    containers = [c for one in several for c in one["spec"]["template"]["spec"]["containers"]]
    pages = [one["env"] for one in containers if one["name"] == "web"]
    assert pages == [[{"name": "MALLOC_ARENA_MAX", "value": "1"}]] * 2
