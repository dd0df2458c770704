"""What users install is whole: the wheel, unpacked in another folder, without the checkout."""

import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.conftest import ROOT

SCRIPTS = ("train_softmax.py", "train_tripletloss.py", "validate_on_lfw.py")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder with the contents of the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # building writes into the source
    shutil.copytree(ROOT / "tf_facenet", source / "tf_facenet", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*SCRIPTS, "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-m", "pip", "wheel", str(source), "--no-deps", "--no-build-isolation", "--quiet",
                    "--disable-pip-version-check", "-w", str(folder)], check=True)
    wheel, = folder.glob("tf_facenet-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_every_module_and_table_is_in_the_wheel(installed):
    inside = {path.relative_to(installed).as_posix() for path in installed.rglob("*.*")}
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tf_facenet").rglob("*.*")
              if path.suffix in (".py", ".txt")}
    assert {*SCRIPTS, *wanted} <= inside


@pytest.mark.parametrize("program", ["from tf_facenet.cli import main; main(['-h'])",
                                     "import train_softmax; train_softmax.main(['-h'])",
                                     "import validate_on_lfw; validate_on_lfw.main(['-h'])"])
def test_help_from_another_folder(installed, tmp_path, program):
    code = f"import sys; sys.path.insert(0, {str(installed)!r}); {program}"
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "usage:" in done.stdout


def test_help_imports_nothing_large(installed, tmp_path):
    """Which is why it answers at once."""
    code = (f"import sys; sys.path.insert(0, {str(installed)!r}); from tf_facenet.cli import usage; usage();"
            "print([name for name in ('numpy', 'tensorflow', 'keras', 'cv2', 'sklearn') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
