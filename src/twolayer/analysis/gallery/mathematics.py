"""Formulas in prose as MathML: those between dollars, and those written in plain letters, as `|w_i| ≤ 4|v|/m_τ`."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from functools import cache

from markupsafe import Markup

__all__ = ["formulas", "typeset"]

FUNCTIONS = ("arccos", "arcsin", "cos", "exp", "ln", "log", "max", "min", "sin", "tan")
"""Names that TeX sets upright."""

NAMES = (*FUNCTIONS, "poly", "sgn", "sign", "dt", "dr")
"""Words that are part of a formula; all others are prose."""

SUPERSCRIPTS = {
    "⁰": "0",
    "¹": "1",
    "²": "2",
    "³": "3",
    "⁴": "4",
    "⁵": "5",
    "⁶": "6",
    "⁷": "7",
    "⁸": "8",
    "⁹": "9",
}
SUPERSCRIPTS |= {"⁻": "-", "⁺": "+", "ᵀ": r"\top ", "ⁿ": "n"}
SUBSCRIPTS = {
    "₀": "0",
    "₁": "1",
    "₂": "2",
    "₃": "3",
    "₄": "4",
    "₅": "5",
    "₆": "6",
    "₇": "7",
    "₈": "8",
    "₉": "9",
}
SUBSCRIPTS |= {"₋": "-", "₊": "+"}
FRACTIONS = {"½": (1, 2), "¼": (1, 4), "¾": (3, 4), "⅓": (1, 3), "⅔": (2, 3), "⅙": (1, 6), "⅛": (1, 8)}
SYMBOLS = {
    "∇": r"\nabla ", "∂": r"\partial ", "Σ": r"\sum ", "∈": r"\in ", "∞": r"\infty ", "→": r"\to ", "≈": r"\approx ",
    "≤": r"\leq ", "≥": r"\geq ", "∝": r"\propto ", "±": r"\pm ", "·": r"\cdot ", "×": r"\times ", "−": "-",
    "⟨": r"\langle ", "⟩": r"\rangle ", "°": r"^{\circ}", "…": r"\ldots ", "~": r"\sim ", "<": r"\lt ", ">": r"\gt ",
    "ϕ": r"\phi ", "φ": r"\varphi ", "ε": r"\varepsilon ", "ϵ": r"\epsilon ",
    "'": "'", "%": r"\% ",
}  # fmt: skip
RELATIONS = "=≤≥<>≈∝→~∈"
OPENING, CLOSING = "([{⟨", ")]}⟩"

NUMBER = r"\d+(?:\.\d+)?(?:e[+\-−]?\d+)?"
SCRIPT = r"(?:\{[^{}]*\}|\([^()]*\)|[+\-−]?\d+(?:\.\d+)?|[A-Za-z]+|[α-ωϕϵΑ-Ω]+|[+\-−±])"
LETTER = r"(?:(?<![A-Za-z])[A-Za-z]{1,2}(?![A-Za-z]))"
MARKS = "".join(map(re.escape, (*SUPERSCRIPTS, *SUBSCRIPTS, *FRACTIONS, *SYMBOLS)))
PART = re.compile(
    rf"(?:{'|'.join(NAMES)})(?![A-Za-z])|[_^]{SCRIPT}['*]*|{NUMBER}|{LETTER}|[α-ωΑ-Ω{MARKS}ŵ√|=+\-/()\[\]{{}}*!,]"
)
"""The smallest parts of a formula."""

FORMULA = re.compile(rf"[_^√|Σ∇∂∫⟨⟩{RELATIONS}α-ωΑ-Ωŵ]|[{''.join(SUPERSCRIPTS)}{''.join(SUBSCRIPTS)}]")
"""What only a formula has."""

VARIABLE = re.compile(
    rf"^[B-HJ-Zb-z]$|(?:{'|'.join(FUNCTIONS)}) [A-Za-z]\b|[A-Za-z]/\d|\d/[A-Za-z]|\b[A-Za-z]/[A-Za-z]\b"
    r"|\de[+\-−]?\d"
)
"""What else is one: a letter, a function of one, a ratio, a power of ten."""

LONG = 40
"""Letters of TeX; a longer formula may be broken over lines."""

DOLLARS = re.compile(r"(?<!\\)\$([^$]+)(?<!\\)\$")


def typeset(text: str) -> Markup:
    """A sentence as HTML with its formulas as MathML; all else is escaped."""
    made = Markup()
    for is_formula, part in formulas(text):
        if is_formula:
            made += Markup("<wbr>").join(mathml(piece) for piece in pieces(part))
        elif made.endswith("</math>") and (
            mark := re.match(r"[,.;:)\]}]+", part)
        ):  # on the line of the formula
            start = made.rindex("<math")
            made = made[:start] + Markup('<span class="formula">{}{}</span>').format(made[start:], mark[0])
            made += Markup(html.escape(part[mark.end() :], quote=False))
        else:
            made += Markup(html.escape(part, quote=False))
    return made


def pieces(formula: str) -> list[str]:
    """A long formula in parts between which a line may break: before the relations outside of all brackets."""
    if len(formula) < LONG:
        return [formula]
    depth, starts = 0, [0]
    for match in re.finditer(
        r"\\(?:leq|geq|to|sim|approx|propto|lt|gt|langle|rangle)(?![a-z])|[=(\[{}\])]", formula
    ):
        sign = match[0]
        if sign in ("(", "[", "{", r"\langle"):
            depth += 1
        elif sign in (")", "]", "}", r"\rangle"):
            depth -= 1
        elif depth == 0 and match.start():
            starts.append(match.start())
    return [formula[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def formulas(text: str) -> Iterator[tuple[bool, str]]:
    """(False, prose) and (True, TeX) in turn."""
    end = 0
    for match in DOLLARS.finditer(text):
        yield from plain(text[end : match.start()])
        yield True, match[1]
        end = match.end()
    yield from plain(text[end:])


def plain(text: str) -> Iterator[tuple[bool, str]]:
    """The formulas of a text without dollars: the longest runs of words that can be parts of one."""
    run: list[str] = []
    for word in re.findall(r"\s+|(?:\{[^{}]*\}|[^\s{])+|\S", text):
        body, after = split_punctuation(word)
        if word.isspace() or (after == "," and is_part(body) and is_open("".join((*run, body)))):
            run.append(word)
        elif is_part(body):
            run.append(body)
            if after:
                yield from finished(run)
                run = []
                yield False, after
        else:
            yield from finished(run)
            run = []
            yield from within_word(word)
    yield from finished(run)


def is_open(text: str) -> bool:
    """Whether a comma after it is within parentheses."""
    return sum(letter in OPENING for letter in text) > sum(letter in CLOSING for letter in text)


def within_word(word: str) -> Iterator[tuple[bool, str]]:
    """A word that is no part of a formula as a whole: it may be one in parentheses, or after one."""
    start = re.match(r"[(\[]+", word)
    if start:
        yield False, start[0]
        yield from plain(word[start.end() :])
    else:
        yield False, word


def split_punctuation(word: str) -> tuple[str, str]:
    """A word without the punctuation of the sentence at its end, and that."""
    match = re.search(r"[,;:.?!]+$", word)
    return (word[: match.start()], match[0]) if match and match.start() else (word, "")


@cache
def is_part(word: str) -> bool:
    """Whether a word can be part of a formula: it consists of nothing else, or it is one of the names."""
    end = 0
    while end < len(word):
        match = PART.match(word, end)
        if match is None:
            return False
        end = match.end()
    letters = re.findall(r"(?<![_A-Za-z])[A-Za-z]{2}(?![A-Za-z])", word)
    return not letters or word in NAMES or FORMULA.search(word) is not None


def finished(run: list[str]) -> Iterator[tuple[bool, str]]:
    """The run as a formula, without white space and parentheses whose partner is not in it."""
    text = "".join(run)
    inner = text.strip()
    before = text[: len(text) - len(text.lstrip())]
    after = text[len(before) + len(inner) :]
    if not inner:
        if text:
            yield False, text
        return
    odd = unmatched(inner)
    if odd is not None:
        yield from finished([before + inner[:odd]])
        yield False, inner[odd]
        yield from finished([inner[odd + 1 :] + after])
        return
    ordinal = re.match(r"\d+ (?=[A-Za-z|])", inner)  # `phase 2 |v| ≤ …`
    if ordinal:
        yield False, before + ordinal[0]
        yield from finished([inner[ordinal.end() :] + after])
        return
    yield False, before
    valued = re.fullmatch(rf"= ?[−-]?{NUMBER}", inner)  # of a word: `seed = 4`
    if not valued and (FORMULA.search(inner) or VARIABLE.search(inner)):
        yield True, tex(inner)
    else:
        yield False, inner
    yield False, after


def unmatched(text: str) -> int | None:
    """The index of the first parenthesis without a partner."""
    waiting: list[int] = []
    for index, letter in enumerate(text):
        if letter in OPENING:
            waiting.append(index)
        elif letter in CLOSING:
            if not waiting or OPENING.index(text[waiting[-1]]) != CLOSING.index(letter):
                return index
            waiting.pop()
    return waiting[0] if waiting else None


def tex(text: str) -> str:
    """A formula in plain letters as TeX."""
    made, index = [], 0
    while index < len(text):
        letter = text[index]
        if letter == "√":
            stop = argument_end(text, index + 1)
            made.append(rf"\sqrt{{{tex(without_parentheses(text[index + 1 : stop]))}}}")
            index = stop
        elif letter in "_^":
            match = re.compile(SCRIPT).match(text, index + 1)
            script = match[0] if match else text[index + 1 : index + 2]
            index += 1 + len(script)
            script = without_parentheses(script)
            upright = script in FUNCTIONS or (len(script) > 2 and script.isascii() and script.isalpha())
            inner = rf"\mathrm{{{script}}}" if upright else tex(script)
            made.append(f"{letter}{{{inner}}}")
            marks = re.match(r"['*]+", text[index:])
            if marks and letter == "_":
                made.append("^{" + marks[0].replace("'", r"\prime ") + "}")
                index += marks.end()
        elif letter in SUPERSCRIPTS or letter in SUBSCRIPTS:
            table = SUPERSCRIPTS if letter in SUPERSCRIPTS else SUBSCRIPTS
            stop = index
            while stop < len(text) and text[stop] in table:
                stop += 1
            script = "".join(table[each] for each in text[index:stop])
            made.append(f"{'^' if table is SUPERSCRIPTS else '_'}{{{script}}}")
            index = stop
        elif match := re.compile(NUMBER).match(text, index):
            made.append(number(match[0]))
            index = match.end()
        elif match := re.compile("|".join(NAMES) + r"(?![A-Za-z])").match(text, index):
            made.append(rf"\{match[0]} " if match[0] in FUNCTIONS else named(match[0]))
            index = match.end()
        elif match := re.compile(r"([A-Za-z])(\d+)").match(text, index):
            made.append(f"{match[1]}_{{{match[2]}}}")
            index = match.end()
        else:
            made.append(symbol(letter))
            index += 1
    return re.sub(r"\^\{([^{}]*)\}\^\{([^{}]*)\}", r"^{\1\2}", "".join(made))


def named(name: str) -> str:
    """A name that TeX does not know, upright; differentials are two letters."""
    return name if name in ("dt", "dr") else rf"\mathrm{{{name}}} "


def symbol(letter: str) -> str:
    """One letter or sign as TeX."""
    if letter in SYMBOLS:
        return SYMBOLS[letter]
    if letter in FRACTIONS:
        above, below = FRACTIONS[letter]
        return rf"\tfrac{{{above}}}{{{below}}}"
    if letter == "*":
        return "^{*}"
    if letter in "{}":
        return "\\" + letter
    base, *marks = list(unicodedata.normalize("NFD", letter))
    if marks == ["\N{COMBINING CIRCUMFLEX ACCENT}"]:
        return rf"\hat{{{base}}}"
    if "α" <= letter <= "ω" or "Α" <= letter <= "Ω":
        name = unicodedata.name(letter).split()
        word = name[-1].lower().replace("lamda", "lambda")
        return f"\\{word.capitalize() if 'CAPITAL' in name else word} "
    return letter


def number(text: str) -> str:
    """`1e-3` as a power of ten."""
    digits, _, power = text.replace("−", "-").partition("e")
    if not power:
        return digits
    power = str(int(power))
    return f"10^{{{power}}}" if digits == "1" else rf"{digits}\times 10^{{{power}}}"


def argument_end(text: str, start: int) -> int:
    """Where the argument of a root ends: after a parenthesis, or after one letter with its scripts."""
    if start < len(text) and text[start] in OPENING:
        depth = 0
        for index in range(start, len(text)):
            depth += (text[index] in OPENING) - (text[index] in CLOSING)
            if depth == 0:
                return index + 1
    match = re.compile(rf"(?:{NUMBER}|.)(?:[_^]{SCRIPT}|[{''.join(SUBSCRIPTS)}])*").match(text, start)
    return match.end() if match else len(text)


def without_parentheses(text: str) -> str:
    """`x` of `(x)` or `{x}`."""
    if len(text) > 1 and text[0] + text[-1] in ("()", "{}") and unmatched(text[1:-1]) is None:
        return text[1:-1]
    return text


BAR = '<mo stretchy="false">&#x0007C;</mo>'
"""An absolute value's bar, which browsers would give the spaces of a relation."""


@cache
def mathml(formula: str) -> Markup:
    """TeX as inline MathML; what cannot be read stays as it is written."""
    from latex2mathml import converter, exceptions

    errors = tuple(error for name, error in vars(exceptions).items() if name.endswith("Error"))
    try:
        made = converter.convert(formula)
    except errors:
        return Markup("<code>{}</code>").format(formula)
    return Markup(made.replace(BAR, '<mo stretchy="false" lspace="0" rspace="0">|</mo>'))
