"""A task from outside audiossl with three targets: the emotion, the sex and the age of a speaker, from one vector.

`pip install examples/voice_profile` makes it the downstream `voice_profile`, by the entry point in pyproject.toml. A
class with an order (`kind: ordinal`), other weights and columns are settings: task.targets.age.weight=0.2.
"""

from dataclasses import dataclass, field

from audiossl import MultiTask, MultiTaskConfig, Target


@dataclass(frozen=True)
class VoiceProfileConfig(MultiTaskConfig):
    targets: dict[str, Target] = field(
        default_factory=lambda: {
            "emotion": Target("class", column="label"),
            "sex": Target("class", weight=0.5),
            "age": Target("number", weight=0.5, loss="huber", least=0.0),
        }
    )
    """What is predicted, by name."""


class VoiceProfile(MultiTask):
    """Missing values are masked, each target has its metrics, and `mean` chooses the checkpoint."""

    Config = VoiceProfileConfig
