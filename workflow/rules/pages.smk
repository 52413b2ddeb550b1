# What the pages are made from: the gallery of all papers, and one page of neurons over time for each.
import subprocess

DESCRIPTIONS = [
    f"results/{paper.name}/figures/{figure.name}.{figure.suffixes[-1]}"
    for paper in study.papers.values()
    for figure in paper.figures.values()
]
# What papers show in their figures, next to the plugins that draw them.
SENTENCES = sorted(
    {
        relative(file)
        for paper in study.papers.values()
        for figure in paper.figures.values()
        if (source := study.registry.find("figures", figure.registered).file)
        and (file := source.with_name("gallery.yaml")).is_file()
    }
)
CLAIMS = [f"results/{paper.name}/claims.json" for paper in study.papers.values() if paper.claims]


def explored(paper):
    """The experiments of a paper that a figure or a claim uses: the others are not made unless they are asked for."""
    planned = study.papers[paper]
    used = {name for figure in planned.figures.values() for name in figure.experiments}
    used |= {name for names in planned.claims.values() for name in names}
    return [name for name in planned.experiments if name in used]


def show_what_is_there():
    """The gallery after a run in which jobs failed: it says which figures and claims are missing or of an earlier run."""
    if not any(Path(file).is_file() for file in (*DESCRIPTIONS, *CLAIMS)):
        return
    failed = [file for file in (*DESCRIPTIONS, *CLAIMS) if file in FAILED_OUTPUTS]
    command = ["twolayer", "gallery", "--figures", *DESCRIPTIONS, "--claims", *CLAIMS, "--failed", *failed]
    subprocess.run([*command, "--sentences", *SENTENCES, "--output", "results/index.html"], check=False)
