"""A recogniser as a folder that transformers loads as `Wav2Vec2ForCTC`, `HubertForCTC`, ..., with its processor."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from torch import nn

from audiossl.core.files import write_json
from audiossl.downstreams.asr.task import Asr
from audiossl.encoders.finetuning import has_adapters, merge_lora
from audiossl.encoders.waveform.model import WaveformEncoder
from audiossl.encoders.waveform.to_transformers import HeadOnTop, write_folder
from audiossl.training.downstream import Downstream

_BLANK, _SPACE = "<pad>", "|"


def write_recogniser(task: Downstream, folder: Path) -> str:
    """Write what `hf:<folder>` reads as the same run. LoRA is merged into the task.

    task: trained, on the CPU.
    folder: a new one.
    Returns why there is no such form, in which case nothing is written. '' where there is.
    """
    if why := why_no_form(task):
        return why
    assert isinstance(task, Asr)
    tokens = [_BLANK, *(_SPACE if symbol == " " else symbol for symbol in task.config.text.symbols)]
    output = {f"lm_head.{name}": value for name, value in task.head.output.state_dict().items()}
    described = {"vocab_size": len(tokens), "pad_token_id": 0, "ctc_loss_reduction": "sum"}
    write_folder(merge_lora(task.upstream), folder, HeadOnTop("ForCTC", output, described))
    phones = task.config.text.kind == "phones"
    said = {
        "tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer" if phones else "Wav2Vec2CTCTokenizer",
        "pad_token": _BLANK,
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        **({"do_phonemize": False} if phones else {"word_delimiter_token": _SPACE}),
    }
    write_json(folder / "vocab.json", {token: row for row, token in enumerate(tokens)})
    write_json(folder / "tokenizer_config.json", {**said, "processor_class": "Wav2Vec2Processor"})
    return ""


def why_no_form(task: Downstream) -> str:
    """What of a task has no form in transformers. '' where all has one."""
    if not isinstance(task, Asr):
        return f"{type(task).__name__} has no form there"
    upstream, interface, head, text = task.upstream, task.interface, task.head, task.config.text
    last = upstream.num_layers - 1
    plain = interface.standardization is None and not any(True for _ in interface.parameters())
    if not isinstance(upstream, WaveformEncoder) or upstream.in_transformers is None or has_adapters(upstream):
        return f"{upstream.display_name} has none there"
    if interface.layers_read != (last,) or not plain:
        return "its head reads more than the last layer as it is (interface=last standardize=false)"
    if head.joined != 1 or len(head.layers) or not all(isinstance(m, nn.Identity) for m in (head.norm, head.projector)):
        return "its head is more than one linear layer (task.head of `setting: finetuning_10min`)"
    if text.kind not in ("characters", "phones") or task.config.append_eos:
        return f"units of kind {text.kind}, or an end of sentence, have no tokenizer there"
    twice = next((symbol for symbol, count in Counter(text.symbols).items() if count > 1 or symbol == _BLANK), None)
    return "" if twice is None else f"the unit {twice!r} would stand for two rows of its vocabulary"
