"""Pictures of a verification run: the DET curve on normal-deviate axes, and the scores of both kinds of trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from audiossl.core.pictures import save_figure
from audiossl.metrics.calibration import Calibration
from audiossl.metrics.clusters import Floats
from audiossl.metrics.verification import (
    P_TARGETS,
    dcf,
    det_curve,
    equal_error_rate,
    equal_error_threshold,
)

_TICKS = (0.0001, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
_SAME, _DIFFERENT = "#0072b2", "#d55e00"


def draw_det(scores: Floats, targets: NDArray[np.bool_], path: Path) -> Path:
    """Write a PNG: misses over false alarms (Martin et al., 1997), with the points of the EER and of minDCF.

    Rates of 0 and 1 have no place on these axes. They are drawn at half a trial.
    """
    from matplotlib.figure import Figure

    curve = det_curve(scores, targets)
    halves = 0.5 / targets.sum(), 0.5 / (~targets).sum()
    misses, alarms = (np.clip(rate, half, 1 - half) for rate, half in zip(curve[:2], halves, strict=True))
    # On axes of the normal distribution's quantiles, scores of two normal distributions make a straight line.
    figure = Figure(figsize=(5.6, 5.4))
    axes = figure.add_subplot()
    axes.plot(ndtri(alarms), ndtri(misses), color=_SAME, linewidth=1.6)
    rate = equal_error_rate(scores, targets)
    shown = float(np.clip(rate, min(halves), 1 - min(halves)))
    axes.plot(ndtri(shown), ndtri(shown), "o", color="black", label=f"EER {100 * rate:.2f} %")
    for p_target, sign in zip(P_TARGETS, "^sDv", strict=False):
        costs = dcf(curve.p_miss, curve.p_fa, p_target)
        best = int(costs.argmin())
        label = f"minDCF {costs[best]:.3f} (prior {p_target:g})"
        axes.plot(ndtri(alarms[best]), ndtri(misses[best]), sign, color=_DIFFERENT, label=label)
    # Both axes show the same range, and of it only what the curve needs.
    low = min(float(alarms.min()), float(misses.min()), 0.01)
    high = min(max(0.5, 1.4 * rate), 0.98)
    ends = ndtri(low) - 0.08, ndtri(high)
    axes.plot(ends, ends, color="0.8", linewidth=0.8, zorder=0)
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    axes.set_xticks(ndtri(ticks), [f"{100 * tick:g}" for tick in ticks])
    axes.set_yticks(ndtri(ticks), [f"{100 * tick:g}" for tick in ticks])
    axes.set(xlim=ends, ylim=ends, xlabel="false alarms (%)", ylabel="misses (%)", aspect="equal")
    axes.grid(color="0.92")
    axes.legend(loc="upper right", fontsize=9)
    axes.set_title(f"{targets.sum()} trials of one speaker, {(~targets).sum()} of two", fontsize=9)
    save_figure(figure, path, dpi=120, bbox_inches="tight")
    return path


def draw_scores(scores: Floats, targets: NDArray[np.bool_], calibration: Calibration | None, path: Path) -> Path:
    """Write a PNG: how the scores of both kinds are distributed, the threshold of equal errors, and that of llr = 0.

    scores: (N,) of the trials.
    targets: (N,) whether both sides are one speaker.
    calibration: from scores to log-likelihood ratios. None for no line where they are 0.
    path: the file to write, which is returned.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6))
    axes = figure.add_subplot()
    edges = np.histogram_bin_edges(scores, bins=60).tolist()
    for kind, colour, name in ((targets, _SAME, "one speaker"), (~targets, _DIFFERENT, "two speakers")):
        axes.hist(scores[kind], edges, density=True, histtype="stepfilled", alpha=0.45, color=colour, label=name)
    threshold = equal_error_threshold(det_curve(scores, targets))
    axes.axvline(threshold, color="black", linewidth=1, label=f"equal errors, {threshold:.3f}")
    if calibration is not None:
        even = -calibration.offset / calibration.scale
        axes.axvline(even, color="black", linewidth=1, linestyle=":", label=f"llr 0 (fitted on dev), {even:.3f}")
    axes.set(xlabel="score", ylabel="density")
    axes.legend(fontsize=8)
    save_figure(figure, path, dpi=120, bbox_inches="tight")
    return path
