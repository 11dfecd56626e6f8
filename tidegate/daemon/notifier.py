"""Notifies of runs: pings when one begins and when it has ended, a command when it has found trouble.

No run waits for it: pings and alert commands are sent by a thread of its own, and a command waits for it when its
work is done and its locks are free. Nothing that goes wrong with it changes how the command ends.
"""

import logging
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from core.enums import Occasion, Trouble
from core.errors import TidegateError
from core.fs.io_timeout import NoAnswerError, ask
from core.state.alerts import Item, Key, news

if TYPE_CHECKING:
    from core.config.settings import Config
    from core.state.alerts import Known
    from tidegate.cli.context import Session

log = logging.getLogger("tidegate.notify")

#: A state that is written by others for so long does without a record of what was sent.
_STATE_SECONDS = 2.0
#: Besides the time-out, for whatever else may hang: a disk with the URL, the command or the state. More than
#: _STATE_SECONDS and what it takes to end a command.
_MORE_SECONDS = 5.0


@dataclass
class RunReport:
    """What a run reports when it ends.

    ``reason``: why it has failed, or did its work in part only. ``found`` gives what it has found, key and sentence,
    and is called where somebody is notified; ``has_looked_at`` says which troubles it could know.
    """

    summary: str = ""
    reason: str = ""
    found: Callable[[], Iterable[tuple[Key, str]]] = tuple
    has_looked_at: Callable[[Key], bool] = lambda _: False


class Notifier:
    """For one command. To be used as a block, which waits at its end until all is sent or given up."""

    def __init__(self, session: "Session", config: "Config") -> None:
        self._session = session
        self._config = config
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="notify")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            sys.stdout.flush()  # what the command has to show does not wait for notifications
        finally:
            self._thread.shutdown()

    @contextmanager
    def run(self, occasion: Occasion, backup_set: str = "") -> Iterator[RunReport]:
        """The block is one run. What it raises is reported too, and raised."""
        run, report = str(uuid.uuid4()), RunReport()
        self._ping(occasion, backup_set, run, "start", "")
        try:
            yield report
        except BaseException as error:
            report = RunReport(reason=_sentence(error))
            raise
        finally:
            self._ping(occasion, backup_set, run, "fail" if report.reason else "", report.reason or report.summary)
            self._alert(f"{occasion} {backup_set}".rstrip(), report)

    def _ping(self, occasion: Occasion, backup_set: str, run: str, word: str, body: str) -> None:
        if occasion in self._config.notify.pings:
            send = partial(self._send, occasion, backup_set, run, word, body)
            self._thread.submit(self._safely, f"[notify.{occasion}]", send)

    def _send(self, occasion: Occasion, backup_set: str, run: str, word: str, body: str) -> None:
        from tidegate.notify import ping

        try:
            target = ping.target(self._config.notify.pings[occasion], run, backup_set)
        except ping.NoUrl as error:
            log.warning("[notify.%s] url_file: %s", occasion, error)
            return
        answer = ping.send(target, word, body, self._config.notify.timeout)
        if not answer.is_ok:
            log.warning(
                "[notify.%s]: %s was not notified of the %s: %s", occasion, target, word or "success", answer.summary
            )

    def _alert(self, run: str, report: RunReport) -> None:
        if self._config.notify.command:
            self._thread.submit(self._safely, "[notify] command", partial(self._send_news, run, report))

    def _send_news(self, run: str, report: RunReport) -> None:
        """What is sent first and recorded afterwards is sent twice where this is cut off, and never lost."""
        from core.clock import SystemClock
        from tidegate.notify import command, message

        notify, now = self._config.notify, SystemClock().now().wall
        sent = _SentAlerts(self._session, self._config)
        items = [item for item in _news(run, report, sent, now, notify.remind) if item.key.what in notify.on]
        if not items:
            return
        document, environment = message.document(run, items, now), message.environment(run, items)
        ended = command.run(notify.command, document, environment, notify.timeout)
        if ended.is_ok:
            sent.record(items, now)
        else:
            log.warning("[notify] command: %s", ended.summary)

    def _safely(self, what: str, send: Callable[[], None]) -> None:
        """What hangs is left behind; a bug here is logged, and nobody else's."""
        try:
            ask(what, self._config.notify.timeout + _MORE_SECONDS, send)
        except NoAnswerError:
            log.warning("%s: a disk does not answer; nobody was notified", what)
        except Exception:
            log.exception("%s: nobody was notified", what)


def _news(run: str, report: RunReport, sent: "_SentAlerts", now: float, remind: float) -> list[Item]:
    own, found = Key(Trouble.FAILED, run), dict(report.found())
    if report.reason:
        found[own] = f"the {run} failed: {report.reason}"
    return news(sent.known(), found, lambda key: key == own or report.has_looked_at(key), now, remind)


class _SentAlerts:
    """What was sent, in the state. Where that cannot be used everything is new, each time."""

    def __init__(self, session: "Session", config: "Config") -> None:
        self._session = session
        self._config = config

    def known(self) -> Mapping[Key, "Known"]:
        """Key -> what was sent of it."""
        from core.state import alerts

        with self._faults(), self._session.state(self._config).read() as connection:
            return alerts.known(connection)
        return {}

    def record(self, items: list[Item], now: float) -> None:
        """These were sent."""
        from core.state import alerts

        with self._faults(), self._session.state(self._config).write(wait=_STATE_SECONDS) as connection:
            alerts.record(connection, items, now)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except TidegateError as error:
            log.warning("[notify]: what was sent cannot be recorded: %s", error)


def _sentence(error: BaseException) -> str:
    if isinstance(error, TidegateError):
        return str(error)
    return "it was interrupted" if isinstance(error, KeyboardInterrupt) else f"a bug: {type(error).__name__}"
