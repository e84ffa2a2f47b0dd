"""Measure recall: the share of the memories that answer a question that a search finds, and the time it takes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from memsync_client.interchange import jsonl
from memsync_client.search import Index

LIMITS = (5, 10)
ADVERSARIAL = 5


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def cli(folder: Path) -> None:
    """Ask every question of FOLDER/*.questions.jsonl of the *.memories.jsonl beside it.

    A question is an object a line: "question", "evidence" (ids of the memories that answer it), and, optional,
    "category": those of category 5 (adversarial) are left out, as is usual with LoCoMo.
    """
    recalls: dict[int, list[float]] = {limit: [] for limit in LIMITS}
    building, asking, memories = 0.0, 0.0, 0
    for path in sorted(folder.glob("*.questions.jsonl")):
        source = path.with_name(path.name.replace(".questions.", ".memories."))
        with source.open("rb") as stream:
            drafts = jsonl.read(stream, source.name).drafts
        memories += len(drafts)
        start = time.perf_counter()
        index = Index([draft.memory(number.to_bytes(16)) for number, draft in enumerate(drafts)])
        building += time.perf_counter() - start
        for line in path.read_text(encoding="utf-8").splitlines():
            question = json.loads(line)
            evidence = set(question["evidence"])
            if question.get("category") == ADVERSARIAL or not evidence:
                continue
            start = time.perf_counter()
            hits = index.recall(question["question"], max(LIMITS))
            asking += time.perf_counter() - start
            found = [hit.memory.source.foreign_id for hit in hits if hit.memory.source]
            for limit in LIMITS:
                recalls[limit].append(len(evidence.intersection(found[:limit])) / len(evidence))
    asked = len(recalls[LIMITS[0]])
    if not asked:
        raise click.ClickException(f"No questions in {folder}.")
    click.echo(f"{memories:,} memories, {asked:,} questions")
    for limit in LIMITS:
        click.echo(f"recall@{limit}: {sum(recalls[limit]) / asked:.3f}")
    click.echo(f"built in {building:.2f} s, asked in {asking / asked * 1000:.2f} ms a question")


if __name__ == "__main__":
    cli()
