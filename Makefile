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

# The whole record: sweep, confirmation, the test set, factors and their survivors, steps; then RESULTS.md.
# Stopped anywhere, the same command goes on. SIZE=small: nets of at most 100,000 parameters, seven hours
# of two CPU cores. SIZE=fast: fast_93 alone, its curves and the test set, 4 hours of two CPU cores.
# DATA: other images, as DATA='data=arrays data.root=data/cifar10-original'.
SIZE ?= full
RECORD := outputs/record/$(SIZE)
DATA ?= data=cifar10
ifeq ($(SIZE),small)
CPU := train.device=cpu n_jobs=2 hydra.searchpath=[file://benchmarks/record/conf]
HALF := data.val_size=5000 data.train_subset=25000
SWEEP := $(HALF) train.device=cpu train.epochs=10 'search_space=[optimization]' \
	'model.num_stages=range(3,5)' 'model.blocks=[1,1,1,1]' 'model.base_width=range(8,21,4)' \
	'model.strides[0]=choice(1,2)' 'model.kernel_size=choice(3,5)' 'model.shortcut_kernel_size=choice(1,3)' \
	'model.pool_size=null,2' 'model.block=choice(basic,preact)' 'train.batch_size=choice(64,128,256)' \
	optimizer.lookahead_steps=null 'init=choice(kaiming_normal,orthogonal)' \
	'augmentation=choice([crop_flip],[crop_flip,cutout])' 'regularization.label_smoothing=interval(0.0,0.2)' \
	model.max_params=100000 model.max_multiply_adds=8000000 'hydra.sweeper.start_from=[]' \
	hydra.sweeper.n_trials=48 hydra.sweeper.n_jobs=2
CONFIRM := top_k=3 num_seeds=3 baseline=null n_jobs=2
TEST := 'recipes=[source_100k,resnet20_100k]' num_seeds=5 $(CPU)
FACTORS := num_seeds=1 survivor_seeds=3 $(HALF) $(CPU) train.epochs=10 \
	'model.widths=[8,16,32,64]' 'model.blocks=[1,1,1,1]'
else ifeq ($(SIZE),full)
SWEEP := 'search_space=[full]' 'optimizer=choice(sgd,adam,adamw,muon)' train.epochs=30 data.val_size=10000 \
	hydra/sweeper/pruner=none hydra.sweeper.n_trials=300
CONFIRM := top_k=5 num_seeds=3
TEST := 'recipes=[source,source_tuned,best_100_epochs,best_10_minutes,fast_93]' num_seeds=5
FACTORS := num_seeds=2
STEPS := num_seeds=5
else ifeq ($(SIZE),fast)
CURVES := experiment=fast_93 evaluate_test=false train.device=cpu
TEST := 'recipes=[fast_93]' num_seeds=5 train.device=cpu n_jobs=1
TTA := flip flip_shift
else
$(error SIZE=$(SIZE): must be full, small or fast)
endif

record: $(INSTALLED)
ifneq ($(SWEEP),)
	$(BIN)/python -m resnet_sweep.train -m hydra/sweeper=optuna $(DATA) $(SWEEP) \
		hydra.sweeper.noise_repeats=5 hydra.sweeper.folder=$(RECORD) hydra.sweeper.study_name=sweep
	$(BIN)/python -m resnet_sweep.confirm sweep=$(RECORD)/sweep $(CONFIRM)
endif
ifneq ($(CURVES),)
	if [ -e $(RECORD)/curves/config.json ]; then $(BIN)/python -m resnet_sweep.train resume=$(RECORD)/curves; \
	else $(BIN)/python -m resnet_sweep.train $(DATA) $(CURVES) hydra.run.dir=$(RECORD)/curves; fi
endif
	$(BIN)/python -m resnet_sweep.compare split=test folder=$(RECORD)/test $(DATA) $(TEST)
ifneq ($(TTA),)
	nets=$$(ls -d $(RECORD)/test/study/runs/* | paste -sd,); for tta in $(TTA); do \
		test -e $(RECORD)/tta_$$tta || $(BIN)/python -m resnet_sweep.predict "run=[$$nets]" input=test each=true \
			tta=$$tta output=$(RECORD)/tta_$$tta || exit; \
	done
endif
ifneq ($(FACTORS),)
	$(BIN)/python -m resnet_sweep.compare factors=ingredients folder=$(RECORD)/factors $(DATA) $(FACTORS)
endif
ifneq ($(STEPS),)
	$(BIN)/python -m resnet_sweep.compare steps=source_to_best folder=$(RECORD)/steps $(DATA) $(STEPS)
endif
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
