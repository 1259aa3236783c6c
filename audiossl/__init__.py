"""audiossl: self-supervised learning for speech and audio.

    from audiossl import load_upstream
    features = load_upstream("tera_mini")(wavs, lengths)      # Features(layers, lengths)

Importing this package imports neither torch nor torchaudio. Each public name loads its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiossl.analysis.adapters import XaresEncoder
    from audiossl.analysis.config import ProbeOptions
    from audiossl.analysis.embedder import AudioEmbedder
    from audiossl.analysis.mteb_encoder import MtebEncoder
    from audiossl.core.cards import Card, UpstreamCard
    from audiossl.core.errors import (
        AudioError,
        AudiosslError,
        CheckpointError,
        ConfigError,
        LabelError,
        ManifestError,
        TrainingError,
        UnknownNameError,
    )
    from audiossl.core.files import read_jsonl
    from audiossl.core.registry import DOWNSTREAMS, INTERFACES, OBJECTIVES, UPSTREAMS
    from audiossl.core.tensors import fingerprint, load_strict
    from audiossl.core.types import Batch, Features, Loss, Metric, Position, Table
    from audiossl.data.checks import stats, validate
    from audiossl.data.config import LoaderConfig
    from audiossl.data.fields import read_field
    from audiossl.data.frame_labels import aligned_labels_of, frame_labels_of, read_frame_labels, write_frame_labels
    from audiossl.data.inputs import cuts_of
    from audiossl.data.loader import collate, make_loader
    from audiossl.data.manifests import read_manifest, write_manifests
    from audiossl.data.preparation import cuts_of_table, described, files_named
    from audiossl.data.reading import read_audio, read_cut
    from audiossl.data.segments import read_segments
    from audiossl.data.sources import cuts_from_csv, cuts_from_folder
    from audiossl.data.stream import StreamPlan
    from audiossl.data.unit_files import UnitRow, read_unit_rows
    from audiossl.downstreams.multi_task.target import Target
    from audiossl.downstreams.multi_task.task import MultiTask, MultiTaskConfig
    from audiossl.encoders.building import build_upstream
    from audiossl.encoders.conversion import convert
    from audiossl.encoders.encoding import encode_rows
    from audiossl.encoders.finetuning import merge_lora
    from audiossl.encoders.formats.converter import Converter
    from audiossl.encoders.formats.original import Original
    from audiossl.encoders.loading import load_upstream
    from audiossl.encoders.long_audio import encode_long
    from audiossl.encoders.row_upstream import RowUpstream
    from audiossl.encoders.testing import check_upstream
    from audiossl.encoders.upstream import Upstream
    from audiossl.encoders.weights import save_upstream
    from audiossl.experiments.config import read_experiment
    from audiossl.experiments.folder import RunFolder
    from audiossl.experiments.loading import load_run
    from audiossl.experiments.probe_runs import probe
    from audiossl.experiments.publishing.options import PushOptions
    from audiossl.experiments.publishing.pretrained import from_pretrained, push_to_hub, save_pretrained
    from audiossl.experiments.start import train
    from audiossl.experiments.training import pretrain
    from audiossl.features.access import cached_batches, open_source
    from audiossl.features.config import CacheConfig
    from audiossl.features.factors.applying import apply_factors, write_factors
    from audiossl.features.factors.config import FactorsOptions
    from audiossl.features.factors.fitted import Factors
    from audiossl.features.factors.fitting import fit_factor_analysis
    from audiossl.features.segment_states import segment_states
    from audiossl.features.units.applying import apply_units
    from audiossl.features.units.config import UnitsOptions
    from audiossl.features.units.describing import describe_units
    from audiossl.features.units.fitting import fit_units
    from audiossl.features.units.quantizer import Units
    from audiossl.metrics.ratios import paired_difference, score_mean, score_ratio
    from audiossl.nn.draws import keyed_generator
    from audiossl.nn.linear import linear_or_identity, project
    from audiossl.nn.masking import valid_frames
    from audiossl.nn.pooling import make_pooling
    from audiossl.report.build import build_report
    from audiossl.training.config import TrainerConfig
    from audiossl.training.downstream import Downstream
    from audiossl.training.interface import Interface, checked_width, load_interface
    from audiossl.training.objective import Objective, load_objective
    from audiossl.training.task import Monitor, ParameterGroup, Prediction, Task
    from audiossl.training.testing.downstream import check_downstream
    from audiossl.training.testing.interface import check_interface
    from audiossl.training.testing.objective import check_objective
    from audiossl.training.trainer import Trainer

__version__ = "0.1.0"

_HOME = {
    "DOWNSTREAMS": "core.registry",
    "INTERFACES": "core.registry",
    "OBJECTIVES": "core.registry",
    "UPSTREAMS": "core.registry",
    "AudioEmbedder": "analysis.embedder",
    "AudioError": "core.errors",
    "AudiosslError": "core.errors",
    "Batch": "core.types",
    "CacheConfig": "features.config",
    "Card": "core.cards",
    "CheckpointError": "core.errors",
    "ConfigError": "core.errors",
    "Converter": "encoders.formats.converter",
    "Downstream": "training.downstream",
    "Factors": "features.factors.fitted",
    "FactorsOptions": "features.factors.config",
    "Features": "core.types",
    "Interface": "training.interface",
    "LabelError": "core.errors",
    "LoaderConfig": "data.config",
    "Loss": "core.types",
    "ManifestError": "core.errors",
    "Metric": "core.types",
    "Monitor": "training.task",
    "MtebEncoder": "analysis.mteb_encoder",
    "MultiTask": "downstreams.multi_task.task",
    "MultiTaskConfig": "downstreams.multi_task.task",
    "Objective": "training.objective",
    "Original": "encoders.formats.original",
    "ParameterGroup": "training.task",
    "Position": "core.types",
    "Prediction": "training.task",
    "ProbeOptions": "analysis.config",
    "PushOptions": "experiments.publishing.options",
    "RunFolder": "experiments.folder",
    "StreamPlan": "data.stream",
    "Table": "core.types",
    "Target": "downstreams.multi_task.target",
    "Task": "training.task",
    "Trainer": "training.trainer",
    "TrainerConfig": "training.config",
    "TrainingError": "core.errors",
    "UnitRow": "data.unit_files",
    "Units": "features.units.quantizer",
    "UnitsOptions": "features.units.config",
    "UnknownNameError": "core.errors",
    "RowUpstream": "encoders.row_upstream",
    "Upstream": "encoders.upstream",
    "UpstreamCard": "core.cards",
    "XaresEncoder": "analysis.adapters",
    "aligned_labels_of": "data.frame_labels",
    "apply_factors": "features.factors.applying",
    "apply_units": "features.units.applying",
    "build_report": "report.build",
    "build_upstream": "encoders.building",
    "cached_batches": "features.access",
    "check_downstream": "training.testing.downstream",
    "check_interface": "training.testing.interface",
    "check_objective": "training.testing.objective",
    "check_upstream": "encoders.testing",
    "checked_width": "training.interface",
    "collate": "data.loader",
    "convert": "encoders.conversion",
    "cuts_from_csv": "data.sources",
    "cuts_from_folder": "data.sources",
    "cuts_of": "data.inputs",
    "cuts_of_table": "data.preparation",
    "describe_units": "features.units.describing",
    "described": "data.preparation",
    "encode_long": "encoders.long_audio",
    "encode_rows": "encoders.encoding",
    "files_named": "data.preparation",
    "fingerprint": "core.tensors",
    "fit_factor_analysis": "features.factors.fitting",
    "fit_units": "features.units.fitting",
    "frame_labels_of": "data.frame_labels",
    "from_pretrained": "experiments.publishing.pretrained",
    "keyed_generator": "nn.draws",
    "linear_or_identity": "nn.linear",
    "load_interface": "training.interface",
    "load_objective": "training.objective",
    "load_run": "experiments.loading",
    "load_strict": "core.tensors",
    "load_upstream": "encoders.loading",
    "make_loader": "data.loader",
    "make_pooling": "nn.pooling",
    "merge_lora": "encoders.finetuning",
    "open_source": "features.access",
    "paired_difference": "metrics.ratios",
    "pretrain": "experiments.training",
    "probe": "experiments.probe_runs",
    "project": "nn.linear",
    "push_to_hub": "experiments.publishing.pretrained",
    "read_audio": "data.reading",
    "read_cut": "data.reading",
    "read_experiment": "experiments.config",
    "read_field": "data.fields",
    "read_frame_labels": "data.frame_labels",
    "read_jsonl": "core.files",
    "read_manifest": "data.manifests",
    "read_segments": "data.segments",
    "read_unit_rows": "data.unit_files",
    "save_pretrained": "experiments.publishing.pretrained",
    "save_upstream": "encoders.weights",
    "segment_states": "features.segment_states",
    "score_mean": "metrics.ratios",
    "score_ratio": "metrics.ratios",
    "stats": "data.checks",
    "train": "experiments.start",
    "valid_frames": "nn.masking",
    "validate": "data.checks",
    "write_factors": "features.factors.applying",
    "write_frame_labels": "data.frame_labels",
    "write_manifests": "data.manifests",
}

__all__ = [
    "DOWNSTREAMS",
    "INTERFACES",
    "OBJECTIVES",
    "UPSTREAMS",
    "AudioEmbedder",
    "AudioError",
    "AudiosslError",
    "Batch",
    "CacheConfig",
    "Card",
    "CheckpointError",
    "ConfigError",
    "Converter",
    "Downstream",
    "Factors",
    "FactorsOptions",
    "Features",
    "Interface",
    "LabelError",
    "LoaderConfig",
    "Loss",
    "ManifestError",
    "Metric",
    "Monitor",
    "MtebEncoder",
    "MultiTask",
    "MultiTaskConfig",
    "Objective",
    "Original",
    "ParameterGroup",
    "Position",
    "Prediction",
    "ProbeOptions",
    "PushOptions",
    "RowUpstream",
    "RunFolder",
    "StreamPlan",
    "Table",
    "Target",
    "Task",
    "Trainer",
    "TrainerConfig",
    "TrainingError",
    "UnitRow",
    "Units",
    "UnitsOptions",
    "UnknownNameError",
    "Upstream",
    "UpstreamCard",
    "XaresEncoder",
    "aligned_labels_of",
    "apply_factors",
    "apply_units",
    "build_report",
    "build_upstream",
    "cached_batches",
    "check_downstream",
    "check_interface",
    "check_objective",
    "check_upstream",
    "checked_width",
    "collate",
    "convert",
    "cuts_from_csv",
    "cuts_from_folder",
    "cuts_of",
    "cuts_of_table",
    "describe_units",
    "described",
    "encode_long",
    "encode_rows",
    "files_named",
    "fingerprint",
    "fit_factor_analysis",
    "fit_units",
    "frame_labels_of",
    "from_pretrained",
    "keyed_generator",
    "linear_or_identity",
    "load_interface",
    "load_objective",
    "load_run",
    "load_strict",
    "load_upstream",
    "make_loader",
    "make_pooling",
    "merge_lora",
    "open_source",
    "paired_difference",
    "pretrain",
    "probe",
    "project",
    "push_to_hub",
    "read_audio",
    "read_cut",
    "read_experiment",
    "read_field",
    "read_frame_labels",
    "read_jsonl",
    "read_manifest",
    "read_segments",
    "read_unit_rows",
    "save_pretrained",
    "save_upstream",
    "score_mean",
    "score_ratio",
    "segment_states",
    "stats",
    "train",
    "valid_frames",
    "validate",
    "write_factors",
    "write_frame_labels",
    "write_manifests",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'audiossl' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"audiossl.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
