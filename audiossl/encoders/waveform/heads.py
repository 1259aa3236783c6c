"""What pre-training left beside a waveform encoder: quantizers, projections and label embeddings, by fairseq's names.

    final_proj.{weight,bias}             from hidden states to the space of comparison, or to targets (data2vec)
    label_embs_concat                    (classes, final_dim), of all label sets one after the other
    quantizer.vars                       (1, groups * entries, code_dim / groups)
    quantizer.weight_proj.{weight,bias}  logits of the codes of each group
    project_q.{weight,bias}              from codes to the space of comparison
    wav2vec_predictions.project_to_steps.{weight,bias}   from states to each of the steps ahead (wav2vec 1.0)

transformers has `project_hid` for the projection of states and `codevectors` for the codes. torchaudio's pre-training
models have a `logit_generator`.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from audiossl.encoders.waveform.names import prefixes_of, without_shared

_KNOWN = ("final_proj.", "quantizer.", "project_q.", "label_embs_concat", "wav2vec_predictions.")
# (theirs, fairseq's): beginnings of names.
_RENAMED = (
    ("logit_generator.label_embeddings", "label_embs_concat"),
    ("logit_generator.final_proj.", "final_proj."),
    ("quantizer.codevectors", "quantizer.vars"),
    ("project_hid.", "final_proj."),
    ("final_proj.0.", "final_proj."),  # of the published data2vec
)


def heads_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The known heads among the tensors of a checkpoint of any toolkit. Empty where there are none.

    >>> sorted(heads_of({"project_hid.bias": Tensor(2), "lm_head.bias": Tensor(3)}))
    ['final_proj.bias']
    """
    prefix = next(iter(prefixes_of(state)), "")
    found = {}
    for name, value in state.items():
        # Heads lie beside the encoder or, in fairseq, among its own tensors.
        plain = without_shared(name, prefix)
        for theirs, ours in _RENAMED:
            if plain.startswith(theirs):
                plain = ours + plain.removeprefix(theirs)
                break
        if plain.startswith(_KNOWN) and isinstance(value, Tensor):
            found[plain] = value
    return found
