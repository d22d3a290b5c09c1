"""``mailriver dlq``: look into the dead letters, and replay them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from services.cli.context import fail, kafka_admin, settings_of
from services.contracts import topics
from services.contracts.reasons import DeadReason
from services.runtime.errors import MailriverError
from services.runtime.settings import KafkaSettings

if TYPE_CHECKING:
    from services.console.adapters.dead_letters import DeadLettersSource
    from services.console.adapters.replays import Progress, Replays
    from services.console.core.dead_letters import DeadLetterView, Filters, WholeDeadLetter
    from services.console.core.replays import ReplayRequest, ReplayResult

_TOPICS = (topics.RAW_DLQ, topics.EMAIL_EVENTS_DLQ)
_PAGE = 500
_COLUMNS = ("topic", "place", "time", "reason", "stage", "replayed", "error")

_topic = click.option("--topic", type=click.Choice(_TOPICS), help="Only of this topic.")
_reason = click.option("--reason", type=click.Choice([each.value for each in DeadReason]), help="Only of this reason.")


@click.group()
def dlq() -> None:
    """Look into the dead letters, and replay them once their cause is mended."""


@dlq.command("list")
@_topic
@_reason
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="For scripts: as GET /api/dlq has them.")
def list_letters(topic: str | None, reason: str | None, limit: int, *, as_json: bool) -> None:
    """List dead letters, newest first, and how many there are of each reason."""
    from services.console.core.dead_letters import Filters

    with _source() as source:
        letters, more = _newest(source, Filters(reason, topic), limit)
    if as_json:
        _print_json({"records": letters})
        return
    _print_table(letters)
    counts = Counter(letter.reason or "none" for letter in letters)
    by_reason = ", ".join(f"{name} {number}" for name, number in counts.most_common())
    click.echo(f"{len(letters)} dead letters" + (f": {by_reason}" if by_reason else ""))
    if more:
        click.echo(f"There are older ones: see more with --limit {10 * limit}.", err=True)


@dlq.command("show")
@click.argument("topic", type=click.Choice(_TOPICS))
@click.argument("partition", type=click.IntRange(0))
@click.argument("offset", type=click.IntRange(0))
@click.option("--raw", is_flag=True, help="The bytes of the payload alone, as they are.")
@click.option("--json", "as_json", is_flag=True, help="For scripts: as the API has it.")
def show_letter(topic: str, partition: int, offset: int, *, raw: bool, as_json: bool) -> None:
    """Show one dead letter: where it came from, why it died, what is in it."""
    with _source() as source:
        if raw:
            value = source.record(topic, partition, offset).value
            sys.stdout.buffer.write(value or b"")
            return
        letter = source.one(topic, partition, offset)
    if as_json:
        _print_json(letter)
    else:
        _print_letter(letter)


@dlq.command("replay")
@_topic
@_reason
@click.option("--offset", "offsets", multiple=True, metavar="PARTITION:OFFSET", help="This one; can be repeated.")
@click.option("--limit", type=click.IntRange(1), help="So many at most.")
@click.option("--force", is_flag=True, help="Also those that were replayed before.")
@click.option("--dry-run", is_flag=True, help="Only tell how many there are.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def replay_letters(
    topic: str | None,
    reason: str | None,
    offsets: Sequence[str],
    limit: int | None,
    *,
    force: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Write dead letters back to the topics that they came from; each only once, unless forced."""
    from services.console.core.replays import OffsetChoice, ReplayRequest

    if (reason is None) == (not offsets):
        raise click.UsageError("say which: give either --reason or --offset PARTITION:OFFSET")
    if offsets and topic is None:
        raise click.UsageError(f"an offset is one of a topic: give --topic {_TOPICS[0]} or --topic {_TOPICS[1]}")
    chosen = tuple(OffsetChoice(*_place(text)) for text in offsets) or None
    requests = [
        ReplayRequest(topic=name, offsets=chosen, reason=reason, limit=limit, force=force, dry_run=dry_run)
        for name in ([topic] if topic else _TOPICS)
    ]
    with _replays() as replays:
        if sys.stdin.isatty() and not (yes or dry_run):
            _ask(replays, requests)
        _print_result(_replayed(replays, requests), dry_run=dry_run)


def _place(text: str) -> tuple[int, int]:
    partition, _, offset = text.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise click.UsageError(f"--offset {text}: give a partition and an offset, such as 0:42")
    return int(partition), int(offset)


def _ask(replays: Replays, requests: Sequence[ReplayRequest]) -> None:
    from msgspec.structs import replace

    would = _replayed(replays, [replace(each, dry_run=True) for each in requests])
    _print_result(would, dry_run=True)
    if would.replayed:
        click.confirm("Replay them?", abort=True)


def _replayed(replays: Replays, requests: Sequence[ReplayRequest]) -> ReplayResult:
    """Replay one after the other; a limit holds for all of them together."""
    from msgspec.structs import asdict, replace

    from services.console.core.replays import ReplayResult

    total = ReplayResult(0, 0, 0, 0, 0, dry_run=requests[0].dry_run)
    with _progress() as progress:
        for request in requests:
            left = None if request.limit is None else request.limit - total.replayed
            if left == 0:
                break
            result = replays.replay(replace(request, limit=left), progress)
            sums = {name: value + getattr(total, name) for name, value in asdict(result).items() if name != "dry_run"}
            total = replace(total, **sums)
    return total


@contextmanager
def _progress() -> Iterator[Progress]:
    from rich.console import Console

    with Console(stderr=True).status("reading the dead letters") as status:
        yield lambda replayed, skipped: status.update(f"replayed {replayed:,}, skipped {skipped:,}")


def _print_result(result: ReplayResult, *, dry_run: bool) -> None:
    parts = [
        f"{number} {words}"
        for number, words in (
            (result.already_replayed, "replayed before (--force replays them again)"),
            (result.truncated, "too large, so that only their first 64 KiB were kept"),
            (result.strange, "without a first topic that is theirs"),
        )
        if number
    ]
    said = "would be replayed" if dry_run else "replayed"
    click.echo(f"{said} {result.replayed}, skipped {result.skipped}" + (f": {'; '.join(parts)}" if parts else ""))


def _newest(source: DeadLettersSource, filters: Filters, limit: int) -> tuple[list[DeadLetterView], bool]:
    from services.console.core.dead_letters import positions

    letters: list[DeadLetterView] = []
    after: str | None = None
    while len(letters) < limit:
        page = source.page(filters, positions(after), min(_PAGE, limit - len(letters)))
        letters += page.records
        after = page.next
        if after is None:
            break
    return letters, after is not None


@contextmanager
def _source() -> Iterator[DeadLettersSource]:
    from services.console.adapters.dead_letters import DeadLettersSource, NoSuchLetter
    from services.runtime.bus.config import KafkaConfig
    from services.runtime.clock import SystemClock
    from services.runtime.codecs import codec_for

    settings = settings_of(KafkaSettings)
    kafka_admin(settings)  # faults in the properties file are told before anything starts
    codec = codec_for(settings.schema_registry_url)
    source = DeadLettersSource(KafkaConfig.of(settings), codec, settings.topic_prefix, clock=SystemClock())
    try:
        yield source
    except (MailriverError, NoSuchLetter) as error:
        fail(error)
    finally:
        source.close()


@contextmanager
def _replays() -> Iterator[Replays]:
    from prometheus_client import CollectorRegistry

    from services.console.adapters.dead_letters import NoSuchLetter
    from services.console.adapters.replays import Replays
    from services.runtime.bus.config import KafkaConfig
    from services.runtime.clock import SystemClock
    from services.runtime.codecs import codec_for

    settings = settings_of(KafkaSettings)
    kafka_admin(settings)
    codec, kafka = codec_for(settings.schema_registry_url), KafkaConfig.of(settings)
    try:
        yield Replays(kafka, codec, settings.topic_prefix, clock=SystemClock(), registry=CollectorRegistry())
    except (MailriverError, NoSuchLetter) as error:
        fail(error)


def _print_json(content: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=2))


def _print_table(letters: Sequence[DeadLetterView]) -> None:
    rows = [
        (
            each.topic,
            f"{each.partition}:{each.offset}",
            each.timestamp or "",
            each.reason or "",
            each.stage or "",
            each.replayed_at or "",
            each.error or "",
        )
        for each in letters
    ]
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(_printable(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*_COLUMNS, box=None)
    for row in rows:
        table.add_row(*(Text(_printable(cell)) for cell in row))
    Console().print(table)


def _print_letter(letter: WholeDeadLetter) -> None:
    click.echo(f"{letter.topic} {letter.partition}:{letter.offset} of {letter.timestamp}")
    click.echo(f"replayed: {letter.replayed_at or 'never'}")
    if letter.size is not None:
        click.echo(f"truncated: of {letter.size} bytes only the first were kept, so it cannot be replayed")
    click.echo(f"key: {'none' if letter.key is None else _printable(letter.key)}")
    for name, value in letter.headers:
        click.echo(f"{_printable(name)}: {_printable(value)}")
    click.echo()
    text = letter.payload if letter.decoded is None else letter.decoded
    click.echo("(no payload)" if text is None else "\n".join(map(_printable, text.split("\n"))))


def _printable(text: str) -> str:
    """What a stranger wrote must not steer the terminal."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)
