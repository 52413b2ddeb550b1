"""The gallery: formulas in prose, what is read from the files, and the page."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from gallery_files import write_run, write_study
from project import PROJECT

from twolayer.analysis.claims import bounded, distinct_digits, measured
from twolayer.analysis.gallery.content import Case, content, sentences_of
from twolayer.analysis.gallery.mathematics import formulas, typeset
from twolayer.analysis.gallery.page import digits, number, page, setting
from twolayer.errors import DataError
from twolayer.stages.explore import explore
from twolayer.stages.gallery import gallery
from twolayer.study.registry import load


@pytest.mark.parametrize(
    ("prose", "expected"),
    [
        ("at the end |v|/4m_τ ≤ |w_i| for every student", [r"|v|/4m_{\tau } \leq  |w_{i}|"]),
        ("L T³ does not grow with n", ["L T^{3}", "n"]),
        ("falls like λ^p, p = min 2(1 − |D_A|)", [r"\lambda ^{p}", r"p = \min  2(1 - |D_{A}|)"]),
        ("the rate e^{−2(¼ − 1/2π)t} is", [r"e^{-2(\tfrac{1}{4} - 1/2\pi )t}"]),
        ("√(r w_max)|∇L|/L and √k", [r"\sqrt{r w_{\mathrm{max}}}|\nabla L|/L", r"\sqrt{k}"]),
        ("Σ ⟨∇_j L, w_j⟩ ≥ L, with", [r"\sum  \langle \nabla _{j} L, w_{j}\rangle  \geq  L"]),
        ("(6πL)^{1/3} and w_k*ᵀ", [r"(6\pi L)^{1/3}", r"w_{k}^{*\top }"]),
        ("in phase 2 s1/2 ≤ h_i", [r"s_{1}/2 \leq  h_{i}"]),
        ("the slope of log Z against log t", [r"\log  Z", r"\log  t"]),
        ("1e-6 away", ["10^{-6}"]),
        ("at seed = 4; median 2.51e-8", [r"2.51\times 10^{-8}"]),
        ("λ (twice the paper's L)", [r"\lambda ", "L"]),
        ("set in dollars: $\\lambda_{1}$ and w_1", ["\\lambda_{1}", "w_{1}"]),
    ],
)
def test_formulas_are_found_in_prose(prose: str, expected: list[str]) -> None:
    assert [part for is_formula, part in formulas(prose) if is_formula] == expected


@pytest.mark.parametrize(
    "prose",
    [
        "a network of two-layer units, as in Figure 1, with background_neurons and a student; 7 of 8",
        "largest of 8, at seed = 4; median 3.42 (95 % interval 1.09 to 1.55)",
        "the commit dc5fce5 of eboursier/GFdynamics; A3 and an angle within [−3.2, −1.5]",
    ],
)
def test_prose_stays_prose(prose: str) -> None:
    found = list(formulas(prose))
    assert not any(is_formula for is_formula, _ in found)
    assert "".join(part for _, part in found) == prose


def test_text_is_escaped_and_a_formula_without_meaning_stays_readable() -> None:
    assert typeset("<script> & more") == "&lt;script&gt; &amp; more"
    assert "<em>" not in typeset("for x_1 < 3 <em>")
    assert typeset("$x_1_2$") == "<code>x_1_2</code>"
    assert typeset("at λ.").endswith(".</span>")  # the full stop stays on the line of the formula


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (1.0, "1"),
        (-11.457550, "−11.46"),
        (2.2593509868294234e-05, "2.259 × 10⁻⁵"),
        (1e-6, "10⁻⁶"),
        (1.5e20, "1.5 × 10²⁰"),
    ],
)
def test_numbers_are_spelled_with_powers_of_ten(value: float | None, expected: str) -> None:
    assert number(value) == expected


def test_what_fails_by_little_is_told_apart_from_what_was_predicted() -> None:
    """3.9436 measured where 3.9436 was predicted would be no failure."""
    assert distinct_digits(3.9436, 3.9435983650735653, 4) == 7
    assert distinct_digits(1.0, 2.0, 4) == 4
    assert distinct_digits(1.0, None, 4) == 4
    assert distinct_digits(0.1, 0.1 + 2**-56, 4) == 17
    row = {
        "tolerance": "within 1e-06 absolute",
        "predicted": 3.9436,
        "measured": 3.943598365,
        "verdict": "fails",
    }
    assert (bounded(row), measured(row)) == ("3.9436", "3.943598")
    assert (bounded(row | {"verdict": "holds"}), measured(row | {"verdict": "holds"})) == ("3.9436", "3.9436")
    case = Case("", "", 3.9436, 3.943598365, "", "fails", "")
    assert (digits(case), number(case.measured, digits(case))) == (7, "3.943598")


def test_a_figure_of_a_variant_is_drawn_again_with_its_config(study: Files) -> None:
    folder, figures, claims = study
    (folder / "study" / "config.yaml").write_text("papers: {}")
    text = page(content(folder, figures, claims))
    config = "--force --configfile results/study/config.yaml -- results/study/figures/still.pdf"
    assert f"snakemake --cores 2 {config}" in text


def test_parameters_are_spelled() -> None:
    assert (
        setting({"name": "gaussian", "scale": 0.1, "balanced": False})
        == "name: gaussian, scale: 0.1, balanced: no"
    )
    assert setting(list(range(8))) == "0 to 7"
    assert setting([1.0, -0.8]) == "1, −0.8"
    assert setting("/somewhere/data/start.nc") == "start.nc"


Files = tuple[Path, list[Path], list[Path]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The folder of a small study, the descriptions of its figures and its claims.json."""
    folder = tmp_path_factory.mktemp("results")
    return folder, *write_study(folder, changed={"descent": "seeds: 2 (paper: 16)"})


@pytest.fixture
def study(written: Files, tmp_path: Path) -> Files:
    """A copy that a test may edit."""
    folder, figures, claims = written
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    moved = [[tmp_path / file.relative_to(folder) for file in files] for files in (figures, claims)]
    return tmp_path, moved[0], moved[1]


def test_claims_are_grouped_the_worst_first(written: Files) -> None:
    folder, figures, claims = written
    (paper,) = content(folder, figures, claims)
    assert [family.name for family in paper.families] == ["misses", "reading", "open", "falls"]
    assert [case.verdict for case in paper.families[0].cases] == ["fails", "holds", "holds"]
    assert paper.families[0].counts == {"fails": 1, "holds": 2}
    assert [family.name for family in paper.families_without_figure] == ["open"]
    assert [figure.name for figure in paper.figures_without_claims] == ["unclaimed"]
    still, film, unclaimed = paper.figures
    assert (still.image, still.full) == ("study/figures/still.png", "study/figures/still.pdf")
    assert (film.image, film.full) == ("study/figures/moving.mp4.png", "study/figures/moving.mp4")
    assert still.size[0] > 100
    assert unclaimed.counts == {}
    assert paper.citation == "Author & Writer 2020"


class Links(HTMLParser):
    """The places of a page, the links within it, and those to files."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []
        self.targets: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key == "id":
                self.places.append(str(value))
            elif key in ("href", "src", "poster") and not str(value).startswith("data:"):
                self.targets.add(str(value))


def test_the_page_is_the_same_each_time_and_its_links_lead_somewhere(study: Files) -> None:
    folder, figures, claims = study
    output = folder / "index.html"
    gallery(output, figures, claims)
    first = output.read_bytes()
    gallery(output, figures, claims)
    assert output.read_bytes() == first
    text = first.decode()
    assert "<script" not in text
    assert "http:" not in text.replace("http://www.w3.org/1998/Math/MathML", "")
    links = Links()
    links.feed(text)
    assert len(set(links.places)) == len(links.places)
    inside = {target[1:] for target in links.targets if target.startswith("#")}
    assert inside <= set(links.places)
    outside = {target for target in links.targets if not target.startswith("#")}
    assert {"study/figures/still.png", "study/figures/moving.mp4", "study/descent/dataset.nc"} <= outside
    assert all((folder / target).is_file() for target in outside)


def test_every_claim_is_on_the_page_with_what_was_measured(written: Files) -> None:
    text = page(content(*written))
    assert text.index('id="not-holding"') < text.index('id="study.paper"')
    assert text.count('id="study.claim.misses"') == 1  # it is at two figures
    for verdict in ("fails", "not reproduced under this reading", "inconclusive", "holds"):
        assert verdict in text
    assert "Author &amp; Writer 2020" in text
    assert "4.407 × 10⁻⁶" in text
    assert "&lt;em&gt;not markup&lt;/em&gt;" in text
    assert "snakemake --cores 2 --force results/study/figures/still.pdf" in text


def test_what_is_missing_failed_or_changed_is_said(study: Files) -> None:
    folder, figures, claims = study
    text = page(content(folder, figures, claims))
    assert "Author &amp; Writer 2020: settings changed" in text
    assert "Changed from the paper's setting, descent: seeds: 2 (paper: 16)" in text
    text = page(content(folder, figures, claims, failed=[figures[0], claims[0]]))
    assert "the verdicts are of an earlier run" in text
    assert "what is shown is of an earlier run" in text
    claims[0].unlink()
    figures[1].unlink()
    text = page(content(folder, figures, claims))
    assert "its claims could not be evaluated" in text
    assert "This figure has not been drawn" in text


def test_what_the_paper_shows_or_states_is_at_the_figure(study: Files) -> None:
    folder, figures, claims = study
    sentences = folder / "tests" / "gallery.yaml"
    sentences.parent.mkdir()
    sentences.write_text("draw: At the end L is 4.5e-5.\n", encoding="utf-8")
    still, film, _ = content(folder, figures, claims, sentences=[sentences])[0].figures
    assert still.in_paper == "At the end L is 4.5e-5."
    assert film.in_paper == ""
    text = page(content(folder, figures, claims, sentences=[sentences]))
    assert "<strong>In the paper:</strong> At the end" in text
    assert "<strong>The paper states:</strong>" in text
    for wrong, message in (
        ("- 1", "must be a mapping of figures"),
        ("draw: [1]", "draw: must be a sentence"),
    ):
        sentences.write_text(wrong, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            content(folder, figures, claims, sentences=[sentences])


def test_a_page_without_neurons_is_not_linked(study: Files) -> None:
    folder, figures, claims = study
    explorer = folder / "study" / "explorer.html"
    explorer.write_text("<p>No run of this paper has enough saved times.</p>", encoding="utf-8")
    assert content(folder, figures, claims)[0].explorer == ""
    explore([write_run(folder / "study" / "film", times=12)], explorer)
    assert content(folder, figures, claims)[0].explorer == "study/explorer.html"


def test_a_figure_without_claims_is_listed_with_the_reason(study: Files) -> None:
    folder, figures, claims = study
    sentences = folder / "tests" / "gallery.yaml"
    sentences.parent.mkdir()
    sentences.write_text("draw: {without_claims: it draws a construction.}\n", encoding="utf-8")
    shown = content(folder, figures, claims, sentences=[sentences])
    assert [figure.name for figure in shown[0].figures_without_claims] == ["unclaimed"]
    text = page(shown)
    assert "it draws a construction." in text[text.index("Figures that no claim names") :]


def test_every_figure_of_a_paper_bears_claims_or_says_why_not() -> None:
    registry = load([])
    files = list((PROJECT / "plugins" / "papers").glob("*/gallery.yaml"))
    reasons = {
        f"{file.parent.name}.{name}"
        for file in files
        for name, said in sentences_of(file).items()
        if "without_claims" in said
    }
    named = {
        f"{full.partition('.')[0]}.{figure}"
        for full in registry.names("claims")
        for figure in registry.find("claims", full).plugin.figures
    }
    papers = {file.parent.name for file in files}
    figures = {full for full in registry.names("figures") if full.partition(".")[0] in papers}
    assert figures - named == reasons


def test_sentences_on_papers_are_of_figures_that_exist() -> None:
    registry = load([])
    files = list((PROJECT / "plugins" / "papers").glob("*/gallery.yaml"))
    assert len(files) >= 5
    for file in files:
        for name in sentences_of(file):
            assert f"{file.parent.name}.{name}" in registry.names("figures"), f"{file}: {name}"


def test_a_description_that_cannot_be_read_is_one_message(study: Files) -> None:
    folder, figures, claims = study
    figures[0].write_text("{")
    with pytest.raises(DataError, match=r"still\.json: cannot be read as the description of a figure"):
        content(folder, figures, claims)
