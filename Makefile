# `make demo` and `make test` each set up what they need in .venv; a second run starts at once.
PYTHON ?= python3
BIN := .venv/bin
# tensorflow-addons, which the triplet losses are compared with, exists for Python 3.11 and older only.
ORACLE_PYTHON ?= python3.11
DEMO := demo
LATEST := $(DEMO)/latest
# The training people are numbers 0 to 799; the network never sees these.
UNSEEN := drawn:people=200,images=10,size=70,first=1000000

.PHONY: demo test torture bench oracle clean

demo: .venv/installed
	$(BIN)/python train_softmax.py --models_base_dir $(DEMO) --data_dir drawn:people=800,images=20,size=70 \
		--model_def small --image_size 64 --random_crop --random_flip --use_fixed_image_standardization \
		--batch_size 128 --epoch_size 125 --max_nrof_epochs 8 --optimizer ADAM --learning_rate 0.1 \
		--learning_rate_decay cosine --warmup_epochs 0.3 --weight_decay 5e-4 --moving_average_decay 0.99 \
		--data_licence "drawn by tf_facenet; free of any"
	ln -sfn $$(ls $(DEMO) | grep -v latest | tail -1) $(LATEST)
	$(BIN)/python validate_on_lfw.py $(UNSEEN) $(LATEST) --distance_metric 1 --flip sum \
		--json $(LATEST)/unseen.json --plot $(LATEST)/unseen --report $(LATEST)/report.html
	$(BIN)/tf-facenet export $(LATEST) $(LATEST)/saved_model
	@echo "Report: $(LATEST)/report.html"

test: .venv/installed-test oracle
	$(BIN)/ruff check .
	$(BIN)/pylint tf_facenet train_softmax.py train_tripletloss.py validate_on_lfw.py
	$(BIN)/pytest -n 2 --dist worksteal
	KERAS_BACKEND=jax JAX_DISABLE_MOST_OPTIMIZATIONS=1 $(BIN)/pytest -n 2 --dist worksteal tests/heads tests/losses tests/backbones/test_portable.py \
		--deselect tests/losses/test_triplet.py::test_all_recorded_losses_of_addons \
		--deselect tests/losses/test_triplet.py::test_gradients_by_central_differences

# Kills, full disks, damaged files, a long training: 20 minutes; figures go to docs/reliability.md.
torture: .venv/installed-test
	$(BIN)/pytest tests/torture --torture -n 2 --dist load --maxschedchunk 1

# Ours beside the peers', in one table; make bench BENCH=--quick takes ten minutes.
bench: .venv/installed-test oracle .venv-bench/installed
	$(BIN)/python benchmarks/all.py --torch_python .venv-bench/bin/python \
		$(if $(shell command -v $(ORACLE_PYTHON)),--tfa_python .venv-oracle/bin/python) $(BENCH)

oracle:
	@if command -v $(ORACLE_PYTHON) >/dev/null; then $(MAKE) --no-print-directory .venv-oracle/installed; \
	else echo "No $(ORACLE_PYTHON): the comparison with tensorflow-addons is skipped"; fi

.venv/installed: setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .[test]
	touch $@

.venv-oracle/installed: Makefile
	$(ORACLE_PYTHON) -m venv .venv-oracle
	.venv-oracle/bin/pip install --quiet --disable-pip-version-check \
		tensorflow-cpu==2.15.1 tensorflow-addons==0.23.0 "numpy<2"
	touch $@

.venv-bench/installed: Makefile
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet --disable-pip-version-check torch numpy requests tqdm pillow
	.venv-bench/bin/pip install --quiet --disable-pip-version-check --no-deps facenet-pytorch
	touch $@

clean:
	rm -rf .venv .venv-oracle .venv-bench $(DEMO)
