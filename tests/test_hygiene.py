import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEST_FOLDERS = [
    "tests",
    "libs/core/tests",
    *(f"services/{name}/tests" for name in ("trainer", "encoder-server", "attack-engine")),
]
TEXT = {
    "",
    ".cfg",
    ".css",
    ".html",
    ".in",
    ".ini",
    ".j2",
    ".js",
    ".md",
    ".proto",
    ".py",
    ".pyi",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
}

LOCAL_PATH = re.compile(r"(?<![\w./:}])/(?:work|root|home|Users|tmp|opt|mnt)/")
INDEX_ADDRESS = re.compile(r"(?<!-no-emit-)\b(?:extra-index-url|index-url|find-links|trusted-host)\b\W{0,3}[\w/]")
SUPPRESSION = re.compile(r"#\s*(?:noqa|type:\s*ignore|ruff:|mypy:|pyright:|pragma:\s*no)")

UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "shelve"}
RESTRICTED_UNPICKLER = (
    "libs/core/src/latentprint/core/datasets/cifar_archive.py"  # CIFAR's official archives are pickles
)


def repository_files():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    return [file for file in files if file.is_file()]


def relative(file):
    return file.relative_to(ROOT).as_posix()


def is_test(file):
    return any(relative(file).startswith(f"{folder}/") for folder in TEST_FOLDERS)


FILES = repository_files()
TEXTS = {file: file.read_text(encoding="utf-8") for file in FILES if file.suffix in TEXT}
SOURCES = {file: text for file, text in TEXTS.items() if not is_test(file)}
PACKAGES = {file: text for file, text in SOURCES.items() if file.suffix == ".py" and "/src/" in relative(file)}


def offences(pattern, texts):
    return [
        f"{relative(file)}:{number}: {line.strip()}"
        for file, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def unpickling(text):
    """What in `text` can load a pickle."""
    found = []
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "").split(".")[0]]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found += risky_call(node, node.func)
        found += [f"line {node.lineno}: {name}" for name in names if name in UNPICKLERS]
    return found


def risky_call(call, function):
    owner = ast.unparse(function.value)
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    risky = (
        (function.attr == "load" and owner == "torch" and options.get("weights_only") != "True")
        or (function.attr == "load" and owner in ("np", "numpy") and options.get("allow_pickle", "False") != "False")
        or function.attr == "read_pickle"
    )
    return [f"line {call.lineno}: {owner}.{function.attr}"] if risky else []


def test_there_is_something_to_look_at():
    assert len(PACKAGES) > 20
    assert ROOT / "Makefile" in SOURCES


def test_no_source_names_a_path_of_one_machine():
    assert offences(LOCAL_PATH, SOURCES) == []


def test_no_file_names_a_package_index():
    texts = {file: text for file, text in TEXTS.items() if file != Path(__file__).resolve()}
    assert offences(INDEX_ADDRESS, texts) == []


def test_no_check_is_suppressed_inline():
    python = {file: text for file, text in TEXTS.items() if file.suffix == ".py" and "_pb2" not in file.name}
    assert offences(SUPPRESSION, {f: t for f, t in python.items() if f != Path(__file__).resolve()}) == []


def test_no_package_loads_a_pickle():
    found = {relative(file): unpickling(text) for file, text in PACKAGES.items()}
    assert {name for name, lines in found.items() if lines} <= {RESTRICTED_UNPICKLER}, found


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from cloudpickle import loads",
        "import joblib.memory",
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import pandas as pd\npd.read_pickle(path)",
        "def later():\n    from marshal import loads",
    ],
)
def test_a_way_to_load_a_pickle_is_noticed(text):
    assert unpickling(text)


@pytest.mark.parametrize(
    "text",
    [
        "torch.load(path, weights_only=True)",
        "np.load(path)",
        "np.load(path, allow_pickle=False)",
        "import pickletools_x",
    ],
)
def test_what_loads_no_pickle_is_left_alone(text):
    assert unpickling(text) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (LOCAL_PATH, 'store = "/root/cache"'),
        (LOCAL_PATH, "see /work/main"),
        (INDEX_ADDRESS, "--extra-index-url=https://packages.example/simple"),
        (INDEX_ADDRESS, "find-links = wheels"),
        (SUPPRESSION, "x = 1  # noqa: F401"),
        (SUPPRESSION, "x = 1  # type: ignore[arg-type]"),
    ],
)
def test_an_offence_is_noticed(pattern, line):
    assert pattern.search(line)


def test_latentprint_is_an_implicit_namespace_package():
    assert [relative(file) for file in FILES if relative(file).endswith("src/latentprint/__init__.py")] == []


def test_test_files_have_unique_names_and_no_package():
    names = Counter(file.name for file in FILES if is_test(file) and file.suffix == ".py")
    assert names["__init__.py"] == 0
    assert [name for name, count in names.items() if count > 1 and name != "conftest.py"] == []


def test_nothing_large_is_checked_in():
    assert [relative(file) for file in FILES if file.stat().st_size > 1_000_000] == []
