"""The answers for people: text for the terminal, Markdown for RESULTS.md."""

import dataclasses
import json
import statistics
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from benchmarks.harness import Outcome
from benchmarks.machine import Machine
from benchmarks.question import Measure, Question, Verdict, spread
from benchmarks.turn import PEAK_MEMORY

PEAK = Measure(PEAK_MEMORY, "peak memory of the process", "MB", "lower")


class Answer(NamedTuple):
    """Attributes: the question's name; the question; what came of it; its verdicts; how long it took, in seconds."""

    name: str
    question: Question
    outcome: Outcome
    verdicts: list[Verdict]
    seconds: float


class About(NamedTuple):
    """Attributes: the command; the machine; what `machine.versions` gives."""

    command: str
    machine: Machine
    versions: dict[str, Any]


def as_text(given: Answer, machine: Machine) -> str:
    """One answer for the terminal."""
    lines = [given.question.title, *([f"  {given.question.note}"] if given.question.note else [])]
    for measure, rows in _figures(given, machine):
        lines.append(f"  {measure.title}, {measure.unit}")
        lines += [f"    {name:<34}{figure}" for name, figure in rows]
    lines += [f"  {name}: not measured, {why}" for name, why in given.outcome.absent.items()]
    lines += [f"  {name}: FAILED, {why}" for name, why in given.outcome.failed.items()]
    for verdict in given.verdicts:
        against = f" against {verdict.against}" if verdict.against else ""
        lines.append(f"  -> {verdict.what}{against}: {verdict.measured}; target {verdict.target}: {_met(verdict)}")
    return "\n".join(lines) + "\n"


def as_markdown(answers: Sequence[Answer], about: About) -> str:
    """All answers: the targets in one table, every figure in another, ready to be pasted."""
    machine = about.machine
    lines = [f"`{about.command}` on {machine.describe()}. Medians (and ranges) over the rounds.", ""]
    lines += ["| what | against | measured | target | met |", "|---|---|---|---|---|"]
    lines += [
        f"| {verdict.what} | {verdict.against} | {verdict.measured} | {verdict.target} | {_met(verdict)} |"
        for given in answers
        for verdict in given.verdicts
    ]
    lines += ["", "| measured | contestant | median (range) |", "|---|---|---|"]
    for given in answers:
        for measure, rows in _figures(given, machine):
            lines += [f"| {measure.title} | {name} | {figure} {measure.unit} |" for name, figure in rows]
        lines += [f"| {given.question.title} | {name} | not measured: {why} |" for name, why in _missing(given)]
    notes = [f"- {given.question.title} {given.question.note}" for given in answers if given.question.note]
    return "\n".join([*lines, "", *notes]) + "\n"


def as_json(answers: Sequence[Answer], about: About) -> str:
    """All answers with every single value."""
    given = [
        {
            "name": answer.name,
            "title": answer.question.title,
            "note": answer.question.note,
            "seconds": round(answer.seconds, 1),
            "units": {measure.name: measure.unit for measure in _measures(answer)},
            **dataclasses.asdict(answer.outcome),
            "verdicts": [verdict._asdict() for verdict in answer.verdicts],
        }
        for answer in answers
    ]
    machine = about.machine._asdict()
    whole = {"command": about.command, "machine": machine, "versions": about.versions, "answers": given}
    return json.dumps(whole, indent=1) + "\n"


def _measures(given: Answer) -> list[Measure]:
    return [*given.question.measures, *([] if PEAK in given.question.measures else [PEAK])]


def _figures(given: Answer, machine: Machine) -> Iterator[tuple[Measure, list[tuple[str, str]]]]:
    """Each measure with the figures of those that have it, in the contestants' order."""
    for measure in _measures(given):
        rows = [
            (contestant.name, spread(values, _decimals(values)) + _share(measure, values, machine))
            for contestant in given.question.contestants
            if (values := given.outcome.values.get(contestant.name, {}).get(measure.name))
        ]
        if rows:
            yield measure, rows


def _share(measure: Measure, values: list[float], machine: Machine) -> str:
    peak = machine.peak_flops(measure.dtype)
    if not measure.flops or not peak or measure.better == "lower":
        return ""
    return f" [{statistics.median(values) * measure.flops / peak:.1%} of the chip's peak]"


def _missing(given: Answer) -> list[tuple[str, str]]:
    return [*given.outcome.absent.items(), *given.outcome.failed.items()]


def _decimals(values: Sequence[float]) -> int:
    size = max(abs(value) for value in values)
    return 0 if size >= 1000 else 1 if size >= 10 else 2


def _met(verdict: Verdict) -> str:
    return "not judged" if verdict.met is None else "met" if verdict.met else "MISSED"
