"""`audiossl push`: a run or an encoder to the Hugging Face hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from audiossl.cli.options import AsJson, takes_fields_of
from audiossl.experiments.publishing.options import PushOptions


@takes_fields_of(PushOptions)
def push(
    model: Annotated[str, typer.Argument(help="A run folder, or an encoder: a name, a path, <toolkit>:<file>.")],
    repository: Annotated[str, typer.Argument(help="<owner>/<name> on the hub; it is made where there is none.")],
    options: PushOptions,
    dry_run: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Send nothing: write what would be sent into this new folder.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a run or an encoder to the Hugging Face hub, with a model card. Manifests, logs and predictions stay."""
    from audiossl.experiments.publishing.pretrained import push_to_hub, save_pretrained
    from audiossl.experiments.publishing.upload import check_repository

    check_repository(repository)
    if dry_run:
        save_pretrained(model, dry_run, repository, options)
        files = [path for path in sorted(dry_run.rglob("*")) if path.is_file()]
        sizes = {path.relative_to(dry_run).as_posix(): path.stat().st_size for path in files}
        if as_json:
            print(json.dumps({"repository": repository, "folder": str(dry_run), "files": sizes}))
            return
        for name, size in sizes.items():
            print(f"{size:>12,}  {name}")
        print(f"{sum(sizes.values()):>12,}  bytes would be sent to {repository}; they are in {dry_run}")
        return
    revision = push_to_hub(model, repository, options)
    if as_json:
        print(json.dumps({"repository": repository, "revision": revision}))
    else:
        print(f"Sent: hf:{repository}@{revision}")
