# make run | test | test-gpu | check | bench | bench-models | soak | setup | clean        options: PYTHON=python3.12  TORCH=cpu|cuda|system  N=1000 (soak)
PYTHON ?= $(shell command -v python3 || echo python3)
N ?= 100
override options := $(if $(filter command line environment,$(origin PYTHON)),--python-given) $(if $(TORCH),--torch $(TORCH))
setup = @command -v "$(PYTHON)" >/dev/null || { echo "setup: '$(PYTHON)' is not here; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }; \
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 7))' || { echo "setup: $(PYTHON) is too old; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11" >&2; exit 2; }; \
	"$(PYTHON)" launch/setup.py $(options)

.PHONY: run test test-gpu check bench bench-models soak setup clean
run: ; $(setup) --for run
	@.venv/bin/python launch/demo.py

test: ; $(setup) --for test
	@.venv/bin/python launch/all_tests.py

test-gpu: ; $(setup) --for test
	@.venv/bin/python -m pytest -m gpu && .venv/bin/python launch/bench_gpu.py

check: ; $(setup) --for test
	@.venv/bin/ruff format --check . && .venv/bin/ruff check . && .venv/bin/pyright

bench: ; $(setup) --for test
	@.venv/bin/python launch/bench.py && .venv/bin/python launch/bench_link.py && .venv/bin/python launch/bench_load.py \
	&& .venv/bin/python launch/bench_record.py && .venv/bin/python launch/bench_observe.py \
	&& .venv/bin/python launch/bench_overload.py && .venv/bin/python launch/bench_degrade.py && .venv/bin/python launch/bench_stop.py \
	&& .venv/bin/python launch/bench_budget.py

bench-models: ; $(setup) --for test
	@.venv/bin/python launch/bench_models.py && .venv/bin/python launch/bench_reaction.py && .venv/bin/python launch/bench_fused.py \
	&& .venv/bin/python launch/bench_small.py && .venv/bin/python launch/bench_looks.py

soak: ; $(setup) --for test
	@.venv/bin/python launch/soak.py && .venv/bin/python launch/soak_link.py && .venv/bin/python launch/soak_replay.py --count $(N)

setup: ; $(setup) --for test

clean:
	@rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis && find . -name __pycache__ -type d -prune -exec rm -rf {} +
