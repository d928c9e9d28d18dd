"""The package as students install it."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import coursekit

ROOT = Path(coursekit.__file__).parent
HEAVY = ["hypothesis", "pytest", "matplotlib", "sklearn", "torch", "torchvision", "jaxtyping", "nbformat", "IPython"]


def test_it_imports_lightly():
    """The first cell of a notebook should not wait for what only a check needs."""
    script = f"import json, sys, coursekit; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT.parent)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_it_imports_nothing_private():
    sources = {path: path.read_text("utf-8") for path in ROOT.rglob("*.py")}
    assert not [path for path, text in sources.items() if "autograder" in text or "import solutions" in text]


def test_all_folders_are_packaged():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    found = {".".join(path.parent.relative_to(ROOT.parent).parts) for path in ROOT.rglob("__init__.py")}
    assert set(settings["tool"]["setuptools"]["packages"]) == found


def test_the_wheel_holds_this_package_and_nothing_else(tmp_path):
    source = tmp_path / "coursekit"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"coursekit-{coursekit.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    models = [path for path in (ROOT / "checkpoints").rglob("*") if path.is_file()]
    assert {path.suffix for path in models} >= {".json", ".safetensors", ".md"}
    pages = list(ROOT.glob("*/*.html"))
    assert names == {str(path.relative_to(ROOT.parent)) for path in (*ROOT.rglob("*.py"), *models, *pages)}
