# `make demo` and `make test` each set up what they need in .venv; a second run starts at once.
PYTHON ?= python3
BIN := .venv/bin
DEMO := demo
# People that the network never saw: the training people are numbers 0 to 399.
UNSEEN := drawn:people=100,images=12,size=96,first=1000

.PHONY: demo test clean

demo: .venv/installed
	$(BIN)/python train_softmax.py --models_base_dir $(DEMO) --data_dir drawn:people=400,images=20,size=96 \
		--lfw_dir $(UNSEEN) @recipes/demo.txt
	$(BIN)/python validate_on_lfw.py $(UNSEEN) $(DEMO)/latest --plot $(DEMO)/latest/unseen \
		--json $(DEMO)/latest/unseen.json
	$(BIN)/tf-facenet export $(DEMO)/latest $(DEMO)/latest/saved_model
	$(BIN)/tf-facenet report $(DEMO)/latest

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/pylint tf_facenet train_softmax.py validate_on_lfw.py
	$(BIN)/pytest -n 2

.venv/installed: setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .[test]
	touch $@

clean:
	rm -rf .venv $(DEMO)
