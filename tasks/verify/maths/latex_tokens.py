"""Cuts a phrase of LaTeX or plain mathematics into tokens, one spelling for each sign.

Covered: LaTeX as answers use it (fractions, roots, brackets, text, matrices, spacing) and its plain and
Unicode spellings. A command that is not listed is `Unreadable`, never ignored. Time is linear in the phrase.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.verify.maths.expression import LONGEST, MOST_TOKENS, Unreadable
from tasks.verify.maths.glyphs import fold
from tasks.verify.maths.units import ABBREVIATIONS, UNIT_LETTERS

FUNCTIONS = {
    *(
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "ln",
        "log",
    ),
    *("exp", "sqrt", "abs", "floor", "ceil", "cis"),
}
_GREEK = {
    *(
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "varepsilon",
        "zeta",
        "eta",
        "theta",
        "vartheta",
        "kappa",
    ),
    *("lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "phi", "varphi", "chi", "psi", "omega", "ell"),
    *("Gamma", "Delta", "Theta", "Lambda", "Sigma", "Phi", "Psi", "Omega"),
}
_ACCENTS = {"hat", "bar", "vec", "dot", "ddot", "tilde", "overline", "overrightarrow", "widehat", "mathcal"}
_SIGNS = {
    "cdot": "*", "times": "*", "ast": "*", "div": "/", "pm": "pm", "mp": "mp", "le": "<=", "leq": "<=",
    "leqslant": "<=", "ge": ">=", "geq": ">=", "geqslant": ">=", "lt": "<", "gt": ">", "ne": "!=",
    "neq": "!=", "approx": "~", "in": "in", "cup": "cup", "setminus": "setminus", "backslash": "setminus",
    "infty": "infinity", "circ": "deg",
    "degree": "deg", "langle": "<(", "rangle": ")>", "lvert": "|", "rvert": "|", "vert": "|", "mid": "|",
    "lfloor": "floor(", "rfloor": ")floor", "lceil": "ceil(", "rceil": ")ceil", "{": "\\{", "}": "\\}",
    "lbrace": "\\{", "rbrace": "\\}", "lbrack": "[", "rbrack": "]", "lparen": "(", "rparen": ")",
    "%": "%", "emptyset": "{}", "varnothing": "{}", "colon": ":", "land": "and", "lor": "or", "\\": "\\\\",
    "pi": "pi", "frac": "frac", "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "binom": "binom",
    "dbinom": "binom", "tbinom": "binom", "|": "|", "lVert": "|", "rVert": "|",
    "$": "dollar", "to": "to",
}  # fmt: skip
_SPACES = frozenset(
    [*",;:!>()[] ", "quad", "qquad", "left", "right", "displaystyle", "textstyle", "limits", "angle"]
    + ["tiny", "scriptsize", "footnotesize", "small", "normalsize", "large", "Large", "LARGE", "huge", "Huge"]
    + [f"{size}{side}" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r")]
)
_PLAIN = {
    "π": "\\pi ", "∞": "\\infty ", "≤": "<=", "≥": ">=", "⩽": "<=", "⩾": ">=", "≠": "!=", "±": "\\pm ",
    "∓": "\\mp ", "√": "\\sqrt ", "\u222a": "\\cup ", "∈": "\\in ", "°": "\\circ ", "º": "\\circ ",
    "≈": "\\approx ",
    "∅": "\\emptyset ", "\u211d": "\\mathbb{R}", "⟨": "\\langle ", "⟩": "\\rangle ", "∠": "", "θ": "\\theta ",
    "€": "\\text{euro} ", "£": "\\text{sterling} ", "¥": "\\text{yen} ",
    "₹": "\\text{rupee} ", "₩": "\\text{KRW} ", "¢": " cents ", "万": "\\text{万}", "亿": "\\text{亿}",
    "φ": "\\phi ", "λ": "\\lambda ", "\u03b1": "\\alpha ", "β": "\\beta ",
    "∘": "\\circ ",
}  # fmt: skip
_PLAIN_SIGNS = re.compile("[" + "".join(_PLAIN) + "]")

_TEXT = r"(?:text(?:bf|it|rm|normal|up)?|[mh]box|math(?:rm|bf|it|sf)|operatorname|rm|bf)"
_BASES = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_BASE = rf"(?:\{{\s*)?(?:\\{_TEXT}\s*\{{)?\s*(?:[0-9]{{1,2}}|[a-z]{{3,6}}\b)[\s}}]*"
_TOKEN = re.compile(
    rf"""(?P<numeral>[0-9][0-9A-F]{{0,63}}\s*_\s*{_BASE})
    |(?P<repeating>[0-9]*\.[0-9]*\s*\\(?:overline|bar|dot)\s*\{{[0-9]{{1,40}}\}})
    |(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{{1,4}}(?![0-9]))?|\.[0-9]+)
    |\\{_TEXT}\s*\{{(?P<text>[^{{}}]*)\}}
    |\\mathbb\s*\{{?(?P<board>[A-Z])\}}?
    |\\(?P<fence>begin|end)\s*\{{(?P<block>[a-z]{{1,9}})\*?\}}(?:\s*\{{[lcr|\s]{{1,20}}\}})?
    |\\(?P<command>[A-Za-z]+|[^A-Za-z])
    |(?P<letters>[A-Za-z]+(?:\.m\.?)?)
    |(?P<sign><=|>=|(?:(?<![0-9)\]}}])!=)|[-+*/^_=<>()\[\]{{}}|,;:!%&'~])
    |(?P<space>\s+|[$`"]|\.(?=\s|$))""",
    re.VERBOSE,
)
_THOUSANDS = re.compile(r"(?<=[0-9])\s*(?:\{\s*,\s*\}|,\s*\\!|\\[,! ])\s*(?=[0-9]{3}(?![0-9]))")
_LONE_DOLLAR = re.compile(r"^(\s*-?\s*)\$(?=\s*-?[0-9.])")
_COMMAS = re.compile(r"(?<![0-9.,])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])")
_PRIMES = re.compile(r"\^\s*(?:\{\s*((?:\\prime\s*)+)\}|\\prime(?![a-z]))")
_DERIVATIVE = re.compile(
    r"\\[dt]?frac\s*\{\s*(?:d|(?:d|\\partial)\s*\^\s*\{?[0-9n]\}?\s*[a-zA-Z]?)\s*\}\s*\{\s*(?:d|\\partial\s*)[a-z]"
)
_UNION = re.compile(r"(?<=[\])}])\s*U\s*(?=[\[({\\])")
_DOUBLED = re.compile(  # a backslash that was escaped on its way; as the end of a row none of these follows
    r"(?<!\\)\\\\(?=(?:left|right|[dtc]?frac|sqrt|pi|infty|cdot|times|text|cup|leq?|geq?|pm)(?![a-z]))"
)
_OPENING = frozenset(("(", "[", "\\{", "<("))
_CLOSING = frozenset((")", "]", "\\}", ")>"))


@dataclass(frozen=True, slots=True)
class Token:
    """One sign: its kind (number, numeral, name, function, word, block, sign), its text, and whether a space
    stood before it."""

    kind: str
    text: str
    spaced: bool = False


def tokens(phrase: str) -> list[Token]:
    """The tokens of a phrase; raises Unreadable where it is too long or holds something unknown."""
    if len(phrase) > LONGEST:
        raise Unreadable(f"longer than {LONGEST} characters")
    text = _THOUSANDS.sub("", fold(_PLAIN_SIGNS.sub(lambda sign: _PLAIN[sign[0]], phrase), " {}"))
    text = _DOUBLED.sub(r"\\", _LONE_DOLLAR.sub(r"\1\\$", text) if text.count("$") == 1 else text)
    text = _PRIMES.sub(lambda primes: "'" * primes[0].count("prime"), text)
    text = _UNION.sub(r" \\cup ", text)
    if "**" in text:
        text = _powers(text)
    if _DERIVATIVE.search(text):
        raise Unreadable("a derivative")
    result: list[Token] = []
    place, depth, spaced = 0, 0, False
    while place < len(text):
        commas = _COMMAS.match(text, place) if depth == 0 else None
        if commas:
            result.append(Token("number", commas[0].replace(",", ""), spaced))
            place, spaced = commas.end(), False
            continue
        match = _TOKEN.match(text, place)
        if not match:
            raise Unreadable(f"the sign {text[place]!a}")
        fresh = _cut(match, result, spaced)
        spaced = not fresh
        result += fresh
        for token in fresh:
            depth += (token.text in _OPENING) - (token.text in _CLOSING)
        place = match.end()
        if len(result) > MOST_TOKENS:
            raise Unreadable(f"more than {MOST_TOKENS} signs")
    return result


def _powers(text: str) -> str:
    """`**` as a power between operands (x**2), as emphasis elsewhere."""
    stripped = text.strip()
    if stripped.startswith("**") or stripped.endswith("**"):
        stripped = stripped.removeprefix("**").removesuffix("**")
    return stripped.replace("**", "^")


def _cut(match: re.Match[str], before: list[Token], spaced: bool) -> list[Token]:
    """The tokens of one match: usually one, none for a space, several for text and runs of letters."""
    kind = match.lastgroup
    text = match[kind] if kind else match[0]
    match kind:
        case "space":
            return []
        case "numeral":
            return [_numeral(text, spaced)]
        case "number" | "sign" | "repeating":
            return [Token(kind, text, spaced)]
        case "text":
            measured = bool(before) and (before[-1].kind == "number" or before[-1].text in ("}", ")"))
            if measured and text.strip() in UNIT_LETTERS:
                return [Token("word", text.strip(), True)]
            return _words(text)
        case "board":
            return [Token("name", "reals" if text == "R" else f"board {text}", spaced)]
        case "block":
            return [Token("block", f"{match['fence']} {text}", spaced)]
        case "command":
            return _command(text, spaced)
    return _letters(text, before, spaced)


def _numeral(text: str, spaced: bool) -> Token:
    digits, _, base = text.partition("_")
    radix = re.findall(r"[0-9]+|[a-z]+", base)[-1]
    if not radix.isdigit():
        if radix not in _BASES:
            raise Unreadable(f"the base {radix!a}")
        radix = str(_BASES.index(radix))
    return Token("numeral", f"{digits.strip()}_{int(radix)}", spaced)


def _command(name: str, spaced: bool) -> list[Token]:
    if name in _SPACES:
        return []
    if name in FUNCTIONS:
        return [Token("function", name, spaced)]
    if name in _GREEK:
        return [Token("name", name, spaced)]
    if name in _ACCENTS:
        return [Token("accent", name, spaced)]
    sign = _SIGNS.get(name)
    if sign is None:
        raise Unreadable(f"the command {name!a}")
    if sign in ("pi", "infinity"):
        return [Token("name", sign, spaced)]
    if sign in ("dollar", "to"):
        return [Token("word", sign, True)]
    return [Token("sign", sign, spaced)]


def _words(text: str) -> list[Token]:
    """What stands in \\text{...}: words, with the signs and numbers between them read as outside."""
    result: list[Token] = []
    for part in re.findall(
        r"[A-Za-z\u3400-\u9fff]+(?:\.m\.?)?|[0-9]+(?:\.[0-9]+)?|[^\sA-Za-z0-9\u3400-\u9fff]", text
    ):
        if part in ("and", "or"):
            result.append(Token("sign", part, True))
        elif part[0].isalpha():
            if len(part) == 1 and part not in UNIT_LETTERS and re.search(rf"[0-9]{part}", text):
                raise Unreadable(f"the letter {part!a} after a number")
            result.append(Token("name" if len(text.strip("() .")) == 1 else "word", part, True))
        elif part[0].isdigit():
            result.append(Token("number", part, True))
        elif part not in ".$\\'":
            result.append(Token("sign", part, True))
    return result


def _letters(run: str, before: list[Token], spaced: bool) -> list[Token]:
    """A run of letters outside \\text: a function, a unit, a word, or a product of single letters."""
    if run in ("and", "or"):
        return [Token("sign", run, spaced)]
    if run in FUNCTIONS:
        return [Token("function", run, spaced)]
    if run in _GREEK or run in ("pi", "infinity"):
        return [Token("name", run, spaced)]
    last = before[-1].kind if before else ""
    if "." in run or run in ("no", "No", "yes", "Yes", "am", "pm"):
        return [Token("word", run, spaced)]
    if run in ABBREVIATIONS and (last in ("number", "word") or (before and before[-1].text in "/)}")):
        return [Token("word", run, spaced)]
    if len(run) > 3 and (spaced or last not in ("number", "name")):
        return [Token("word", run, spaced)]
    return [Token("name", letter, spaced and place == 0) for place, letter in enumerate(run)]
