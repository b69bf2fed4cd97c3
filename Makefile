# Everything here needs Python 3.11 or newer and make, nothing else. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo run test test-system torture audit bench bench-page bench-metrics bench-fleet bench-cadence bench-diagnosis fuzz docs pictures lint format lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do printf '  make %-16s %s\n' "$$target" "$$text"; done

# The lock pins every version by hash; the project itself is installed from this folder, editable.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "access-monitor needs Python 3.11 or newer; try: make PYTHON=python3.12" >&2; exit 2; }
	@echo "installing into $(VENV): about a minute, once"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## eight targets live their lives in 45 s: no account, no network, no cost
	@$(BIN)/access-monitor demo

run: $(READY) ## the monitor itself, with access-monitor.toml or OPENAI_API_KEY
	@$(BIN)/access-monitor run

test: $(READY) ## unit and integration tests and a dozen of the installed command
	@$(BIN)/python -m pytest -n $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) --dist worksteal -m "not system"

# They wait for processes much of their time: twice as many as there are cores keep those busy.
SPREAD = -n $$(( $$(getconf _NPROCESSORS_ONLN) * 2 )) --dist worksteal

test-system: $(READY) ## the installed command as processes, with real servers and faults
	@$(BIN)/python -m pytest $(SPREAD) -m system --durations=25 tests/system

torture: $(READY) ## the long versions of the fault tests, half an hour on two cores; fills the table in tests/README.md
	@$(BIN)/python -m pytest $(SPREAD) --torture tests/system

# In an environment of its own: it brings more along than the monitor has. Strict, as it would pass over
# what the advisory service does not know, and call that no vulnerability.
audit: requirements.lock ## known vulnerabilities of what the lock pins (needs the network)
	@$(PYTHON) -m venv --clear build/audit
	@build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	@build/audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.lock

bench: $(READY) ## what it costs to run: real processes, about 12 minutes; fills the tables of docs/running.md
	@$(BIN)/python tests/benchmarks/bench.py --json bench.json --docs

bench-page: $(READY) ## what the page costs on a million events: real processes, about 15 minutes; fills docs/running.md
	@$(BIN)/python tests/benchmarks/bench_page.py --json bench-page.json --docs

bench-metrics: $(READY) ## what a scrape of 10,000 targets costs the page, and the daemon: real processes, five minutes
	@$(BIN)/python tests/benchmarks/bench_metrics.py

bench-fleet: $(READY) ## how soon other workers go on, and what a fleet costs: real processes, eight minutes
	@$(BIN)/python tests/benchmarks/bench_fleet.py

bench-cadence: $(READY) ## how soon openings are noticed, against other schedules: simulated, under two minutes
	@$(BIN)/python tests/benchmarks/bench_cadence.py

bench-diagnosis: $(READY) ## what a diagnosis costs, per kind of answer
	@$(BIN)/python tests/benchmarks/bench_diagnosis.py

fuzz: $(READY) ## 200,000 broken answers and 20,000 disguised ones against the diagnosis, about three minutes
	@$(BIN)/python tests/benchmarks/fuzz_diagnosis.py --inputs 200000

docs: $(READY) ## fill the tables of docs/ that are made from the program
	@$(BIN)/python docs/generate.py

pictures: $(READY) ## draw the pictures of the README and docs/ from the real program, a minute and a half
	@$(BIN)/python docs/pictures.py

lint: $(READY) ## format, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(READY) ## put every file in its form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(READY) ## resolve the dependencies anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --group dev --upgrade --quiet pyproject.toml -o requirements.lock

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
