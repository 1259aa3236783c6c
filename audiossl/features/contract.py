"""What gives hidden states of rows instead of sound: of one encoder, or of several that are joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from audiossl.core.types import Batch, Position
from audiossl.data.stream import BatchStream
from audiossl.encoders.upstream import Upstream
from audiossl.features.config import Form
from audiossl.features.identity import Utterances

if TYPE_CHECKING:
    from lhotse.cut import Cut


class Survey(NamedTuple):
    """What a manifest needs in the cache, and how much of it is not there yet."""

    num_rows: int
    audio_s: float
    num_bytes: int
    missing_rows: int
    missing_s: float
    missing_bytes: int


class StateSource(Protocol):
    """Hidden states of an upstream, stored or computed. Any number of heads can read its batches.

    form: in which they are stored.
    utterances: names of utterances that were looked up.
    """

    form: Form
    utterances: Utterances

    @property
    def upstream(self) -> Upstream:
        """Whose states they are."""

    @property
    def keys(self) -> list[str]:
        """The names of the entries of the cache that hold them."""

    @property
    def room(self) -> int:
        """Bytes that may still be written."""

    def batches(self, stream: BatchStream, *, means: bool = False) -> Iterator[Batch]:
        """The stream's batches in their order, without sound.

        means: whether frames become their mean over time.
        """

    def batch(self, cuts: Sequence[Cut], position: Position | None = None, *, means: bool = False) -> Batch:
        """Hidden states of rows as a batch without sound."""

    def survey(self, cuts: Iterable[Cut]) -> Survey:
        """Sizes from the rows alone. No sound is read."""

    def extract(
        self,
        cuts: Iterable[Cut],
        *,
        share: tuple[int, int] = (0, 1),
        num_workers: int = 0,
        total_s: float | None = None,
        others: Sequence[StateSource] = (),
    ) -> int:
        """Compute and store what is missing. Returns how many rows were computed.

        cuts: the rows.
        share: (which, of how many) disjoint parts of the rows.
        num_workers: processes that read sound ahead.
        total_s: seconds of sound that are missing in the share. None for a bar without an end.
        others: sources of the same upstream, which store what they lack as well.
        """

    def refresh(self) -> None:
        """Take notice of what other processes have stored."""

    def close(self) -> None:
        """Finish what is being written. It can go on being read."""


def joint_survey(surveys: Sequence[Survey]) -> Survey:
    """Of the same rows in several entries: the rows and seconds that any of them lacks, and the bytes of all."""
    return surveys[0]._replace(
        num_bytes=sum(survey.num_bytes for survey in surveys),
        missing_rows=max(survey.missing_rows for survey in surveys),
        missing_s=max(survey.missing_s for survey in surveys),
        missing_bytes=sum(survey.missing_bytes for survey in surveys),
    )
