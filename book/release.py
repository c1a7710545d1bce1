"""Make a release: wheel and sdist, each tried in an empty environment, and a tag.

``make release`` calls it. Nothing is uploaded.
"""

import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from shutil import rmtree

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("xaicore", "book/xaibook")


def main() -> int:
    """Make the release of the last commit and return the exit code."""
    if output("git", "status", "--porcelain"):
        print("commit or stash what has changed: a release is a commit", file=sys.stderr)
        return 1
    dist = ROOT / "dist"
    rmtree(dist, ignore_errors=True)
    uv("build", "--quiet", "--out-dir", dist, ROOT)
    made = sorted(dist.glob("xaicore-*"))
    uv("tool", "run", "twine", "check", "--strict", *made)
    for file in made:
        with tempfile.TemporaryDirectory() as folder:
            print(f"Trying {file.name} in an empty environment", flush=True)
            try_out(file, Path(folder))
    tag = f"v{version(made[0])}"
    run("git", "tag", "--annotate", tag, "--message", tag)
    print(f"Tagged {tag}; now: git push origin {tag}, and uv publish dist/*")
    return 0


def try_out(file: Path, folder: Path) -> None:
    """Install a file in an environment of its own and run the package's tests against it.

    Args:
        file: the wheel or sdist.
        folder: an empty folder.
    """
    python = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    uv("venv", "--quiet", "--python", sys.executable, folder / "venv")
    pins = ("-c", ROOT / "constraints.txt")
    uv("pip", "install", "--quiet", "--python", python, *pins, f"xaicore[dev] @ {file.as_uri()}")
    checkout = folder / "tests"
    archive = subprocess.run(
        ["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(checkout, filter="data")
    for package in PACKAGES:
        rmtree(checkout / package)
    options = ("-q", "-n", "2", "-m", "not starts")
    run(python, "-m", "pytest", *options, "tests/xaicore", "tests/xaibook", folder=checkout)


def version(file: Path) -> str:
    """Return the version in the name of a wheel or an sdist."""
    return file.name.removesuffix(".tar.gz").split("-")[1]


def output(*command: str) -> str:
    """Return what a command prints, in the repository."""
    return subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def uv(*arguments: object) -> None:
    """Run uv."""
    run(sys.executable, "-m", "uv", *arguments)


def run(*command: object, folder: Path = ROOT) -> None:
    """Run a command and stop if it fails."""
    subprocess.run([str(part) for part in command], cwd=folder, check=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        print(f"failed: {' '.join(error.cmd)}", file=sys.stderr)
        sys.exit(1)
