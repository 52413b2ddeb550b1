"""The pages of the site that are made from the code: a hook of MkDocs.

README.md becomes the home page; every paper, every kind of plugin and the public names of the package get a page from
their docstrings and registrations, with formulas set as MathML.
"""

from __future__ import annotations

import html
import inspect
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import twolayer
from twolayer.analysis.gallery.content import sentences_of
from twolayer.analysis.gallery.mathematics import typeset
from twolayer.study.json_schema import config_schema
from twolayer.study.registry import Registry, load
from twolayer.study.schema import parameters

ROOT = Path(__file__).parents[1]

KINDS = ("problems", "initializations", "dynamics", "activations", "losses", "metrics", "backends")

INTRODUCTIONS = {
    "problems": "What is learnt: data, or a teacher and the law of its inputs.",
    "initializations": "Where the weights start.",
    "dynamics": "How the weights move: descents with steps, flows in continuous time, and updates at once.",
    "activations": "The function of a neuron.",
    "losses": "What is minimised, for one output and one target.",
    "metrics": "What is measured along a trajectory. A metric is measured where it applies; those that are not "
    "measured by default are named in the config.",
    "backends": "Where training runs; never part of a run's identity.",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The order of the pages, with one for each paper that has figures."""
    registry = load([])
    config.nav = [
        {"Home": "index.md"},
        {"Tutorial": "tutorial.md"},
        {"Guide": "guide.md"},
        {"The config": "config.md"},
        {"Data, starts and teachers from files": "files.md"},
        {"Adam, momentum and gradient descent": "optimizers.md"},
        {"Mathematics and its precision": "mathematics.md"},
        {"Reliability": "reliability.md"},
        {"Clusters": "clusters.md"},
        {
            "How to write": [
                {"A plugin: what all kinds share": "plugins.md"},
                *({title: f"howto/{name}.md"} for name, (title, _) in howtos().items()),
            ]
        },
        {"Papers": [{citation_of(registry, paper): f"papers/{paper}.md"} for paper in papers(registry)]},
        {"Plugins": [{kind.capitalize(): f"reference/{kind}.md"} for kind in KINDS]},
        {"Python API": "reference/api.md"},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    registry = load([])
    made = {"index.md": home(), "tutorial.md": notebook_page(ROOT / "docs" / "tutorial.ipynb")}
    made |= {f"reference/{kind}.md": plugin_page(registry, kind) for kind in KINDS}
    made |= {f"papers/{paper}.md": paper_page(registry, paper) for paper in papers(registry)}
    made |= {f"howto/{name}.md": howto_page(name, *part) for name, part in howtos().items()}
    made["reference/api.md"] = api_page()
    made["config.schema.json"] = json.dumps(config_schema(registry), indent=1, ensure_ascii=False)
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    for paper in papers(registry):
        for name, picture in pictures(paper).items():
            files.append(File.generated(config, f"papers/{paper}/{name}.png", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """docs/plugins.md without its parts on single kinds, which are pages; formulas of a page between dollars."""
    if page.file.src_uri == "plugins.md":
        links = [f"- [{title}](howto/{name}.md)" for name, (title, _) in howtos().items()]
        return "\n".join(
            [markdown.partition("\nEach example below")[0], "", "## Kind by kind", "", *links, ""]
        )
    if page.file.src_uri == "guide.md":
        return re.sub(
            r"\(plugins\.md#an?-(\w+)[\w-]*\)", r"(howto/\1.md)", markdown.replace(".ipynb)", ".md)")
        )
    return with_formulas(markdown) if page.file.src_uri == "mathematics.md" else markdown


def howtos() -> dict[str, tuple[str, str]]:
    """The parts of docs/plugins.md on single kinds: by the kind's name, the title and the text."""
    found = {}
    for part in re.split(r"^## ", (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8"), flags=re.M)[1:]:
        title, _, text = part.partition("\n")
        found[title.partition(":")[0].split()[-1]] = (title, text)
    return found


def howto_page(name: str, title: str, text: str) -> str:
    """A part of docs/plugins.md as a page, with links to what there is already."""
    kind = next((kind for kind in KINDS if kind.startswith(name[:-1])), "")
    known = f"[All {kind} that there are](../reference/{kind}.md). " if kind else ""
    before = (
        f"{known}[What all kinds share](../plugins.md). `twolayer new {name} NAME` writes one to begin with."
    )
    return f"# {title}\n\n{before}\n\n{text.replace('](', '](../') if '](' in text else text}"


def with_formulas(text: str) -> str:
    """Markdown whose formulas, `$…$` and on a line by themselves `$$…$$`, are MathML."""
    text = re.sub(
        r"^\$\$(.+?)\$\$$",
        lambda found: f"<div>{convert(found[1], display='block')}</div>",
        text,
        flags=re.M | re.S,
    )
    parts = re.split(r"(`[^`\n]+`)", text)
    return "".join(
        part if index % 2 else re.sub(r"\$([^$]+)\$", lambda found: f"<span>{convert(found[1])}</span>", part)
        for index, part in enumerate(parts)
    )


def home() -> str:
    """The README, its links into docs/ as links within the site."""
    return (
        (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](").replace(".ipynb)", ".md)")
    )


def notebook_page(file: Path) -> str:
    """A notebook as a page, with a link to it."""
    parts = []
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join([*parts, f"[This page as a notebook]({file.name})\n"])


def papers(registry: Registry) -> list[str]:
    """The papers that have figures."""
    return list(dict.fromkeys(name.partition(".")[0] for name in registry.names("figures")))


def citation_of(registry: Registry, paper: str) -> str:
    """How a paper is cited."""
    names = (name for name in registry.names("figures") if name.startswith(f"{paper}."))
    return next((registry.find("figures", name).plugin.citation for name in names), "") or paper


def plugin_page(registry: Registry, kind: str) -> str:
    """All plugins of a kind, each with its docstring and its parameters."""
    lines = [f"# {kind.capitalize()}", INTRODUCTIONS[kind], ""]
    for name in registry.names(kind):
        found = registry.find(kind, name)
        lines += [f"## {name} {{: #{name} }}", ""]
        if kind == "metrics":
            lines += [metric_text(found.plugin), ""]
        else:
            lines += [documented(found.plugin), ""]
            if isinstance(found.plugin, type):
                lines += parameter_table(found.plugin)
        if found.file:
            lines += [f"Source: `{found.file.relative_to(ROOT).as_posix()}`", ""]
    return "\n".join(lines)


def metric_text(metric: Any) -> str:
    """What a metric measures, over which dimensions, in which units."""
    dimensions = ", ".join(metric.dimensions) or "none"
    facts = [f"dimensions: {dimensions}", f"units: {metric.units}"]
    facts += [] if metric.by_default else ["measured where it is named"]
    facts += ["one for all seeds"] if metric.across_seeds else []
    function = inspect.unwrap(metric.measure)
    text = documented(function) if (inspect.getdoc(function) or "") else ""
    return f"<p>{typeset(metric.long_name)} ({html.escape('; '.join(facts))})</p>\n{text}"


def parameter_table(plugin: type) -> list[str]:
    """The parameters of a plugin with their types and defaults."""
    rows = parameters(plugin)
    if not rows:
        return []
    lines = ["| parameter | type | default |", "|---|---|---|"]
    for name, hint, default in rows:
        shown = "required" if default is None else f"`{default}`"
        lines.append(f"| `{name}` | `{hint}` | {shown} |".replace(" | None", " or None").replace("`|", "` |"))
    return [*lines, ""]


def paper_page(registry: Registry, paper: str) -> str:
    """A paper: its experiments, figures and claims, and the verdicts of the results that are there."""
    figures = [name for name in registry.names("figures") if name.startswith(f"{paper}.")]
    claims = [name for name in registry.names("claims") if name.startswith(f"{paper}.")]
    file = ROOT / "plugins" / "papers" / paper / "gallery.yaml"
    sentences = sentences_of(file) if file.is_file() else {}
    verdicts = verdicts_of(ROOT / "results" / paper / "claims.json")
    drawn = pictures(paper)
    lines = [f"# {citation_of(registry, paper)} {{: #{paper} }}", ""]
    lines += [f"`snakemake --cores 2 {paper}` makes what is listed here; `results/index.html` shows it.", ""]
    lines += ["## Figures", ""]
    for full in figures:
        drawing, name = registry.find("figures", full).plugin, full.partition(".")[2]
        lines += [
            f"### {name} {{: #figure-{name} }}",
            f'<p><span class="badge">{drawing.status}</span></p>',
            "",
        ]
        said = sentences.get(name, {})
        if "paper" in said:
            lines += [f"<p>In the paper: {typeset(said['paper'])}</p>", ""]
        caption = drawing.caption if isinstance(drawing.caption, str) else drawn_caption(paper, name)
        if name in drawn:
            lines += [f"![{name} of {paper}, as the results have it]({paper}/{name}.png)", ""]
        if caption:
            lines += [f"<p>{typeset(caption)}</p>", ""]
        lines += [f"Drawn from: {', '.join(f'`{experiment}`' for experiment in drawing.experiments)}", ""]
        if "without_claims" in said:
            lines += [f"<p>No claim names it: {typeset(said['without_claims'])}</p>", ""]
    lines += ["## Claims", ""]
    for full in claims:
        claim, name = registry.find("claims", full).plugin, full.partition(".")[2]
        lines += [f"### {name} {{: #claim-{name} }}", f"<p>{typeset(claim.statement)}</p>", ""]
        lines += [f"<p>{typeset(claim.source)}; {claim.tag}.</p>", ""]
        if name in verdicts:
            lines += [f"Verdicts: {verdicts[name]}.", ""]
        shown = [figure for figure in claim.figures if f"{paper}.{figure}" in figures]
        if shown:
            lines += [f"Figures: {', '.join(f'[{figure}](#figure-{figure})' for figure in shown)}", ""]
    return "\n".join(lines)


def pictures(paper: str) -> dict[str, Path]:
    """The pictures of a paper's figures in the results that are there, of a film the last frame."""
    folder = ROOT / "results" / paper / "figures"
    return {path.name.partition(".")[0]: path for path in sorted(folder.glob("*.png"))}


def drawn_caption(paper: str, name: str) -> str:
    """The caption of a figure that says what was run, where it has been drawn."""
    for suffix in ("json", "mp4.json"):
        file = ROOT / "results" / paper / "figures" / f"{name}.{suffix}"
        if file.is_file():
            return str(json.loads(file.read_text(encoding="utf-8"))["caption"])
    return ""


def verdicts_of(file: Path) -> dict[str, str]:
    """By claim, how many of its cases have which verdict; nothing where no results are there."""
    if not file.is_file():
        return {}
    found: dict[str, dict[str, int]] = {}
    for row in json.loads(file.read_text(encoding="utf-8")):
        counts = found.setdefault(row["claim"].partition("[")[0], {})
        counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
    return {
        name: ", ".join(f"{count} {word}" for word, count in counts.items()) for name, counts in found.items()
    }


def api_page() -> str:
    """The public names of the package, each with its signature and docstring."""
    lines = ["# Python API", "Every name is imported from `twolayer`.", ""]
    for name in sorted(twolayer.__all__):
        value = getattr(twolayer, name)
        lines += [f"## {name} {{: #{name} }}", ""]
        if callable(value):
            lines += ["```python", f"{name}{signature_of(value)}", "```", ""]
        lines += [documented(value), ""]
        if isinstance(value, type):
            lines += methods_of(value)
    return "\n".join(lines)


def methods_of(cls: type) -> list[str]:
    """The public methods of a class that it defines and describes."""
    lines = []
    for name, member in vars(cls).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if name.startswith("_") or not inspect.isfunction(function) or not inspect.getdoc(function):
            continue
        signature = "" if isinstance(member, property) else signature_of(function)
        lines += [f"### {cls.__name__}.{name} {{: #{cls.__name__}.{name} }}", ""]
        lines += ["```python", f"{name}{signature}", "```", "", documented(function), ""]
    return lines


def signature_of(value: Any) -> str:
    """A signature as text; objects without a readable spelling are left as `…`."""
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return "(…)"
    return re.sub(r"<[^<>]*>", "…", text)


def documented(value: Any) -> str:
    """A docstring as paragraphs of HTML, formulas as MathML; `name: what it is` begins a line."""
    return "\n\n".join(paragraphs(inspect.getdoc(value) or ""))


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a docstring."""
    for block in re.split(r"\n\s*\n", text):
        lines = block.splitlines()
        if lines and all(line.startswith("    ") for line in lines):
            yield f"<pre><code>{html.escape(inspect.cleandoc(block))}</code></pre>"
        elif block.strip():
            yield f"<p>{'<br>'.join(prose(line) for line in joined(lines))}</p>"


def joined(lines: Iterable[str]) -> Iterator[str]:
    """Lines of prose, those that go on in one; a line `name, other: …` begins anew."""
    current = ""
    for line in lines:
        if current and not re.match(r"\w+(, \w+)*: ", line):
            current += f" {line.strip()}"
        else:
            if current:
                yield current
            current = line.strip()
    if current:
        yield current


def prose(text: str) -> str:
    """A line with the names that begin it and its code in backticks as code, and its formulas as MathML."""
    if found := re.match(r"([a-z]\w*(?:, [a-z]\w*)*)(?=: )", text):
        text = ", ".join(f"`{name}`" for name in found[1].split(", ")) + text[found.end() :]
    parts = re.split(r"`([^`]+)`", text)
    return "".join(
        f"<code>{html.escape(part)}</code>" if index % 2 else str(typeset(part))
        for index, part in enumerate(parts)
    )
