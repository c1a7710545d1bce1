"""An evaluation at scale: ``python -m benchmarks.evaluation_at_scale``.

Six methods by five metrics over the first ImageNet validation images of the folder that
``XAICORE_DATA`` names, with a MobileNetV2: all of them by two processes; a share of them by one
process, as it is and folded, by two with twice as many images, and by the loops that users of other
libraries write, in turns and several rounds; and a share by the costly methods. The passes of
twelve methods are counted with a ResNet-50. Each measurement has processes of its own, of one
thread each. What is found is written to ``evaluation_at_scale.md`` and ``.json``; ``--parts`` names
what to measure again, beside what is known.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks.__main__ import commit, processor
from benchmarks.race import rotated
from benchmarks.scale_report import (
    BACKWARD,
    CURVE_STEPS,
    RATE,
    agreement,
    costs_table,
    estimate,
    images_of,
    memory,
    ratios,
    scaling,
)
from benchmarks.worker import memory as status
from xaibook.data import find_data
from xaicore.attribution import METHODS
from xaicore.attribution.capture import counted
from xaicore.classifier import Classifier, to_pixels
from xaicore.evaluation.api import evaluate
from xaicore.evaluation.tables import summarize
from xaicore.folding import folded
from xaicore.metrics import CausalProtocol
from xaicore.pictures import pictures

FOLDER = Path(__file__).parent
SIDE, BATCH, STEPS = 224, 8, 3
METRICS = ("AD", "AI", "AG", "insertion", "deletion")
CHEAP = ("grad-cam", "grad-cam++", "xgrad-cam", "layer-cam", "hires-cam", "saliency")
COSTLY = ("opti-cam", "score-cam")
TWELVE = (*CHEAP, "cam", "ablation-cam", "input-x-gradient", "guided-backprop", *COSTLY)
CURVES = CausalProtocol(steps=STEPS, blur=None, removed="mean")
NETWORK, WEIGHTS = "mobilenet_v2", "mobilenet_v2_quant.pt"
COUNTED, SMALL = "resnet50", 64
"""The network whose passes are counted, untrained, and the side of the image: neither weights nor
pixels change how many passes there are, but for feature maps that are constant."""
NOT_THE_SAME = (
    "Maps of pytorch-grad-cam are brought to [0, 1] before they are enlarged, ours after. Our "
    "curves follow the predicted class, those of the loops the true one. Quantus flips colour "
    "values, not pixels, and its steps must divide the pixels: it takes about twice as many."
)
ESTIMATED = (
    f"From the passes counted on one image with a {COUNTED} ({', '.join(TWELVE)}, each by "
    f"{', '.join(METRICS)}), by GPUs that make {RATE:.0f} forwards a second and a backward in "
    f"the time of {BACKWARD:.0f} forwards. Both are assumptions: no GPU was at hand here. At R "
    f"forwards a second the hours are those below times {RATE:.0f} / R; `xaicore evaluate "
    "--dry-run` measures a few images on the machine at hand. Chunks need nothing of each other: N "
    "GPUs are counted as N times one."
)
PARTS = {
    "whole": "all images, two processes",
    "ours": "a share, one process",
    "folded": "the share, one process, the network folded",
    "torchcam": "the share, a loop over pytorch-grad-cam, captum and torchcam",
    "quantus": "the share, the same loop with the curves of Quantus",
    "two": "twice the share, two processes",
    "costly": "the costly methods on a share, one process",
    "twelve": f"passes: twelve methods, {COUNTED}, one image of {SMALL} pixels",
}
IN_TURNS = ("ours", "folded", "torchcam", "quantus", "two")
"""The parts that are held against each other, round by round."""


class Watched(Dataset[Any]):
    """A data set that notes the peak of the process's memory as it is read.

    Attributes:
        peaks: the peak in MiB when the n-th image was read by this process.
    """

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset
        self.peaks: list[float] = []

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, place: int) -> Any:
        self.peaks.append(status("VmHWM"))
        return self.dataset[place]


def subject(count: int, counting: bool = False) -> tuple[Classifier, Watched]:
    """Return the network and the first images, or what passes are counted with."""
    data = find_data()
    if data is None:
        raise SystemExit("no real images: set XAICORE_DATA to their folder")
    name, weights = (COUNTED, None) if counting else (NETWORK, data / "weights" / WEIGHTS)
    classifier = Classifier.from_torchvision(name, weights)
    folder, side = data / "imagenet_val1300", SMALL if counting else SIDE
    square = to_pixels(v2.Resize((side, side)))
    table = folder / "labels.csv"
    return classifier, Watched(pictures(folder / "images", square, labels=table, limit=count))


def ours(part: str, count: int, names: tuple[str, ...], out: Path) -> dict[str, Any]:
    """Evaluate with xaicore; return what it cost this process, and the means."""
    plain, dataset = subject(count, part == "twelve")
    fold = measured(lambda: folded(plain, dataset[0][0][None]) if part == "folded" else plain)
    classifier = fold["result"]
    explainers = {name: METHODS[name](classifier) for name in names}
    with counted(classifier.net) as passes:
        spent = measured(
            lambda: evaluate(
                classifier,
                dataset,
                explainers,
                METRICS,
                out=out,
                baseline="mean",
                curves=CURVES,
                batch_size=min(BATCH, count),
                chunk_size=BATCH,
                progress=None,
            )
        )
    for cost in ("wall", "cpu"):
        spent[cost] += fold[cost]
    records = spent.pop("result")
    seconds = records.drop_duplicates(["image", "method"]).groupby("method")["seconds"].mean()
    return {
        **spent,
        "rows": len(records),
        "failed": int((records["failed"] != "").sum()),
        "read": len(dataset.peaks),
        "peaks": dataset.peaks[:: max(1, len(dataset.peaks) // 10)],
        "forwards": passes.forwards,
        "backwards": passes.backwards,
        "seconds of a map": seconds.to_dict(),
        "means": means(records),
    }


def means(records: Any) -> dict[str, dict[str, float]]:
    """Return the mean of each metric for each method."""
    table = summarize(records)["mean"].unstack("metric") / 100
    return {str(name): row.to_dict() for name, row in table.iterrows()}


def theirs(count: int, library: str) -> dict[str, Any]:
    """Evaluate with a loop over other libraries; return what it cost, and the means."""
    from benchmarks import loops  # noqa: PLC0415 - needs the other libraries

    classifier, dataset = subject(count)
    curves = {"torchcam": loops.of_torchcam, "quantus": loops.of_quantus}[library]

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for images, targets in DataLoader(dataset, batch_size=BATCH):
            yield (images - classifier.mean) / classifier.std, targets

    with counted(classifier.net) as passes:
        spent = measured(
            lambda: loops.loop(classifier.net, classifier.layer, batches(), STEPS, curves)
        )
    found = spent.pop("result")
    return {
        **spent,
        "read": len(dataset.peaks),
        "forwards": passes.forwards,
        "backwards": passes.backwards,
        "means": found,
    }


def measured(work: Callable[[], Any]) -> dict[str, Any]:
    """Return the result of some work, its wall and CPU seconds, and the peak of memory."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak": status("VmHWM"),
        "result": result,
    }


def run_part(name: str, sizes: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure a part in processes of its own; return what each of them found."""
    processes = 2 if name in ("whole", "two") else 1
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    arguments = ["-m", "benchmarks.evaluation_at_scale", "--part", name, "--folder", str(folder)]
    for key in ("images", "share", "costly"):
        arguments += [f"--{key}", str(getattr(sizes, key))]
    command = [sys.executable, *(launch if processes > 1 else []), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    subprocess.run(command, check=True, cwd=FOLDER.parent, env=environment)
    files = sorted(folder.glob(f"{name}.[0-9].json"))
    return [json.loads(file.read_text()) for file in files]


def work_part(name: str, sizes: argparse.Namespace) -> None:
    """Do a part in this process, and leave what is found in a file."""
    torch.set_num_threads(1)
    if name in ("torchcam", "quantus"):
        found = theirs(sizes.share, name)
    else:
        methods = {"costly": COSTLY, "twelve": TWELVE}.get(name, CHEAP)
        images = images_of(name, vars(sizes))
        found = ours(name, images, methods, sizes.folder / f"run-{name}")
    rank = os.environ.get("RANK", "0")
    (sizes.folder / f"{name}.{rank}.json").write_text(json.dumps(found))


def main() -> None:
    """Measure every part and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation_at_scale")
    parser.add_argument("--images", type=int, default=1000, help="how many in all")
    parser.add_argument("--share", type=int, default=24, help="how many for the comparison")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the comparison")
    parser.add_argument("--costly", type=int, default=2, help="how many for the costly methods")
    parser.add_argument("--parts", default=",".join(PARTS), help="what to measure")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of what is written")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        work_part(options.part, options)
        return
    file = options.output / "evaluation_at_scale.json"
    known = json.loads(file.read_text()) if file.is_file() else {}
    for name, turn in turns(options.parts.split(","), options.rounds):
        load = os.getloadavg()[0]
        with TemporaryDirectory() as folder:
            found = run_part(name, options, Path(folder))
        part = known[name] if turn else {"rounds": [], "loads": []}
        known[name] = {
            "rounds": [*part["rounds"], found],
            "loads": [*part["loads"], round(load, 1)],
            "sizes": {key: getattr(options, key) for key in ("images", "share", "costly")},
            "steps": STEPS,
            "commit": commit(),
            "torch": torch.__version__,
            "processor": processor(),
        }
        file.write_text(json.dumps(known, indent=1) + "\n")
        print(f"{PARTS[name]}: {max(p['wall'] for p in found):.1f} s", flush=True)
    (options.output / "evaluation_at_scale.md").write_text(report(known), encoding="utf-8")


def turns(names: Sequence[str], rounds: int) -> Iterator[tuple[str, int]]:
    """Yield what to measure, and in which round: what is compared in turns, then the rest."""
    compared = tuple(name for name in names if name in IN_TURNS)
    for turn in range(rounds if compared else 0):
        yield from ((name, turn) for name in rotated(compared, turn))
    yield from ((name, 0) for name in names if name not in IN_TURNS)


def report(known: dict[str, Any]) -> str:
    """Return what was found, for reading; what is not measured yet is named."""
    parts = {name: known[name] for name in PARTS if name in known}
    missing = [title for name, title in PARTS.items() if name not in known]
    latest = list(parts.values())[-1]
    loads = [load for part in parts.values() for load in part["loads"]]
    commits, machines = (
        "; ".join(sorted({part[key] for part in parts.values()})) for key in ("commit", "processor")
    )
    sections = [
        "# An evaluation at scale\n\nWritten by `python -m benchmarks.evaluation_at_scale`; "
        "`README.md` says how to read it.\n\n"
        f"- commit: {commits}\n- torch {latest['torch']}, {machines}; one "
        f"thread for each process\n- others worked on the machine: its load before each part was "
        f"{min(loads):.1f} to {max(loads):.1f}\n"
        f"- {NETWORK} with weights converted from a quantised network, images of {SIDE} pixels, "
        f"batches of {BATCH}, curves of {STEPS} steps, removed pixels: the mean colour\n"
        f"- all images and the shares: {', '.join(CHEAP)}; costly: {', '.join(COSTLY)}\n"
        f"- metrics: {', '.join(METRICS)}\n"
        + (f"- not measured yet: {'; '.join(missing)}\n" if missing else ""),
        costs_table(parts, PARTS),
    ]
    if {"ours", "folded", "torchcam", "quantus"} <= set(parts):
        sections.append(
            f"## Beside loops over other libraries\n\n{ratios(parts)}\n\n{NOT_THE_SAME}"
        )
        sections.append(agreement(parts))
    if "whole" in parts:
        sections.append(f"## Memory\n\n{memory(parts['whole'])}")
    if {"ours", "two"} <= set(parts):
        sections.append(f"## Scaling\n\n{scaling(parts)}")
    if "twelve" in parts:
        guess = "\n".join(estimate(parts["twelve"], steps) for steps in CURVE_STEPS)
        sections.append(f"## 50,000 images by twelve methods\n\n{ESTIMATED}\n\n{guess}")
    return "\n\n".join(section.strip() for section in sections) + "\n"


if __name__ == "__main__":
    main()
