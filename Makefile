# Every target makes .venv first where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEVELOPED := $(VENV)/.developed
CODE := resnet_sweep tests benchmarks analysis
# uv leaves bytecode to the first import; unwritten, each process would compile torch again (4 s).
unexport PYTHONDONTWRITEBYTECODE

.PHONY: dashboard quickstart record test test-engines lint clean

quickstart: $(INSTALLED)
	$(BIN)/python -m resnet_sweep.train experiment=quickstart
	$(BIN)/python -m resnet_sweep.train -m hydra/sweeper=optuna $(SMALL_SWEEP)
	$(BIN)/python analysis/summarize.py outputs/

# Eight small nets on the digits, two at a time; the README shows the same sweep.
SMALL_SWEEP := data=digits 'search_space=[]' 'model.blocks=[1,1,1,1]' 'model.strides=[2,2,2,2]' \
	'model.base_width=range(4,13,4)' 'optimizer.lr=tag(log,interval(0.003,0.1))' scheduler=one_cycle \
	augmentation=none train.epochs=2 train.batch_size=32 hydra.sweeper.n_trials=8 hydra.sweeper.n_jobs=2 \
	hydra/sweeper/pruner=none 'hydra.sweeper.start_from=[]'

# The whole record: factors and their survivors, steps, sweep, confirmation, the test set; then RESULTS.md.
# Stopped anywhere, the same command goes on. SIZE=small: tiny nets on a CPU. DATA: other images,
# as DATA=data=cifar10 where there is no data/cifar10-jpeg (docs/jpeg_copy.md).
SIZE ?= full
RECORD := outputs/record/$(SIZE)
ifeq ($(SIZE),small)
DATA ?= data=image_folder data.root=data/cifar10-jpeg
SMALL := data.val_size=2000 data.train_subset=2000 train.device=cpu 'model.blocks=[1,1,1]' 'model.strides=[2,2,2]'
SMALL_NET := $(SMALL) train.epochs=5 train.batch_size=64 'model.widths=[12,24,48]'
FACTORS := num_seeds=2 $(SMALL_NET)
STEPS := num_seeds=5 $(SMALL_NET)
# Few enough parameters that forty trials can say which of them matter.
SWEEP := $(SMALL) 'search_space=[optimization]' 'model.base_width=range(8,17,4)' 'model.kernel_size=choice(3,5)' \
	'model.shortcut_kernel_size=choice(1,3)' 'model.pool_size=null,2' 'model.block=choice(basic,preact)' \
	'optimizer=choice(sgd,adamw)' optimizer.lookahead_steps=null optimizer.momentum=0.9 \
	'train.batch_size=choice(32,64,128)' \
	'train.epochs=choice(4,5)' 'scheduler=choice(cosine,one_cycle)' 'init=choice(kaiming_normal,orthogonal)' \
	'augmentation=choice([crop_flip],[crop_flip,cutout])' 'regularization.label_smoothing=interval(0.0,0.2)' \
	model.max_params=100000 'hydra.sweeper.start_from=[]' hydra.sweeper.n_trials=40
CONFIRM := top_k=3 num_seeds=3 all_data=false baseline=null
TEST := 'recipes=[source,source_tuned,best_100_epochs,fast_94]' num_seeds=5 $(SMALL_NET)
else ifeq ($(SIZE),full)
DATA ?= data=cifar10
FACTORS := num_seeds=2
STEPS := num_seeds=5
SWEEP := 'search_space=[full]' 'optimizer=choice(sgd,adam,adamw,muon)' train.epochs=30 data.val_size=10000 hydra.sweeper.n_trials=300
CONFIRM := top_k=5 num_seeds=3
TEST := 'recipes=[source,source_tuned,best_100_epochs,best_10_minutes,fast_94]' num_seeds=5
else
$(error SIZE=$(SIZE): must be full or small)
endif

record: $(INSTALLED)
	$(BIN)/python -m resnet_sweep.compare factors=ingredients folder=$(RECORD)/factors $(DATA) $(FACTORS)
	$(BIN)/python -m resnet_sweep.compare steps=source_to_best folder=$(RECORD)/steps $(DATA) $(STEPS)
	$(BIN)/python -m resnet_sweep.train -m hydra/sweeper=optuna hydra/sweeper/pruner=none $(DATA) $(SWEEP) \
		hydra.sweeper.noise_repeats=5 hydra.sweeper.folder=$(RECORD) hydra.sweeper.study_name=sweep
	$(BIN)/python -m resnet_sweep.confirm sweep=$(RECORD)/sweep $(CONFIRM)
	$(BIN)/python -m resnet_sweep.compare split=test folder=$(RECORD)/test $(DATA) $(TEST)
	$(BIN)/python -m benchmarks.record $(RECORD) RESULTS.md

# One thread a process: the workers of pytest-xdist already use every core.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

test-engines: $(DEVELOPED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "engines or slow" -n 2

lint: $(DEVELOPED)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy

# What a user needs, installed by uv (a few times as fast as pip), with the versions that the tests ran with.
$(INSTALLED): pyproject.toml constraints.txt
	@echo "installing into $(VENV): about 6 GB (torch with CUDA), a minute or more"
	$(call quietly,$(PYTHON) -m venv $(VENV))
	$(call quietly,$(BIN)/python -m pip install --retries 1 --disable-pip-version-check uv)
	$(call quietly,$(INSTALL) --editable .)
	@touch $@

$(DEVELOPED): $(INSTALLED)
	$(call quietly,$(INSTALL) --editable '.[dev]')
	@touch $@

INSTALL := $(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt
# One line where it fails: without network or with a full disk the tools write pages.
quietly = @said=$$($(1) 2>&1) || { echo "error: not installed: $$(echo "$$said" | grep -iE 'error|caused by' | tail -n 1)." \
	"Is there a network, and room on the disk? The same command goes on."; exit 1; }

# make dashboard STUDY=outputs/sweeps/my_sweep
dashboard: $(INSTALLED)
	@test -f "$(STUDY)/settings.json" || { echo "STUDY=$(STUDY): must be a sweep folder"; exit 2; }
	@$(BIN)/python -c "import optuna_dashboard" 2> /dev/null || $(INSTALL) --quiet 'optuna-dashboard>=0.17'
	@study=$$($(BIN)/python -m resnet_sweep.workers.storage "$(STUDY)") && $(BIN)/optuna-dashboard "$$study"

clean:
	rm -rf $(VENV) build dist
