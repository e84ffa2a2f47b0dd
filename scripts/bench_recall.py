"""Measure the search: the share of the memories that answer a question that it finds, and the time it takes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

import click

from memsync_client.interchange import jsonl
from memsync_client.memories import Memory, Source
from memsync_client.search import Index

LIMITS = (5, 10)
CATEGORIES = (1, 2, 3, 4)  # of LoCoMo; 5 asks for what was never said
MANY = 100_000
ASKED_OF_MANY = 500


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def cli(folder: Path) -> None:
    """Ask every question of FOLDER/*.questions.jsonl of the *.memories.jsonl beside it.

    A question is an object a line: "question", "evidence" (ids of the memories that answer it), and, optional,
    "category": those of category 5 (adversarial) are left out, as is usual with LoCoMo. Recall at 5 is the share of the
    evidence among the first five hits, as a mean over the questions.

    Then the same memories, over and over in conversations of their own until there are 100,000, make one large index.
    """
    everything: list[Memory] = []
    questions: list[str] = []
    recalls: dict[int, list[float]] = {limit: [] for limit in LIMITS}
    building, asking = 0.0, []
    for path in sorted(folder.glob("*.questions.jsonl")):
        memories, asked = _read(path)
        everything += memories
        start = time.perf_counter()
        index = Index(memories)
        building += time.perf_counter() - start
        for question in asked:
            evidence = set(question["evidence"])
            start = time.perf_counter()
            hits = index.recall(question["question"], max(LIMITS))
            asking.append(time.perf_counter() - start)
            questions.append(question["question"])
            found = [hit.memory.source.foreign_id for hit in hits if hit.memory.source]
            for limit in LIMITS:
                recalls[limit].append(len(evidence.intersection(found[:limit])) / len(evidence))
    if len(questions) < 2:
        raise click.ClickException(f"There are no questions in {folder}: it needs *.questions.jsonl, 2 lines or more.")
    click.echo(f"{len(everything):,} memories, {len(questions):,} questions")
    for limit in LIMITS:
        click.echo(f"recall@{limit}: {fmean(recalls[limit]):.3f}")
    _tell("each file's own", building, asking)
    many = list(islice(_repeated(everything), MANY))
    start = time.perf_counter()
    index = Index(many)
    building, asking = time.perf_counter() - start, []
    for text in questions[:: -(-len(questions) // ASKED_OF_MANY)]:
        start = time.perf_counter()
        index.recall(text, max(LIMITS))
        asking.append(time.perf_counter() - start)
    _tell(f"{MANY:,} memories", building, asking)


def _read(path: Path) -> tuple[list[Memory], list[dict[str, Any]]]:
    source = path.with_name(path.name.replace(".questions.", ".memories."))
    with source.open("rb") as stream:
        drafts = jsonl.read(stream, source.name).drafts
    asked = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    fit = [question for question in asked if question["evidence"] and question.get("category", 1) in CATEGORIES]
    return [draft.memory(number.to_bytes(16)) for number, draft in enumerate(drafts)], fit


def _repeated(memories: Sequence[Memory]) -> Iterator[Memory]:
    for turn in count():
        for place, memory in enumerate(memories):
            number = (turn * len(memories) + place).to_bytes(16)
            source = memory.source and Source(memory.source.platform, f"{memory.source.conversation} {turn}")
            yield replace(memory, id=number, revision=number, source=source)


def _tell(what: str, building: float, asking: Sequence[float]) -> None:
    marks = quantiles(asking, n=100, method="inclusive")
    click.echo(
        f"{what}: index built in {building:.2f} s; a query p50 {marks[49] * 1000:.2f} ms, p95 {marks[94] * 1000:.2f} ms"
    )


if __name__ == "__main__":
    cli()
