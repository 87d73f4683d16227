"""The importers as a draft calls them: with the options that were typed beside the file, checked before it is read."""

from collections.abc import Callable, Mapping

from registry.importers import boamps, counters, ecologits, energy_score, impact_framework, prometheus, template
from registry.importers.lines import ImportedFile
from registry.importers.table import BadFile, Cells, Row, RowError, sha256_hex

YES = "yes"


class _Typed:
    """Options read one by one; what cannot be read adds an error whose column is the option's name."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.errors: list[RowError] = []
        self._cells = Cells(Row(1, options), self.errors)

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number; without a default it has to be there."""
        number = self._cells.whole(name, low, high, required=default is None)
        return number if number is not None else (default if default is not None else low)

    def text(self, name: str, *, required: bool = False, longest: int = 200) -> str:
        """Return a text."""
        return self._cells.text(name, required=required, longest=longest)

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Return one of the choices; an empty one is the first."""
        text = self._cells.text(name)
        if text and text not in choices:
            self._cells.refuse(name, "choice_unknown", f"Choose one of: {', '.join(filter(None, choices))}.")
        return text if text in choices else choices[0]

    def or_bad(self, content: bytes, parse: Callable[[], ImportedFile | BadFile]) -> ImportedFile | BadFile:
        """Read the file, unless an option cannot be used."""
        return BadFile(sha256_hex(content), tuple(self.errors)) if self.errors else parse()


def parse_boamps(content: bytes, options: Mapping[str, str]) -> ImportedFile | BadFile:
    """Read BoAmps reports."""
    typed = _Typed(options)
    measures = typed.choice("measures", boamps.MEASURES)
    return typed.or_bad(content, lambda: boamps.parse_boamps(content, measures=measures))


def parse_impact_framework(content: bytes, options: Mapping[str, str]) -> ImportedFile | BadFile:
    """Read a manifest of the Impact Framework."""
    typed = _Typed(options)
    includes_pue = typed.choice("includes_pue", ("no", YES)) == YES
    return typed.or_bad(content, lambda: impact_framework.parse_impact_framework(content, includes_pue=includes_pue))


def parse_ecologits(content: bytes, options: Mapping[str, str]) -> ImportedFile | BadFile:
    """Read EcoLogits impacts or spans with them."""
    typed = _Typed(options)
    by_hour = typed.choice("lines", ("request", "hour")) == "hour"
    return typed.or_bad(content, lambda: ecologits.parse_ecologits(content, by_hour=by_hour))


def parse_energy_score(content: bytes, options: Mapping[str, str]) -> ImportedFile | BadFile:
    """Read a result of the AI Energy Score."""
    typed = _Typed(options)
    queries = typed.whole("queries", 0, energy_score.MOST_QUERIES)
    samples = typed.whole("samples", 1, energy_score.MOST_QUERIES, default=energy_score.SAMPLES)
    model = typed.text("model", required=True)
    return typed.or_bad(
        content,
        lambda: energy_score.parse_energy_score(content, queries=queries, model=model, samples=samples),
    )


def parse_nvml(content: bytes, options: Mapping[str, str]) -> ImportedFile | BadFile:
    """Read a log of accelerators' counters."""
    return _counters(counters.parse_nvml, content, options)


def parse_rapl(content: bytes, options: Mapping[str, str]) -> ImportedFile | BadFile:
    """Read a log of processors' counters."""
    return _counters(counters.parse_rapl, content, options)


def parse_template(content: bytes, options: Mapping[str, str]) -> ImportedFile | BadFile:
    """Read our own table."""
    return template.parse_template(content)


def parse_prometheus(content: bytes, options: Mapping[str, str]) -> ImportedFile | BadFile:
    """Say why a scrape cannot be taken."""
    return prometheus.refuse_prometheus(content)


def _counters(
    parse: Callable[..., ImportedFile | BadFile], content: bytes, options: Mapping[str, str]
) -> ImportedFile | BadFile:
    typed = _Typed(options)
    max_gap_s = typed.whole("max_gap_s", 1, 86_400, default=counters.LONGEST_GAP_S)
    previous_chain = typed.text("previous_chain").lower()
    if previous_chain and not counters.HASH.fullmatch(previous_chain):
        typed.errors.append(
            RowError(1, "previous_chain", "not_a_hash", "The chain is 64 hexadecimal digits: copy it whole.")
        )
    return typed.or_bad(content, lambda: parse(content, max_gap_s=max_gap_s, previous_chain=previous_chain))
