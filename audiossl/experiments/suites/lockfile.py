"""suite.json, the lock file of a results folder: what was asked for, with which encoders, to be repeated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from audiossl.core.config import as_dict
from audiossl.core.errors import AudiosslError, CheckpointError, ConfigError
from audiossl.core.files import read_json, write_json
from audiossl.experiments.folder import now, this_command, versions_here
from audiossl.experiments.suites.definition import suite_of
from audiossl.experiments.suites.encoders import EncoderChoice, known_encoder
from audiossl.experiments.suites.plan import Asked
from audiossl.experiments.suites.results import ResultsFolder


def write_lock(asked: Asked, folder: ResultsFolder) -> None:
    """Write suite.json. Encoders of before stay, and so does what minutes of budgets are."""
    before = read_json(folder.lock_path) if folder.lock_path.is_file() else {}
    encoders = {
        each.choice.label: {"name": each.choice.name, "options": each.choice.options, "identity": each.identity}
        for each in asked.encoders
    }
    said = {
        "suite": as_dict(asked.suite),
        "settings": dict(asked.over),
        "budget": asked.budget,
        "budgets": before.get("budgets") or {},
        "encoders": {**(before.get("encoders") or {}), **encoders},
        "versions": versions_here(),
        "command": this_command(),
        "created": now(),
    }
    write_json(folder.lock_path, said)


def read_lock(path: Path, data: Path | None, say: Callable[[str], None]) -> Asked:
    """What a suite.json asks for.

    path: of the file, or of the results folder that it is in.
    data: the folder of the corpora.
    say: gets a line where another version of a package is installed now.
    Raises ConfigError for a file that is none, CheckpointError where an encoder is another one now.
    """
    file = ResultsFolder(path).lock_path if path.is_dir() else path
    try:
        said = read_json(file)
        suite = suite_of(said["suite"], said["suite"].get("name", file.stem), f"lock file {file}")
        named = {
            label: (EncoderChoice(label, each["name"], each["options"]), each["identity"])
            for label, each in said["encoders"].items()
        }
        over, budget, versions = dict(said["settings"]), float(said.get("budget", 0.0)), dict(said["versions"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, AudiosslError):
            raise
        raise ConfigError(f"{file} is no lock file of a suite; give the suite.json of a results folder.") from error
    encoders = []
    for label, (choice, identity) in named.items():
        known = known_encoder(choice)
        if known.identity != identity:
            raise CheckpointError(
                f"The upstream {label!r} is not the one that {file} was written with (its weights or settings "
                f"changed); restore it, or run the suite anew by `audiossl suite run`."
            )
        encoders.append(known)
    here = versions_here()
    changed = [
        f"{name} {here.get(name, 'is missing')} (was {old})" for name, old in versions.items() if here.get(name) != old
    ]
    if changed:
        say(f"Other versions than in {file}: {', '.join(changed)}.")
    return Asked(suite, encoders, data, over, budget)
