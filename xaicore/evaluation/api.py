"""``evaluate``: what a user calls."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor
from torch.utils.data import Dataset

from xaicore.attribution.explainer import check_classifier
from xaicore.classifier import Classifier
from xaicore.evaluation.batch import Job, Method, Settings
from xaicore.evaluation.dataset import Items, Truth
from xaicore.evaluation.judges import chosen
from xaicore.evaluation.maps import taken
from xaicore.evaluation.probe import given_up, tried
from xaicore.evaluation.run import Run, Sizes, in_memory
from xaicore.evaluation.tally import shift
from xaicore.metrics import measures
from xaicore.metrics.causal import CausalProtocol


def evaluate(
    classifier: Classifier,
    dataset: Dataset[Any],
    explainers: Mapping[str, Method | np.ndarray],
    metrics: Sequence[str] | None = None,
    *,
    out: str | Path | None = None,
    baseline: str | Tensor = "black",
    batch_size: int | None = 32,
    curves: str | CausalProtocol | None = None,
    judges: Mapping[str, Classifier] | None = None,
    truth: Truth | None = None,
    strict: bool = False,
    chunk_size: int | None = None,
    precision: str = "float32",
    threads: int | None = None,
    workers: int = 0,
    progress: bool | None = False,
) -> pd.DataFrame:
    """Explain every image by every method and score the maps.

    With ``out``, finished chunks of images are kept there: a call that was stopped goes on where it
    was, and the processes that ``torchrun`` starts share the chunks. The records are then the same
    bits, but for ``seconds``, however many processes there are and however often they are stopped:
    images are always measured in the same batches. On another device, with another batch size or
    number of threads torch rounds differently, so these belong to the run, as do the versions:
    a folder refuses to mix them. A chunk that is finished belongs to the images, classes and truth
    it was measured of, and a call that goes on from it makes sure that they are the same: it reads
    these images once more, unless the data set tells by ``identity(i)``, as the size and the times
    of a file, that item i did not change.

    A method that fails alike for the first three images is given up: its records say why.

    Cost: one forward per image, shared by all; that of the methods; per map one forward for AD, AI
    and AG, 2 (n - 1) for both curves of n steps, 10 for AOPC, 50 for infidelity and for
    sensitivity-n, one for SM, two and a map for ADCC, eleven maps for MS, one of each judge for
    transfer, which sees each image once besides. Memory does not depend on the number of images,
    but for what is returned.

    Args:
        classifier: the classifier that is explained, in evaluation mode. One of ``xc.folded``,
            given to the methods too, makes each pass lighter.
        dataset: yields pixels ``(channels, H, W)`` in ``[0, 1]`` and the true class, -1 or ``None``
            for the predicted one; and, if it wishes, a dictionary of the ``boxes`` ``(n, 4)`` and
            the ``mask`` ``(1, H, W)`` of the image.
        explainers: the methods by the name their records carry; or maps made elsewhere, finite
            tensors or arrays ``(N, 1, h, w)`` or ``(N, h, w)`` in the order of the data set, which
            are upsampled and normalised.
        metrics: the names of metrics. ``None``: AD, AG and AI; insertion and deletion with
            ``curves``; transfer with ``judges``; localisation with ``truth``.
        out: the folder of the run; ``None`` keeps everything in memory.
        baseline: what replaces the pixels that a map removes, when it is scored.
        batch_size: images explained at once; ``None`` halves it until a first batch fits into the
            memory, and stays with that.
        curves: the protocol of insertion and deletion, which follow the predicted class; by
            default ``"paper"``, if they are asked for. With ``out`` they are kept for the report.
        judges: networks that did not make the maps, by name, in evaluation mode: what share of a
            map's gain do they see? Their classes must mean the same. Each normalises images itself
            and gets them in the size that its ``transform`` makes, if it makes one.
        truth: where the class is in each image.
        strict: whether to stop at the first image that cannot be measured.
        chunk_size: images in one file of records: what a killed process loses at most. ``None``:
            64, or a batch if that is more.
        precision: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        threads: threads of torch on the CPU. ``None``: as they are.
        workers: processes that read images ahead.
        progress: whether to show a bar; ``None``: if the errors go to a terminal.

    Returns:
        One row per (image, method, metric): ``image`` (its index in the data set), ``target``,
        ``labelled``, whether that is the class of the data set, ``predicted``, the most probable
        class, ``method``, ``metric``, ``value``, the probabilities ``p`` of the target on the image
        and ``o`` on the masked image, of a judge ``p on NAME`` and ``o on NAME``, ``seconds``, the
        time of the map, ``degenerate``, whether it is constant, and ``failed``, why there is no
        value; empty if there is one, or if transfer is not defined, since nothing was gained.

    Raises:
        ValueError: an argument cannot be used, the folder holds another run, no method can explain
            the first images, or, if ``strict``, an image cannot be measured.
        OSError: the folder cannot be written.
        MemoryError: one batch is too large.
    """
    check_classifier(classifier)
    given = {measures.CURVES: curves, measures.JUDGES: judges, **vars(truth or Truth())}
    usual = measures.usual(*(name for name, thing in given.items() if thing is not None))
    wanted = usual if metrics is None else metrics
    asked = measures.named([wanted] if isinstance(wanted, str) else wanted)
    judging = chosen(judges, classifier, asked)
    settings = Settings(asked, baseline, curves or "paper", judges=judging)
    items = Items(dataset, truth)
    job = Job(classifier, taken(explainers, len(items)), settings, precision)
    sizes = Sizes(batch_size, chunk_size, threads)
    run = Run(job, items, sizes, workers, strict)
    run, _ = tried(run, None if out is None else Path(out))
    for line in given_up(run):
        warnings.warn(line, stacklevel=2)
    if out is not None:
        from xaicore.evaluation.engine import on_disk  # noqa: PLC0415 - only runs on disk need it
        from xaicore.evaluation.folder import read_records  # noqa: PLC0415

        on_disk(run, Path(out), progress)
        records = read_records(out)
    else:
        records = in_memory(run, progress)
    failed = records.loc[records["failed"] != "", "image"].nunique()
    if failed:
        told = f"{failed} of {len(run.items)} images failed: see records['failed']"
        warnings.warn(told, stacklevel=2)
    if shifted := shift(records):
        warnings.warn(shifted, stacklevel=2)
    return records
