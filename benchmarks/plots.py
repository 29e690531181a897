"""Pictures of a report. matplotlib is imported when one is drawn."""

from pathlib import Path

from .cases import GROUPS
from .runner import cases_on, peers_on

# one colour and one shape per peer, the same in every picture; colours of Okabe and Ito (2008),
# which colour-blind readers tell apart
_LOOKS = {
    "copy": ("#7f7f7f", "D"),
    "numpy-gemm": ("#7f7f7f", "|"),
    "numpy": ("#7f7f7f", "o"),
    "torch": ("#d55e00", "o"),
    "torch-indexed": ("#d55e00", "^"),
    "torch-compiled": ("#d55e00", "s"),
    "jax": ("#0072b2", "o"),
    "keras": ("#0072b2", "^"),
    "pytensor": ("#009e73", "o"),
    "sklearn": ("#e69f00", "o"),
}


def draw(report: dict, folder: Path) -> list[Path]:
    """One picture per group of cases with something to compare, one of the compile times by
    layers. `report` is what `report.records` gives. Errors: ModuleNotFoundError without matplotlib.
    """
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for group, title in GROUPS.items():
        rows = _rows(report, group)
        if rows:
            figure = Figure(figsize=(8, 1.6 + 0.3 * len(rows)), layout="constrained")
            titles = {name: peer.title for name, peer in peers_on(_device(report)).items()}
            _ratios(figure.add_subplot(), rows, title, titles)
            figure.legend(fontsize=8, ncols=4, loc="outside lower center")
            written.append(folder / f"{group}.png")
            figure.savefig(written[-1], dpi=110)
    points = _layers(report)
    if len(points) > 1:
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        _growth(figure.add_subplot(), points)
        written.append(folder / "compile.png")
        figure.savefig(written[-1], dpi=110)
    return written


def _device(report: dict) -> str:
    return report["options"].get("device", "cpu")


def _rows(report: dict, group: str) -> list[tuple[str, dict[str, float]]]:
    """Case and variant, and every peer's median over symnet's."""
    cases = cases_on(_device(report))
    medians = {
        (e["case"], e["variant"], e["peer"]): e["median"]
        for e in report["entries"]
        if e["status"] == "ok" and e["median"] and cases[e["case"]].group == group
    }
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for (case, variant, peer), median in medians.items():
        own = medians.get((case, variant, "symnet"))
        if own and peer != "symnet":
            rows.setdefault((case, variant), {})[peer] = median / own
    return [(f"{c}, {v}" if v else c, ratios) for (c, v), ratios in rows.items()]


def _ratios(
    axes, rows: list[tuple[str, dict[str, float]]], title: str, titles: dict[str, str]
) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    peers = [p for p in titles if any(p in ratios for _, ratios in rows)]
    for peer in peers:
        points = [(ratios[peer], k) for k, (_, ratios) in enumerate(rows) if peer in ratios]
        colour, shape = _LOOKS[peer]
        axes.scatter(*zip(*points), color=colour, marker=shape, s=36, label=titles[peer], zorder=3)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.8), max(high, 2))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.grid(axis="both", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("the peer's, in units of symnet's: right of the line symnet is ahead")
    axes.set_title(title, loc="left", fontsize=11)


def _layers(report: dict) -> list[tuple[int, float]]:
    return [
        (int(e["variant"].split()[0]), e["median"])
        for e in report["entries"]
        if e["case"] == "compile" and e["peer"] == "symnet" and e["median"]
    ]


def _growth(axes, points: list[tuple[int, float]]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    axes.plot(*zip(*points), color="#0072b2", marker="o")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # the times span less than a decade
    axes.yaxis.set_minor_locator(NullLocator())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_xlabel("layers")
    axes.set_ylabel("seconds")
    axes.set_title(
        "Building, compiling and calling an MLP, nothing cached", loc="left", fontsize=11
    )
