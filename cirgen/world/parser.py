"""Reads modification texts and captions back into attributes.

It accepts both grammars and mixtures of them: any order of clauses, repetitions, missing articles. What it cannot
read whole it does not read at all: one unknown word and the answer is None.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cirgen.world.claims import Among, Claim, Claims, Copy, Delta, Given, Swap, Trend, Value
from cirgen.world.figure import Figure
from cirgen.world.lexicon import COLOR_ATTRIBUTE, KIND_ATTRIBUTE, part_of
from cirgen.world.phrases import Cursor, Token, UnreadableError
from cirgen.world.tokens import PHRASEBOOK, TokenKind
from cirgen.world.vocabulary import ATTRIBUTES, BEARDS, GLASSES, HAIRSTYLES, HATS, NONE, OBJECT_KINDS

_KINDS: dict[str, tuple[str, ...]] = {
    "hair": tuple(HAIRSTYLES),
    "hat": tuple(HATS),
    "glasses": tuple(GLASSES),
    "beard": tuple(BEARDS),
    "object": OBJECT_KINDS,
}
"""Part that a figure may lack to the values of its kind attribute that mean it is there."""

_PREDICATE: tuple[TokenKind, ...] = (
    "color", "adjective", "match", "link", "from", "gone", "swap", "possessive", "color word", "the",
)  # fmt: skip
"""Tokens that, after a definite thing, say something new of it."""


@dataclass
class _Thing:
    """One noun phrase."""

    part: str
    article: str = ""
    kind: str = ""
    kind_by_noun: bool = False
    color: str = ""
    count: str = ""
    ordinal: str = ""
    delta: int = 0
    trend: int = 0
    partitive: bool = False
    copied: list[Claim] = field(default_factory=list)

    @property
    def bare(self) -> bool:
        return not (self.article or self.modified or self.delta or self.trend or self.ordinal)

    @property
    def modified(self) -> bool:
        return bool(self.color or self.count or self.copied)


def parse(text: str) -> Claims | None:
    """Return what `text` claims, without duplicates, or None if it cannot be read whole or claims nothing."""
    found = PHRASEBOOK.tokens(text)
    if not found:
        return None
    try:
        claims = _Reader(found).text()
    except UnreadableError:
        return None
    return tuple(dict.fromkeys(claims)) or None


def parse_caption(text: str) -> dict[str, str] | None:
    """Return attribute to value for what a caption tells, or None if it cannot be read or contradicts itself."""
    found = PHRASEBOOK.tokens(text)
    if not found:
        return None
    try:
        claims = _Reader(found).caption()
    except UnreadableError:
        return None
    values: dict[str, str] = {}
    for claim in claims:
        if not isinstance(claim, Value) or values.setdefault(claim.attribute, claim.value) != claim.value:
            return None
    return values


def visible_attributes(figure: Figure) -> dict[str, str]:
    """Return attribute to value for what can be seen of a figure: what a whole caption tells."""
    values = {attribute.name: str(getattr(figure, attribute.name)) for attribute in ATTRIBUTES}
    return {name: value for name, value in values.items() if value not in ("", NONE)}


class _Reader(Cursor[TokenKind]):
    """Recursive descent over tokens; methods named after a phrase consume it."""

    # texts

    def text(self) -> list[Claim]:
        claims: list[Claim] = []
        self.skip("and", "comma")
        while self.peek():
            claims += self.clause()
            self.skip("and", "comma")
        return claims

    def caption(self) -> list[Claim]:
        claims: list[Claim] = []
        while self.peek():
            self.skip("and", "comma", "link")
            if self.take("remove"):
                claims += [claim for claim in _removal(self.thing()) if isinstance(claim, Value)]
            elif self.peek():
                claims += _new(self.thing())
        return claims

    # clauses

    def clause(self) -> list[Claim]:
        if self.take("remove"):
            return self.removals()
        return self.first_of(self.swap, self.statement, self.novelty)

    def swap(self) -> list[Claim]:
        """Read "swap the colours of A and B", "colours of A and B swapped", "A and B swap colours"."""
        self.skip("link")
        verb = self.take("swap")
        self.take("the")
        if self.take("colors"):
            self.need("of")
            claims = self.pair()
            if not verb:
                self.need("swap")
            return claims
        claims = self.pair()
        self.skip("link")
        mark = self.need("swap", "colors")
        self.take("the")
        self.need("colors" if mark.kind == "swap" else "swap")
        return claims

    def pair(self) -> list[Claim]:
        first = self.thing()
        self.need("and")
        second = self.thing()
        return [Swap(_color_of(first), _color_of(second)), *_givens(first), *_givens(second)]

    def removals(self) -> list[Claim]:
        """Read the things after a verb of removal: "the hat and the glasses"."""
        claims = _removal(self.thing())
        while True:
            start = self.at
            self.skip("and", "comma")
            if self.at == start or self.peek() != "the" or not self.still_removal():
                self.at = start
                return claims
            claims += _removal(self.thing())

    def still_removal(self) -> bool:
        """Whether the definite thing that follows ends its clause; nothing is consumed."""
        start = self.at
        try:
            self.thing()
            if self.peek() in _PREDICATE:
                return False
            self.skip("and", "comma")
            second = self.peek() == "the" and self.thing() is not None
            return not (second and self.peek() == "swap")
        except UnreadableError:
            return True
        finally:
            self.at = start

    def statement(self) -> list[Claim]:
        """Read what is said of a thing that the reference has: "the hat red", "the hat with a cap"."""
        self.skip("swap", "link", "color word")
        if self.take("match"):
            return self.matched()
        if self.take("amount"):
            return self.amount()
        thing = self.thing(subject=True)
        if thing.article != "the" and (not thing.bare or self.names_new(thing)):
            raise UnreadableError
        if self.take("possessive"):
            self.need("color word")
        self.take("color word")
        return [*_givens(thing), *self.predicates(thing)]

    def names_new(self, thing: _Thing) -> bool:
        """Whether a bare kind opens a new thing ("boxes in the hat's colour") or is the old one ("beanie to cap")."""
        colored = self.peek() == "link" and self.peek(1) in ("color", "the", "match")
        return bool(thing.kind) and (colored or self.peek() == "match")

    def matched(self) -> list[Claim]:
        """Read "(match) A to B" and "(the colour of) A to red"."""
        thing = self.thing(subject=True)
        start = self.at
        self.need("link", "from", "and")
        if self.peek() == "the":
            return [*_givens(thing), *self.copied(thing)]
        self.at = start
        return [*_givens(thing), *self.predicates(thing)]

    def amount(self) -> list[Claim]:
        thing = self.thing(subject=True)
        old = self.need("number").value if self.take("from") else ""
        self.skip("link")
        claims: list[Claim] = [Value("object_count", self.need("number").value), *_givens(thing)]
        return [*claims, Given("object_count", (old,))] if old else claims

    def predicates(self, thing: _Thing) -> list[Claim]:
        """Read one or more predicates of `thing`: "red", "curly and black", "from red to blue instead of ..."."""
        claims = self.predicate(thing)
        while self.peek() == "and" and self.peek(1) in ("color", "adjective") and self.ends_after(2):
            self.take("and")
            claims += self.predicate(thing)
        return claims + self.instead(thing)

    def ends_after(self, ahead: int) -> bool:
        return self.peek(ahead) in (None, "and", "comma", "instead")

    def predicate(self, thing: _Thing) -> list[Claim]:
        if self.take("gone"):
            return _removal(thing)
        old: list[Claim] = []
        if self.take("from"):
            old = self.old(thing)
        self.skip("link")
        if self.take("match"):
            return [*old, *self.copied(thing)]
        return [*old, *self.becomes(thing)]

    def becomes(self, thing: _Thing) -> list[Claim]:
        """Read what `thing` becomes: another thing, the colour of another part, a colour or an adjective."""
        start = self.at
        try:
            return self.owned(thing)
        except UnreadableError:
            self.at = start
        try:
            return _new(_of_same_place(thing, self.novel()))
        except UnreadableError:
            self.at = start
        token = self.need("color", "adjective")
        if token.kind == "color":
            return [Value(_color_of(thing), token.value)]
        if KIND_ATTRIBUTE.get(thing.part) != token.attribute:
            raise UnreadableError
        return [Value(token.attribute, token.value)]

    def novelty(self) -> list[Claim]:
        """Read a thing that is new in the target, and what it replaces."""
        self.skip("swap", "link", "color word")
        thing = self.novel()
        return _new(thing) + self.instead(thing)

    def instead(self, thing: _Thing) -> list[Claim]:
        start = self.at
        self.skip("comma")
        if not self.take("instead"):
            self.at = start
            return []
        return self.old(thing)

    def old(self, thing: _Thing) -> list[Claim]:
        """Read what was there before: a thing, or a value that `thing` had."""
        start = self.at
        try:
            return _givens(_of_same_place(thing, self.thing()))
        except UnreadableError:
            self.at = start
        self.take("the")
        token = self.need("color", "adjective", "number")
        if token.kind == "number":
            return [Given("object_count", (token.value,))]
        if token.kind == "color":
            return [Given(_color_of(thing), (token.value,))]
        if KIND_ATTRIBUTE.get(thing.part) != token.attribute:
            raise UnreadableError
        return [Given(token.attribute, (token.value,))]

    # colours of other parts

    def copied(self, thing: _Thing) -> list[Claim]:
        """Read the part whose colour `thing` takes."""
        source = self.thing(subject=True)
        if self.take("possessive"):
            self.need("color word")
        return [Copy(_color_of(thing), _color_of(source)), *_givens(source)]

    def owned(self, thing: _Thing) -> list[Claim]:
        """Read "the hat's colour"."""
        source = self.thing(subject=True)
        self.need("possessive")
        self.need("color word")
        return [Copy(_color_of(thing), _color_of(source)), *_givens(source)]

    # things

    def novel(self) -> _Thing:
        """Read a thing that may follow a verb of giving; a definite one was there before."""
        thing = self.thing()
        if thing.article == "the":
            raise UnreadableError
        return thing

    def thing(self, subject: bool = False) -> _Thing:
        """Read a noun phrase; `subject` leaves what follows the noun to the predicate."""
        article = self.take("the", "a")
        marks = self.marks()
        if self.take("of"):
            self.need("the")
            marks.append(Token("of"))
        while self.peek() in ("color", "adjective"):
            marks.append(self.need("color", "adjective"))
        thing = _thing(self.need("noun", "part"), marks, article.kind if article else "")
        if not subject and thing.article != "the":
            self.after(thing)
        return thing

    def marks(self) -> list[Token[TokenKind]]:
        marks = []
        while token := self.take("number", "ordinal", "more", "fewer", "another", "color", "adjective"):
            marks.append(token)
        return marks

    def after(self, thing: _Thing) -> None:
        """Read what may follow a noun: "more", "in blue", "in the colour of the hat"."""
        if thing.part == "object" and (token := self.take("more", "fewer")):
            _as_delta(thing, token.kind)
        if thing.bare and not thing.kind:
            return
        start = self.at
        self.skip("link")
        if self.peek() == "color" and self.at > start and self.ends_after(1):
            thing.color = _only(thing.color, self.need("color").value)
            return
        try:
            thing.copied = self.copied(thing) if self.take("match") else self.owned(thing)
        except UnreadableError:
            self.at = start


def _thing(head: Token[TokenKind], marks: list[Token[TokenKind]], article: str) -> _Thing:
    """Assemble a noun phrase from its head and what stands before it."""
    part = head.value if head.kind == "part" else part_of(head.attribute, head.value)
    thing = _Thing(part, article)
    if head.kind == "noun":
        thing.kind, thing.kind_by_noun = head.value, True
    for mark in marks:
        _mark(thing, mark)
    return thing


def _mark(thing: _Thing, mark: Token[TokenKind]) -> None:
    if mark.kind == "color":
        thing.color = _only(thing.color, mark.value)
    elif mark.kind == "adjective":
        if KIND_ATTRIBUTE.get(thing.part) != mark.attribute or part_of(mark.attribute, mark.value) != thing.part:
            raise UnreadableError
        thing.kind = _only(thing.kind, mark.value)
    elif thing.part != "object":
        raise UnreadableError
    elif mark.kind == "number":
        thing.count = _only(thing.count, mark.value)
    elif mark.kind == "of":
        thing.partitive = True
    elif mark.kind == "ordinal":
        thing.ordinal = mark.value
    else:
        _as_delta(thing, mark.kind)


def _as_delta(thing: _Thing, kind: str) -> None:
    """Make the number of `thing` a difference, told or not."""
    sign = -1 if kind == "fewer" else 1
    amount = int(thing.count or (1 if kind == "another" else 0))
    thing.delta, thing.trend, thing.count = (sign * amount, 0, "") if amount else (0, sign, "")


def _only(old: str, new: str) -> str:
    if old and old != new:
        raise UnreadableError
    return new


def _of_same_place(thing: _Thing, other: _Thing) -> _Thing:
    """Return `other` if one of the two can take the other's place: a hat that of hair, but no star that of glasses."""
    if thing.part != other.part and {thing.part, other.part} != {"hair", "hat"}:
        raise UnreadableError
    return other


def _color_of(thing: _Thing) -> str:
    """Return the attribute that holds the colour of `thing`; the colour of a background is no palette colour."""
    if thing.part not in COLOR_ATTRIBUTE:
        raise UnreadableError
    return COLOR_ATTRIBUTE[thing.part]


def _givens(thing: _Thing) -> list[Claim]:
    """Return what naming `thing` says of the reference."""
    claims: list[Claim] = []
    attribute = KIND_ATTRIBUTE.get(thing.part, "")
    if thing.kind:
        claims.append(Given(attribute, (thing.kind,)))
    elif thing.part in _KINDS:
        claims.append(Given(attribute, _KINDS[thing.part]))
    if thing.color:
        claims.append(Given(_color_of(thing), (thing.color,)))
    if thing.count and not thing.partitive:
        claims.append(Given("object_count", (thing.count,)))
    return claims


def _new(thing: _Thing) -> list[Claim]:
    """Return what a thing that is new in the target claims."""
    if thing.delta:
        return [Delta(thing.delta), *_givens(thing)]
    if thing.trend:
        return [Trend(thing.trend), *_givens(thing)]
    if thing.ordinal:
        before = str(int(thing.ordinal) - 1)
        return [Value("object_count", thing.ordinal), Given("object_count", (before,)), *_givens(thing)]
    attribute = KIND_ATTRIBUTE.get(thing.part, "")
    claims: list[Claim] = list(thing.copied)
    if thing.kind:
        claims.append(Value(attribute, thing.kind, named=thing.kind_by_noun and thing.modified))
    elif thing.part in _KINDS and not thing.modified:
        claims.append(Among(attribute, _KINDS[thing.part]))
    if thing.color:
        claims.append(Value(_color_of(thing), thing.color))
    if thing.count:
        claims.append(Value("object_count", thing.count))
    elif thing.part == "object" and thing.article == "a":
        claims.append(Value("object_count", "1", named=True))
    if not claims:
        raise UnreadableError
    return claims


def _removal(thing: _Thing) -> list[Claim]:
    """Return what taking `thing` away claims."""
    givens = _givens(thing)
    if thing.part == "object" and thing.article != "the" and (thing.count or thing.article == "a"):
        kind = [claim for claim in givens if claim != Given("object_count", (thing.count,))]
        return [Delta(-int(thing.count or 1)), *kind]
    if thing.part == "hat":
        return [Among("head", _KINDS["hair"]), *givens]
    if thing.part not in ("glasses", "beard", "object"):
        raise UnreadableError
    return [Value(KIND_ATTRIBUTE[thing.part], NONE), *givens]
