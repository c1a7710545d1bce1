"""The files around the package agree with one another and name no machine."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

from tests.book.hygiene import REPOSITORY
from xaibook.photographs import free_photographs

HOSTS = ["py" + "pi.org", "python" + "hosted", "npm" + "js.org", "ana" + "conda.org/"]
MACHINE = ["/ro" + "ot/", "/ho" + "me/", "/wo" + "rk/", "/Us" + "ers/"]
TEXT = {".py", ".md", ".toml", ".txt", ".yml", ".ipynb", ".json", ".css", ".js", ".cff", ".bib", ""}


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def pins(root):
    lines = (root / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines)


def tracked(root: Path) -> list[Path]:
    """Return the files of the repository that git does not ignore."""
    listing = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(listing, capture_output=True, text=True)
    if run.returncode != 0:
        pytest.skip("not a git checkout")
    return [root / name for name in run.stdout.split("\0") if name and (root / name).is_file()]


def test_no_file_names_a_registry_or_a_machine(root):
    found = [
        (path.relative_to(root).as_posix(), word)
        for path in tracked(root)
        if path.suffix in TEXT
        for word in [*HOSTS, *MACHINE]
        if word in path.read_text(encoding="utf-8")
    ]
    assert found == []


def test_the_one_picture_of_others_that_is_tracked_is_light_and_credited(root):
    pictures = {".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
    found = [path for path in tracked(root) if path.suffix.lower() in pictures]
    assert found == [root / "book" / "_static" / "explained.jpg"]
    assert found[0].stat().st_size <= 250_000
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert readme.index("explained.jpg") < 300
    for photograph in free_photographs("cat", "espresso"):
        assert photograph.licence == "CC0"
        assert photograph.author in readme


def test_every_requirement_has_one_exact_pin(project, pins, root):
    lines = (root / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[a-z0-9.-]+==[\w.!+]+", line) for line in lines)
    assert len(pins) == len(lines)
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras["book"], *extras["test"]]
    names = [re.match(r"[\w.-]+", requirement)[0].lower() for requirement in wanted]
    assert [name for name in names if name not in pins] == []


def test_torch_and_torchvision_are_a_pair(pins):
    torch, vision = (pins[name].split(".") for name in ("torch", "torchvision"))
    assert int(vision[1]) == int(torch[1]) + (14 if torch[0] == "2" else 0)


def test_the_conda_environment_installs_what_the_makefile_installs(root, project):
    environment = yaml.safe_load((root / "environment.yml").read_text())
    python, pip, install = environment["dependencies"]
    assert python == f"python {project['project']['requires-python']}"
    assert pip == "pip"
    assert install == {"pip": ["-c constraints.txt", "-e .[dev]"]}
    assert "-c constraints.txt -e '.[dev]'" in (root / "Makefile").read_text()


def test_versions_agree(root, project):
    import xaicore

    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "xaicore.__version__"}
    assert citation["version"] == xaicore.__version__
    assert f"## {xaicore.__version__}" in (root / "CHANGELOG.md").read_text()


def test_addresses_agree(root, project):
    config = yaml.safe_load((root / "_config.yml").read_text())
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    assert config["repository"] == {"url": REPOSITORY, "branch": "main"}
    assert project["project"]["urls"]["Repository"] == REPOSITORY
    assert citation["repository-code"] == REPOSITORY
    owner, name = REPOSITORY.split("/")[-2:]
    assert f"(https://{owner}.github.io/{name}/)" in (root / "README.md").read_text()
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        install = next(cell.source for cell in cells if cell.cell_type == "code")
        assert f"git+{REPOSITORY}" in install, path.name


WORKFLOWS = ["tests", "book", "colab"]


@pytest.mark.parametrize("kind", ["workflows", "issue-forms"])
def test_what_github_reads_keeps_its_schema(root, kind):
    folder = ".github/workflows" if kind == "workflows" else ".github/ISSUE_TEMPLATE"
    files = [path for path in (root / folder).glob("*.yml") if path.name != "config.yml"]
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        f"vendor.github-{kind}",
    ]
    run = subprocess.run([*command, *files], capture_output=True, text=True)
    assert files
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_run_commands_that_exist(root, name):
    jobs = yaml.safe_load((root / ".github/workflows" / f"{name}.yml").read_text())["jobs"]
    commands = [s["run"] for job in jobs.values() for s in job["steps"] if "run" in s]
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    for command in commands:
        program, *words = shlex.split(command)
        if program == "make":
            assert {word for word in words if "=" not in word} <= targets, command
        else:
            assert [program, words[0]] == ["python", "-m"], command
            assert words[1] in {"pip", "pytest"}, command
            assert all((root / word).exists() for word in words if word.startswith("tests/"))


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "book/how_to_run.md", ".ci/run"])
def test_commands_in_the_prose_exist(root, page):
    makefile = (root / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (root / page).read_text(), re.MULTILINE))
    assert named
    assert named <= targets


def test_make_lists_its_commands(root):
    makefile = (root / "Makefile").read_text()
    listed = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    run = subprocess.run(["make", "-C", root], capture_output=True, text=True)
    assert run.returncode == 0
    assert set(re.findall(r"make ([a-z]+)", run.stdout)) == listed
    assert {"help", "book", "test", "lint", "outputs", "colab", "clean"} <= listed
