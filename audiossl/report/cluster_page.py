"""The page of an archive's clusters: windows of each to listen to and to look at, the most typical first."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from audiossl.analysis.archive.clustering import ArchiveClusters, ClusterOfWindows
from audiossl.analysis.archive.config import ClusterOptions
from audiossl.analysis.archive.index import ArchiveIndex, IndexedWindow
from audiossl.core.errors import AudioError
from audiossl.core.files import atomic_write, write_json
from audiossl.core.outputs import check_out
from audiossl.core.pictures import save_figure
from audiossl.data.reading import audio_facts, read_audio
from audiossl.report.cells import Players

_HERE = Path(__file__).parent
_BEGINNING = b"<!doctype html>"
_MOST_PLAYERS = 300
_MOST_COLOURS = 20
_MOST_LABELS = 5


def check_cluster_page(out: Path) -> None:
    """Raise OutputError, before anything is clustered, where the page cannot be written."""
    check_out(out, "folder")
    check_out(out / "index.html", "file", begins=_BEGINNING)


def write_cluster_page(index: ArchiveIndex, found: ArchiveClusters, options: ClusterOptions, out: Path) -> Path:
    """Write out/index.html, out/map.png and out/clusters.json. Returns the path of the page.

    index: of the archive.
    found: its clusters.
    options: by which they were made.
    out: the folder.
    Raises OutputError for a page that cannot be written.
    """
    check_cluster_page(out)
    write_json(out / "clusters.json", clusters_as_json(index, found))
    draw_map(found, out / "map.png")
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    players = Players(_MOST_PLAYERS)
    page = environment.get_template("cluster_page.html").render(
        title=f"Clusters of {index.folder.name}",
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        facts=index.facts,
        method=options.method,
        clusters=[_section(index, cluster, options, players) for cluster in found.clusters],
    )
    with atomic_write(out / "index.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out / "index.html"


def clusters_as_json(index: ArchiveIndex, found: ArchiveClusters) -> dict[str, Any]:
    """What clusters.json says: every window with the number of its cluster, 0 for none."""
    return {
        "index": str(index.folder),
        "clusters": [
            {
                "number": cluster.number,
                "num_windows": len(cluster.members),
                "num_recordings": cluster.num_recordings,
                "labels": dict(cluster.labels),
            }
            for cluster in found.clusters
        ],
        "windows": [
            {**window._asdict(), "cluster": int(number)} for window, number in zip(index.windows, found.of, strict=True)
        ],
    }


def draw_map(found: ArchiveClusters, path: Path) -> None:
    """Draw the windows in their first two principal components, the largest clusters in colours of their own."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5.0))
    axes = figure.add_subplot()
    points = found.components[:, :2] if found.components.shape[1] > 1 else np.repeat(found.components, 2, axis=1)
    colours = matplotlib.colormaps["tab20"]
    coloured = [cluster.number for cluster in found.clusters if 0 < cluster.number <= _MOST_COLOURS]
    rest = ~np.isin(found.of, coloured)
    axes.scatter(
        points[rest, 0], points[rest, 1], s=6, color="lightgrey", label="none, or smaller" if rest.any() else None
    )
    for number in coloured:
        mine = points[found.of == number]
        axes.scatter(mine[:, 0], mine[:, 1], s=8, color=colours(number - 1), label=str(number))
    axes.set_xlabel("first principal component")
    axes.set_ylabel("second")
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="center left", bbox_to_anchor=(1.01, 0.5), markerscale=2)
    save_figure(figure, path, dpi=120, bbox_inches="tight")


def _section(
    index: ArchiveIndex, cluster: ClusterOfWindows, options: ClusterOptions, players: Players
) -> dict[str, Any]:
    shown = [index.windows[place] for place in cluster.members[: options.examples]]
    labels = ", ".join(f"{label} {count}" for label, count in cluster.labels[:_MOST_LABELS])
    more = f" and {len(cluster.labels) - _MOST_LABELS} more" if len(cluster.labels) > _MOST_LABELS else ""
    return {
        "number": cluster.number,
        "num_windows": len(cluster.members),
        "num_recordings": cluster.num_recordings,
        "labels": labels + more,
        "examples": [_example(window, players) for window in shown],
    }


def _example(window: IndexedWindow, players: Players) -> dict[str, Any]:
    place = {"path": window.file, "start_s": window.start_s, "duration_s": window.end_s - window.start_s}
    said = f"{Path(window.file).name}, {window.start_s:.2f} to {window.end_s:.2f} s"
    return {"said": said, "label": window.label, "sound": players.cell(place), "picture": _spectrogram(window)}


def _spectrogram(window: IndexedWindow) -> str:
    """A PNG as an address, low frequencies at the bottom. '' for sound that cannot be read any more."""
    from matplotlib.image import imsave
    from scipy.signal import stft

    try:
        rate = audio_facts(window.file).sample_rate_hz
        lasts_s = window.end_s - window.start_s
        sound = read_audio(window.file, start_s=window.start_s, duration_s=lasts_s, sample_rate_hz=rate)
    except AudioError:
        return ""
    size = min(512, len(sound))
    spectrum = np.abs(stft(sound, nperseg=size, noverlap=size * 3 // 4)[2])
    level = 20 * np.log10(spectrum + 1e-6)
    top = float(level.max())
    buffer = io.BytesIO()
    imsave(buffer, level[::-1], vmin=top - 70, vmax=top, cmap="magma", format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
