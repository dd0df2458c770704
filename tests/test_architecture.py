"""The tree's rules: who may import whom, how long a file may be, what has a docstring."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tf_facenet"
FILES = sorted(PACKAGE.rglob("*.py"))

# The longest matching prefix counts. A file imports from lower rows and from its own folder.
ROWS = {
    "version": 0, "lookup": 0, "config": 0, "options": 0, "recipes": 0, "files": 0, "safe_pickle": 0, "progress": 0,
    "locks": 0, "threads": 0, "terminal": 0, "environment": 0,
    "logs": 3, "kernels": 3,
    "evaluation": 4, "evaluation.metrics": 1, "evaluation.rates": 1, "evaluation.templates": 1,
    "data": 3, "data.faces": 1, "data.folders": 1, "data.headers": 1, "data.pairs": 1, "data.bins": 1,
    "data.people": 1, "data.drawn": 1,
    "data.samples": 1, "data.lines": 1, "data.recordio": 1, "data.records": 1,
    "finite": 2, "backbones": 2, "heads": 2, "losses": 2, "align": 3, "align.folder": 4, "weights": 3,
    "inference": 4, "inference.metadata": 1, "inference.gallery_files": 1, "training": 5, "export": 6, "cli": 7,
}
LIBRARIES = {  # the lowest row that may import a library
    "numpy": 1, "cv2": 1, "keras": 2, "h5py": 3, "tensorflow": 3, "mtcnn": 3, "matplotlib": 4, "sklearn": 4}


def module(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def row(name):
    while name and name not in ROWS:
        shorter = name.rpartition(".")[0]
        # drawn_camera, drawn_features … belong to drawn
        name = name.rpartition("_")[0] if "_" in name.rpartition(".")[2] else shorter
    return ROWS.get(name)


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", [p for p in FILES if module(p)], ids=module)
def test_imports_come_from_lower_rows(path):
    own, folder = module(path), path.relative_to(PACKAGE).parts[0]
    assert row(own) is not None, f"{own} has no row"
    for name in imports(ast.parse(path.read_text())):
        library = name.partition(".")[0]
        assert LIBRARIES.get(library, 0) <= row(own), f"{own} (row {row(own)}) imports {library}"
        if library == "tf_facenet":
            other = name.removeprefix("tf_facenet.")
            same_folder = other.partition(".")[0] == folder
            bottom = row(other) == row(own) == 0
            assert same_folder or bottom or row(other) < row(own), f"{own} imports {other}"


@pytest.mark.parametrize("path", FILES + sorted(ROOT.glob("*.py")), ids=lambda p: p.name)
def test_files_are_short_and_say_what_they_are(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"


@pytest.mark.parametrize("script", ["train_softmax.py", "train_tripletloss.py", "validate_on_lfw.py"])
def test_scripts_are_recipes(script):
    assert len((ROOT / script).read_text().splitlines()) <= 70


def test_the_rule_catches_a_wrong_import():
    wrong = ast.parse("from tf_facenet.training import fit\nimport tensorflow as tf")
    assert list(imports(wrong)) == ["tf_facenet.training.fit", "tensorflow"]
    assert row("training.fit") > row("backbones.swin")
    assert LIBRARIES["tensorflow"] > row("backbones.swin")
