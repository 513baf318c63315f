# Every target makes .venv first where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CODE := resnet_sweep tests benchmarks analysis

.PHONY: dashboard quickstart test test-engines lint clean

quickstart: $(INSTALLED)
	$(BIN)/python -m resnet_sweep.train experiment=quickstart
	$(BIN)/python -m resnet_sweep.train -m hydra/sweeper=optuna $(SMALL_SWEEP)
	$(BIN)/python analysis/summarize.py outputs/

# Eight small nets on the digits, two at a time.
SMALL_SWEEP := data=digits 'search_space=[]' 'model.base_width=range(4,17,4)' \
	'optimizer.lr=tag(log,interval(0.003,0.1))' scheduler=one_cycle augmentation=none train.epochs=3 \
	train.batch_size=32 hydra.sweeper.n_trials=8 hydra.sweeper.n_jobs=2 hydra/sweeper/pruner=none \
	'hydra.sweeper.start_from=[]'

# One thread a process: the workers of pytest-xdist already use every core.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

test-engines: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m engines

lint: $(INSTALLED)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# make dashboard STUDY=outputs/sweeps/my_sweep
dashboard: $(INSTALLED)
	@test -f "$(STUDY)/settings.json" || { echo "STUDY=$(STUDY): must be a sweep folder"; exit 2; }
	@$(BIN)/python -c "import optuna_dashboard" 2> /dev/null || $(BIN)/python -m pip install --quiet 'optuna-dashboard>=0.17'
	@study=$$($(BIN)/python -m resnet_sweep.sweep.storage "$(STUDY)") && $(BIN)/optuna-dashboard "$$study"

clean:
	rm -rf $(VENV) build dist
