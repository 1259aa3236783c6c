"""Which form of cached features an experiment may use, and which it uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from audiossl.core.errors import ConfigError
from audiossl.data.config import LoaderConfig
from audiossl.encoders.joined import JoinedUpstream
from audiossl.features.config import FeaturesSetting, Form
from audiossl.training.downstream import Downstream


class FormChoice(NamedTuple):
    """A form, and why it is that one."""

    form: Form
    why: str


def choose_form(
    asked: FeaturesSetting, task: Downstream, data: LoaderConfig, fits: Callable[[Form], bool], copies: int = 0
) -> FormChoice:
    """The form that is asked for, or for 'auto' the smallest that changes nothing and fits the budget.

    asked: `features` of the experiment.
    task: the head on its encoder.
    data: how rows become batches.
    fits: whether what is missing in that form fits. It is asked last, since it walks through the rows.
    copies: how many changed copies of each training row are kept.
    Raises ConfigError where what is asked for would change the result.
    """
    if asked == "off":
        return FormChoice("off", "as asked for")
    wrong = why_not(task, data, copies)
    not_pooled = why_not_pooled(task) or _why_no_means_alone(task)
    if asked != "auto":
        reason = wrong or (not_pooled if asked == "pooled" else "")
        if reason:
            kept = ", or cache.copies=4 for four changed copies of each row" if not why_not(task, data, 1) else ""
            raise ConfigError(f"features={asked} would change the result: {reason}; set features=auto or off{kept}.")
        return FormChoice(asked, "as asked for")
    # 'auto' never fails: what would change the result, or does not fit, is computed in every epoch.
    if wrong:
        return FormChoice("off", wrong)
    if not not_pooled:
        if fits("pooled"):
            return FormChoice("pooled", "head and interface need no more than the mean over time")
        return FormChoice("off", "the means of all recordings do not fit the budget (cache.max_gb)")
    if fits("frames"):
        return FormChoice("frames", f"all frames are kept, since {not_pooled}")
    return FormChoice("off", "the hidden states of all frames do not fit the budget (cache.max_gb)")


def why_not(task: Downstream, data: LoaderConfig, copies: int = 0) -> str:
    """Why hidden states that were computed once are not those of every epoch, or of a copy. '' where they are.

    task: the head on its encoder.
    data: how rows become batches.
    copies: how many changed copies of each training row are kept.
    """
    if not task.upstream_is_frozen and (reason := _why_nothing_stays(task)):
        return reason
    changed = data.changed_sound
    if data.max_crop_s is not None:
        changed = f"data.max_crop_s={data.max_crop_s:g} cuts another part of a recording in every epoch"
    if changed and not copies:
        return changed
    if getattr(getattr(task.upstream, "config", None), "padding", "exact") != "exact":
        return "with legacy padding, hidden states depend on the batch that a recording is in"
    if task.reads_waveforms:
        return f"{type(task).__name__} also reads the waveform"
    return ""


def _why_nothing_stays(task: Downstream) -> str:
    """Why no state of an encoder that trains is the same in every step. '' where some are."""
    mode = task.finetuning.mode
    if task.stores_upstream:
        return "distillation in the same step reads the waveform"
    if task.frozen_part is None:
        undivided = mode != "all" and not hasattr(task.upstream, "go_on")
        why = f", and {task.upstream.display_name} cannot go on from what stays" if undivided else ""
        return f"finetune.mode={mode} changes the encoder in every step{why}"
    return ""


def why_not_pooled(task: Downstream) -> str:
    """Why the mean over time of each layer is not enough. '' where it is."""
    if not task.upstream_is_frozen:
        return "the encoder goes on from every frame"
    if isinstance(task.upstream, JoinedUpstream) and task.upstream.join == "pooled":
        return ""  # no head sees more
    if not task.interface.commutes_with_mean:
        return f"the interface ({type(task.interface).__name__}) is no affine function of the layers"
    if not task.commutes_with_mean:
        return f"the head ({type(task).__name__} as configured) needs more than the mean over time"
    return ""


def _why_no_means_alone(task: Downstream) -> str:
    """Why the mean of the joined frames is not that of each member's own. '' where it is, and for one encoder."""
    upstream = task.upstream
    if not isinstance(upstream, JoinedUpstream) or upstream.join == "pooled" or upstream.one_grid:
        return ""
    return (
        f"the frames of {upstream.display_name} are not at the same times, and are joined before their mean is taken "
        f"(upstream_options.join=pooled joins the means)"
    )
