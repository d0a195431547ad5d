"""The words that lead to an answer, in English and other languages ("the answer is", "Antwort:").

A look for the words themselves comes first, which is fast; the patterns run where one of them stands.
"""

from __future__ import annotations

import re

_REMARK = r"""(?!\s{1,4}(?:(?:found|obtained|derived|computed|calculated|determined|based|explained|shown
        |extraneous|unique|valid|plausible|sensible|clear|clearly\ correct|correct|right|reasonable|verified
        |confirmed|consistent|rounded|obvious|even|odd)\b
    |(?:positive|negative)\b(?!\s+[0-9$\\])|an?\s+(?:positive|whole|integer|even|odd|prime|perfect)\b
    |in\s+(?!total|all)[a-z]{3,}(?![^.\n]*[0-9])))(?P<gap>[:*_\s}]*+)"""
_ENGLISH = re.compile(
    r"""(?:(?<![A-Za-z])(?:answer|(?:correct|right|best)\s{1,4}(?:option|choice)|option
    |final\s{1,4}(?:result|value)|(?<![A-Za-z])answers(?=\s{1,4}are\b|\s{0,4}[:=]))[*_ ]{0,4}
    (?:\ to\ [^.:\n]{1,80}?)?(?:\s{1,4}(?:is|are|equals|would\ be|will\ be)\b|\s{0,4}[:=→⇒]
        |[*_]{2}\s{0,4}(?=\n)|\s{1,4}(?:should|must)\ be\b(?=[:\s*]{1,4}[-$\\(]{0,3}[0-9A-J\\]))
    |(?<![A-Za-z])ans(?=\.?\s{0,4}[:=])\.?\s{0,4}[:=]
    |(?<![^\n])(?:\#{1,6}\s{1,4})?(?:the\s)?(?:final\s{1,4})?answer\s{0,4}(?=\n))"""
    + _REMARK,
    re.IGNORECASE | re.VERBOSE,
)
_ENGLISH_WORDS = ("answer", "option", "choice", "final", "ans:", "ans=", "ans.", "ans ")
_OTHER = re.compile(
    r"""(?:(?:R[ée]ponse|Antwort|Respuesta|Risposta|Resposta|Ответ|Lösung|Svar|Antwoord|Odpowiedź|Cevap|Jawaban(?:nya)?
        |Đáp\s{1,4}(?:án|số)|الجواب|الإجابة|Відповідь|Výsledek|Odpověď|Válasz|คำตอบ|उत्तर|Vastaus|Απάντηση|תשובה|Răspuns)
    (?:et)?(?:\s{1,4}(?:correcta|correcte|finale?|corretta|definitiva))?
    (?:\s{1,4}(?:es|ist|lautet|est|è|é|är|er|on|is|to|adalah|là)\b|\s{0,4}(?:[:=]|\*\*:|:\*\*))
    |(?:答案|答え|答|정답|답|回答|最终答案)(?:\s{0,4}(?:[:\uff1a=]|[为是][:\uff1a]?|は|은|는))
    |(?:故选|应选|因此选|所以选)(?:择)?[:\uff1a]?)"""
    + _REMARK,
    re.IGNORECASE | re.VERBOSE,
)
_OTHER_WORDS = (
    *("reponse", "antwo", "respuesta", "risposta", "resposta", "svar", "cevap", "jawaban", "vastaus"),
    *(
        "réponse",
        "ответ",
        "lösung",
        "odpowiedź",
        "đáp",
        "الجواب",
        "الإجابة",
        "відповідь",
        "výsledek",
        "odpověď",
        "válasz",
    ),
    *("คำตอบ", "उत्तर", "απάντηση", "תשובה", "răspuns", "答", "답", "选"),
)
_ASCII_WORDS = tuple(word for word in _OTHER_WORDS if word.isascii())


def marks_in(text: str) -> list[re.Match[str]]:
    """The marks of a text in their order; an answer follows each."""
    lower = text.lower()
    marks = list(_ENGLISH.finditer(text)) if any(word in lower for word in _ENGLISH_WORDS) else []
    if any(word in lower for word in (_ASCII_WORDS if text.isascii() else _OTHER_WORDS)):
        marks = sorted([*marks, *_OTHER.finditer(text)], key=lambda match: match.start())
    return marks
