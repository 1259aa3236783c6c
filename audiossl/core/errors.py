"""The errors that are the user's to mend. Each message is one sentence that names the culprit, then the fix."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AudiosslError(Exception):
    """Base of every error that audiossl raises about its input. The command line prints it without a traceback."""


class ConfigError(AudiosslError, ValueError):
    """A configuration has an unknown key, a wrong type or a missing value."""


class AudioError(AudiosslError, ValueError):
    """A recording cannot be read, or holds something that no encoder can use."""


class ManifestError(AudiosslError, ValueError):
    """A manifest, or the table it is made from, is wrong."""


class LabelError(AudiosslError, ValueError):
    """A label is missing, or was not seen in training."""


class CheckpointError(AudiosslError, ValueError):
    """Weights do not fit the model that they were given to, or a file is not a checkpoint."""


class OutputError(AudiosslError, OSError):
    """Something cannot be written where it is to be written."""

    def __str__(self) -> str:  # OSError would print its number
        return str(self.args[0])


class TrainingError(AudiosslError, RuntimeError):
    """Training cannot go on (the loss stays non-finite) or a run's folder is not in a state to be used so."""


class UnknownNameError(AudiosslError, KeyError):
    """A name is in no registry."""

    def __str__(self) -> str:  # KeyError would print the repr, quotes and escapes included
        return str(self.args[0])


def first_line(error: BaseException) -> str:
    """What an error of another library says, without its details, or the name of its class where it says nothing.

    >>> first_line(ValueError("no such key\\n  while reading x")), first_line(KeyError())
    ('no such key', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).split("\n")[0]


def os_error_sentence(error: OSError) -> str:
    """What the operating system would not do, as one sentence with the file.

    >>> os_error_sentence(FileNotFoundError(2, "No such file or directory", "a.txt"))
    'a.txt: No such file or directory.'
    """
    what = error.strerror or first_line(error)
    return f"{error.filename}: {what}." if error.filename is not None else f"{what}."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with the closest known names, or with all of them if there are few and none is close.

    >>> did_you_mean("wieghted_sum", ["last", "weighted_sum"])
    'Did you mean weighted_sum?'
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"Known: {', '.join(names)}." if 0 < len(names) <= 20 else ""
