"""What the shipped encoder is worth: tera_mini against log mel, fbank and its own random initialisation.

    python -m benchmarks.tera_mini --data "$AUDIOSSL_DATA" --out benchmarks/results/tera_mini.md

Every feature goes through the same weighted sum and the same head (Linear 256, mean over time, Linear) with the same
budget; learning rate and checkpoint are chosen on dev, for each feature, task and seed. That head commutes with the
mean over time, so each recording's mean of every layer is computed once, and the heads of all seeds are trained side
by side on the means. The first head is compared with `UtteranceClassification` on sound before anything is counted.

Speakers that nobody trained on are verified without a head: cosine of the mean states of two recordings, less their
mean on dev, at the layer with the lowest equal error rate (EER) on dev, for each feature. Naming LibriSpeech's ten
test speakers from 3 s is no test (100 % with every feature), fsdd's six are also speakers of the pre-training; the
speaker tasks of `voices.py` have single seconds and two labels a speaker.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse import CutSet
from torch import Tensor, nn

from audiossl import Upstream, load_interface, load_upstream
from audiossl.core.types import Metric
from audiossl.data.config import LoaderConfig
from audiossl.data.fields import read_field
from audiossl.data.loader import collate
from audiossl.data.reading import path_of
from audiossl.data.sources import cuts_from_csv
from audiossl.downstreams.utterance_classification.task import UtteranceClassification, UtteranceClassificationConfig
from audiossl.encoders.encoding import encode_rows
from audiossl.metrics.jackknife import Difference, Estimate, difference_of, metric_of
from audiossl.metrics.ratios import across_seeds, paired_difference
from audiossl.metrics.verification import Sides, equal_error_rate, speakers_of, verification_estimates
from audiossl.upstreams.tera.model import Tera
from benchmarks import voices

LEARNING_RATES = (1e-2, 3e-3, 1e-3)
BATCH, EVAL_EVERY = 32, 50
INPUT = "tera_mini's input alone"
RANDOM = "tera_mini, random"
FEATURES: dict[str, tuple[str, dict[str, Any]]] = {
    "tera_mini": ("tera_mini", {}),
    RANDOM: ("tera_mini", {"weights": "random"}),
    "log_mel": ("log_mel", {}),
    INPUT: ("tera_mini", {}),
    "fbank": ("fbank", {}),
}


@dataclass(frozen=True)
class Problem:
    """A task: the training cuts of each seed, dev, test, and the field to predict.

    by_speaker: intervals draw whole speakers, not items.
    """

    name: str
    train: tuple[CutSet, ...]
    dev: CutSet
    test: CutSet
    label_field: str
    by_speaker: bool = False


def problems(data: Path, num_seeds: int) -> list[Problem]:
    """The tasks, on the sets' own splits."""
    wakewords = cuts_from_csv(data / "wakewords" / "manifest.csv")
    fsdd = cuts_from_csv(data / "fsdd" / "manifest.csv")
    full = (wakewords["train"],) * num_seeds
    digits = tuple(few(fsdd["train"], "label", 5, seed) for seed in range(num_seeds))
    speakers = tuple(few(fsdd["train"], "speaker", 5, seed) for seed in range(num_seeds))
    return [
        Problem("Wake words: 6 keywords, 280 labels", full, wakewords["dev"], wakewords["test"], "label"),
        Problem("FSDD: 10 digits, 5 labels each", digits, fsdd["dev"], fsdd["test"], "label"),
        Problem("FSDD: 10 digits, 240 labels each", (fsdd["train"],) * num_seeds, fsdd["dev"], fsdd["test"], "label"),
        Problem("FSDD: 6 speakers, 5 labels each", speakers, fsdd["dev"], fsdd["test"], "speaker"),
        *voice_problems(cuts_from_csv(data / "libri_mini" / "manifest.csv"), num_seeds),
    ]


def voice_problems(libri: Mapping[str, CutSet], num_seeds: int) -> list[Problem]:
    """Speakers of LibriSpeech from single seconds, two labels each (`voices.py`)."""
    made = []
    for name, parts in (
        ("speakers that pre-training never heard", voices.unheard_speakers(libri)),
        ("test-other speakers, other utterances", voices.by_utterance(libri)),
        ("speakers that pre-training heard", voices.heard_speakers(libri)),
    ):
        train = tuple(few(parts.train, "speaker", 2, seed) for seed in range(num_seeds))
        count = len({cut.supervisions[0].speaker for cut in parts.train})
        title = f"LibriSpeech: {count} {name}, 2 labels of 1 s each"
        made.append(Problem(title, train, parts.dev, parts.test, "speaker", by_speaker=True))
    return made


def few(cuts: CutSet, field: str, count: int, seed: int) -> CutSet:
    """`count` cuts of each label, drawn by seed."""
    by_label: dict[str, list[Any]] = defaultdict(list)
    for cut in sorted(cuts, key=lambda cut: cut.id):
        by_label[str(read_field(cut, field))].append(cut)
    draw = random.Random(seed)
    return CutSet.from_cuts([cut for label in sorted(by_label) for cut in draw.sample(by_label[label], count)])


def mean_states(upstream: Upstream, cuts: Iterable[Any]) -> dict[str, Tensor]:
    """(L, D) of every cut: the mean of each layer over its frames."""
    unique = CutSet.from_cuts({cut.id: cut for cut in cuts}.values())
    means: dict[str, Tensor] = {}
    for batch, features in encode_rows(upstream, unique, LoaderConfig(batch_size=16), device="cpu"):
        for index, cut in enumerate(batch.cuts):
            means[cut.id] = torch.stack([layer.mean(0) for layer in features.item(index)])
    return means


class InputAlone(Upstream):
    """What a TERA reads, as one layer: log mel with level, floor and a mean and deviation over its training data.

    The strongest log mel of the table: unit scale suits Adam, which needs many more steps on plain log mel.
    """

    def __init__(self, tera: Tera) -> None:
        super().__init__()
        self.tera, self.widths = tera, (tera.num_features,)
        self.stride, self.receptive_field, self.edge = tera.stride, tera.receptive_field, tera.edge

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        return (self.tera.local_features(wavs, lengths),)


def load_feature(feature: str, encoder: str, seed: int = 0) -> Upstream:
    """A row of the table; `encoder` stands in for tera_mini, `seed` is that of random weights."""
    name, options = FEATURES[feature]
    if feature == RANDOM:
        options = {**options, "seed": seed}
    upstream = load_upstream(encoder if name == "tera_mini" else name, **options)
    return InputAlone(upstream) if feature == INPUT else upstream


class Heads(nn.Module):
    """The weighted sums and heads of N seeds; each starts as `UtteranceClassification` would from that seed."""

    def __init__(self, tasks: Sequence[UtteranceClassification]) -> None:
        super().__init__()

        def stack(name: str) -> nn.Parameter:
            return nn.Parameter(torch.stack([task.state_dict()[name] for task in tasks]))

        only = len(tasks[0].upstream.widths) == 1
        self.layers = nn.Parameter(torch.zeros(len(tasks), len(tasks[0].upstream.widths)), requires_grad=not only)
        self.project, self.project_bias = stack("projector.weight"), stack("projector.bias")
        self.classify, self.classify_bias = stack("classifier.weight"), stack("classifier.bias")

    def forward(self, means: Tensor) -> Tensor:
        """(N, B, L, D) -> (N, B, C)."""
        x = torch.einsum("nl,nbld->nbd", self.layers.softmax(-1), means)
        x = torch.baddbmm(self.project_bias[:, None], x, self.project.mT)
        return torch.baddbmm(self.classify_bias[:, None], x, self.classify.mT)


def verification_scores(
    upstream: Upstream, libri: Mapping[str, CutSet], pairs: Sequence[tuple[str, str]]
) -> np.ndarray:
    """(N,) similarity of each pair of test ids, at the layer that is best at telling which halves of dev belong."""
    halves = [_half(cut, second) for second in (False, True) for cut in libri["dev"]]
    means = mean_states(upstream, [*halves, *libri["test"]])
    dev = torch.stack([means[cut.id] for cut in halves], dim=1)  # (L, 2 N, D): first halves, then second ones
    centre = dev.mean(1)
    first, second = nn.functional.normalize(dev - centre[:, None], dim=-1).chunk(2, dim=1)
    same = np.eye(first.shape[1], dtype=bool).ravel()
    errors = [equal_error_rate((a @ b.T).numpy().ravel(), same) for a, b in zip(first, second, strict=True)]
    layer = int(np.argmin(errors))
    units = {cut.id: nn.functional.normalize(means[cut.id][layer] - centre[layer], dim=0) for cut in libri["test"]}
    return np.array([float(units[a] @ units[b]) for a, b in pairs])


def _half(cut: Any, second: bool) -> Any:
    half = cut.duration / 2
    return cut.truncate(offset=half if second else 0.0, duration=half).with_id(f"{cut.id} half {1 + second}")


def verify(data: Path, encoders: Mapping[str, Sequence[Upstream]], against: str) -> list[str]:
    """A table of EER, and what each encoder's is minus that of `against`. Of several draws of one it is their mean."""
    libri = cuts_from_csv(data / "libri_mini" / "manifest.csv")
    by_path = {str(path_of(cut)): cut for cut in libri["test"]}
    rows = [line.split() for line in (data / "libri_mini" / "trials_test_other.txt").read_text().splitlines()]
    cuts = [tuple(by_path[str(data / "libri_mini" / name)] for name in row[1:]) for row in rows]
    same = np.array([row[0] == "1" for row in rows])
    left, right = ([pair[side].supervisions[0].speaker for pair in cuts] for side in (0, 1))

    sides = Sides(left, right)

    def rate_of(scores: Sequence[np.ndarray]) -> Estimate:
        """The mean EER of several systems, with what it is without each speaker."""
        found = [verification_estimates(row, same, sides)["eer"] for row in scores]
        mean = float(np.mean([each.value for each in found]))
        return found[0]._replace(value=mean, without=np.mean([each.without for each in found], axis=0))

    pairs = [(a.id, b.id) for a, b in cuts]
    rates: dict[str, Estimate] = {}
    for feature, upstreams in encoders.items():
        rates[feature] = rate_of([verification_scores(upstream, libri, pairs) for upstream in upstreams])
        print(f"Verification | {feature}: EER {100 * rates[feature].value:.1f}", flush=True)
    lines = ["### LibriSpeech test-other: 10 unseen speakers, 1350 pairs", ""]
    lines += [f"| feature | EER % (lower is better) | it minus {against} |", "| --- | --- | --- |"]
    speakers = speakers_of(sides)
    for feature, rate in rates.items():
        gain = "" if feature == against else spread(difference_of(rate, rates[against], speakers), "+")
        lines.append(f"| {feature} | {spread(metric_of(rate, speakers))} | {gain} |")
    return [*lines, "", f"Intervals over {speakers.num} speakers.", ""]


def spread(figure: Metric | Difference, sign: str = "") -> str:
    """A figure in percent with its interval."""
    bounds = [] if figure.low is None or figure.high is None else [figure.low, figure.high]
    interval = f" [{', '.join(f'{100 * bound:{sign}.1f}' for bound in bounds)}]" if bounds else ""
    return f"{100 * figure.value:{sign}.1f}{interval}"


def build_tasks(upstreams: Sequence[Upstream], problem: Problem) -> list[UtteranceClassification]:
    """The real task of each seed; upstreams: of all seeds, or one for each."""
    tasks = []
    for seed, cuts in enumerate(problem.train):
        upstream = upstreams[seed % len(upstreams)]
        config = UtteranceClassification.complete(UtteranceClassificationConfig(label_field=problem.label_field), cuts)
        torch.manual_seed(seed)
        tasks.append(UtteranceClassification(upstream, load_interface("weighted_sum", upstream.widths), config))
    return tasks


def correct_on_test(
    upstreams: Sequence[Upstream], problem: Problem, steps: int, means: Sequence[dict[str, Tensor]]
) -> np.ndarray:
    """(seeds, test items): right or wrong, with the learning rate and step that are best on dev.

    upstreams: one for all seeds, or one for each; means: for each of them, mean states by id; those that are missing
    are added.
    """
    needed = [cut for cuts in (*problem.train, problem.dev, problem.test) for cut in cuts]
    for upstream, known in zip(upstreams, means, strict=True):
        if missing := [cut for cut in needed if cut.id not in known]:
            known |= mean_states(upstream, missing)
    tasks = build_tasks(upstreams, problem)
    index = tasks[0].index

    def table(cuts: Iterable[Any], known: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        targets = [index[str(read_field(cut, problem.label_field))] for cut in cuts]
        return torch.stack([known[cut.id] for cut in cuts]), torch.tensor(targets)

    def tables(cuts: Sequence[Any]) -> tuple[Tensor, Tensor]:
        each = [table(cuts, known) for known in means]
        return torch.stack([x for x, _ in each]), each[0][1]

    for task, known in zip(tasks, means, strict=False):
        _check(task, problem.dev, known)
    train = [table(cuts, means[seed % len(means)]) for seed, cuts in enumerate(problem.train)]
    dev, test = tables(list(problem.dev)), tables(in_order(problem.test))
    best = np.full(len(tasks), -1.0)
    correct = np.zeros((len(tasks), len(test[1])))
    for lr in LEARNING_RATES:
        heads = Heads(tasks)
        optimizer = torch.optim.Adam([p for p in heads.parameters() if p.requires_grad], lr=lr)
        draws = [np.random.default_rng(seed) for seed in range(len(tasks))]
        for step in range(1, steps + 1):
            rows = [draw.integers(len(y), size=BATCH) for draw, (_, y) in zip(draws, train, strict=True)]
            x = torch.stack([x[row] for row, (x, _) in zip(rows, train, strict=True)])
            y = torch.stack([y[row] for row, (_, y) in zip(rows, train, strict=True)])
            loss = nn.functional.cross_entropy(heads(x).flatten(0, 1), y.flatten(), reduction="sum") / BATCH
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % EVAL_EVERY == 0:
                on_dev, on_test = _right(heads, *dev).mean(1), _right(heads, *test)
                better = on_dev > best
                best[better], correct[better] = on_dev[better], on_test[better]
    return correct


def in_order(cuts: CutSet) -> list[Any]:
    return sorted(cuts, key=lambda cut: cut.id)


def _right(heads: Heads, x: Tensor, y: Tensor) -> np.ndarray:
    """(N, B) for x (N or 1, B, L, D)."""
    with torch.no_grad():
        return (heads(x.expand(len(heads.layers), *x.shape[1:])).argmax(-1) == y).double().numpy()


def _check(task: UtteranceClassification, cuts: CutSet, means: Mapping[str, Tensor]) -> None:
    """Stop if training on means is not the task itself."""
    first = list(cuts)[:8]
    upstream = task.upstream
    batch = collate(first, upstream.sample_rate_hz, min_samples=upstream.min_samples)
    with torch.no_grad():
        on_means = Heads([task])(torch.stack([means[cut.id] for cut in first])[None])[0]
        torch.testing.assert_close(on_means, task.eval().logits(batch), rtol=1e-4, atol=1e-3)


def markdown(problem: Problem, correct: Mapping[str, np.ndarray]) -> list[str]:
    """A table: accuracy with its interval, and tera_mini's paired gain over each other feature."""
    first = next(iter(correct))
    groups = [cut.supervisions[0].speaker for cut in in_order(problem.test)] if problem.by_speaker else None
    lines = [f"### {problem.name}", "", f"| feature | accuracy % | {first} minus it |", "| --- | --- | --- |"]
    for feature, values in correct.items():
        mean = across_seeds(values, groups)
        gain = paired_difference(correct[first].mean(0), values.mean(0), groups)
        lines.append(f"| {feature} | {spread(mean)} | {'' if feature == first else spread(gain, '+')} |")
    drawn = f" of {len(set(groups))} speakers, over whom the intervals are" if groups else ""
    return [*lines, "", f"{len(problem.test)} test items{drawn}.", ""]


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare tera_mini with its baselines.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--encoder", default="tera_mini", help="another checkpoint, for instance a run folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    draws = {feature: arguments.seeds if feature == RANDOM else 1 for feature in FEATURES}
    upstreams = {name: [load_feature(name, arguments.encoder, seed) for seed in range(draws[name])] for name in draws}
    means: dict[str, list[dict[str, Tensor]]] = {name: [{} for _ in range(draws[name])] for name in draws}
    for problem in problems(arguments.data, arguments.seeds):
        correct = {}
        for feature in FEATURES:
            correct[feature] = correct_on_test(upstreams[feature], problem, arguments.steps, means[feature])
            print(f"{problem.name} | {feature}: {100 * correct[feature].mean():.1f}", flush=True)
        lines += markdown(problem, correct)
    lines += verify(arguments.data, upstreams, "tera_mini")
    print("\n".join(lines))
    if arguments.out:
        head = [
            "# tera_mini against its baselines",
            "",
            f"{datetime.now(UTC).date()}. Accuracy on test, mean over {arguments.seeds} seeds, 95 % interval "
            f"over test items, or whole speakers where a table says so; {arguments.steps} steps of {BATCH}, Adam; "
            f"learning rate (of {LEARNING_RATES}) and checkpoint by dev. Random: new weights for each seed.",
            "",
            "    " + 'python -m benchmarks.tera_mini --data "$AUDIOSSL_DATA" --out benchmarks/results/tera_mini.md',
            "",
        ]
        arguments.out.write_text("\n".join([*head, *lines]), encoding="utf-8")


if __name__ == "__main__":
    main()
