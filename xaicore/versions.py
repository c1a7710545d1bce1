"""What is installed: the versions of what computes, and the commit of the package."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from xaicore import __version__


def versions() -> dict[str, str]:
    """Return the versions of what computes; nothing is loaded for it."""
    return {
        "xaicore": __version__,
        "torch": version("torch"),
        "torchvision": version("torchvision"),
    }


def commit() -> str:
    """Return the commit of the package's checkout, or that it was installed from; or nothing."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return _installed()
    command = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def _installed() -> str:
    """What pip wrote down of a package that came from a repository."""
    try:
        source = json.loads(distribution("xaicore").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return ""
    return str(source.get("vcs_info", {}).get("commit_id", ""))[:7]
