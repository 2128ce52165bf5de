"""Where the numbers of one service are kept, whether it is one process or several.

Each worker has a page of its own, which it alone writes to: counters, histograms, and what is under way. One
more page is common to all, for gauges that tell of the newest; whoever writes to it holds the lock. A page is
cells (cells.py) and a journal, one line for each block of cells, that says what they count. Both are files in
memory that the service's first process keeps open: what a killed worker had counted stays, and the worker
that takes its place counts on in the same cells.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec

from detector.windows import Floats
from service.measuring.cells import Cells, memory_file, place

Labels = Mapping[str, str]


class _Line(msgspec.Struct, frozen=True, array_like=True):
    """One line of a journal. labels: one value that all series share, or one for each of them.

    live: of what is under way in the process that wrote it, and over when that process is.
    """

    metric: str
    series: int
    width: int
    live: bool
    labels: dict[str, str | list[str]]


_decoder = msgspec.json.Decoder(_Line)


@dataclass(frozen=True, slots=True)
class Block:
    """Cells of some series of one metric. start: the first. width: cells of one series.

    line: as it stands in the journal; equal lines of several pages are the same series.
    """

    metric: str
    line: bytes
    start: int
    series: int
    width: int
    live: bool

    def labels(self) -> list[dict[str, str]]:
        """Of each series, in order."""
        line = _decoder.decode(self.line)
        return [
            {name: text if isinstance(text, str) else text[i] for name, text in line.labels.items()}
            for i in range(self.series)
        ]


@dataclass(frozen=True, slots=True)
class PageFiles:
    """Descriptors of the files of one page."""

    cells: int
    journal: int


class Page:
    """Cells and what they count. Blocks are added under the lock that is given."""

    def __init__(self, lock: "Lock", files: PageFiles | None = None) -> None:
        self._lock = lock
        self._journal = None if files is None else files.journal
        self._cells = Cells(None if files is None else files.cells)
        self._owner = self._cells.view(0, 1)
        self._used = 1
        self._read = 0
        self._known: dict[bytes, Block] = {}
        self.blocks: list[Block] = []
        self.series: Counter[str] = Counter()

    def open(self) -> Self:
        """Take the page over from a process that is gone: what that one had under way is over."""
        self.refresh()
        for block in self.blocks:
            if block.live:
                self.values(block)[:] = 0.0
        self._owner[0] = os.getpid()
        return self

    @property
    def alive(self) -> bool:
        """Whether the process that took the page still runs."""
        owner = int(self._owner[0])
        try:
            os.kill(owner, 0)
        except OSError:
            return False
        return owner != 0  # to nobody's number the signal goes to this process itself

    def add(self, metric: str, labels: Sequence[Labels], start: float, width: int, *, live: bool) -> Block:
        """A block for these series: the one that there is, its values kept, or a new one of `start`."""
        line = _encoded(metric, labels, width, live)
        with self._lock:
            self.refresh()
            block = self._known.get(line)
            if block is None:
                block = self._append(line)
                self.values(block)[:] = start
                # Last: whoever reads the line finds its cells filled.
                if self._journal is not None:
                    os.ftruncate(self._journal, self._read)
                    self._read += os.pwrite(self._journal, line + b"\n", self._read)
        return block

    def has(self, metric: str, labels: Labels) -> bool:
        """Whether there is such a block, of one series. Under the lock, after `refresh`."""
        return _encoded(metric, [labels], 1, False) in self._known

    def values(self, block: Block) -> Floats:
        return self._cells.view(block.start, block.series * block.width)

    def refresh(self) -> None:
        """Learn what other processes have added."""
        if self._journal is None:
            return
        size = os.fstat(self._journal).st_size
        if size == self._read:
            return
        text = os.pread(self._journal, size - self._read, self._read)
        # What follows the last whole line is not written yet, or never will be: its writer was killed.
        whole = text.rfind(b"\n") + 1
        for line in text[:whole].split(b"\n")[:-1]:
            self._append(line)
        self._read += whole

    def _append(self, line: bytes) -> Block:
        read = _decoder.decode(line)
        count = read.series * read.width
        block = Block(read.metric, line, place(self._used, count), read.series, read.width, read.live)
        self._used = block.start + count
        self._known[line] = block
        self.series[block.metric] += block.series
        self.blocks.append(block)
        return block


class Lock:
    """For the threads of a process, and with a file for several processes. A killed holder lets go of it."""

    def __init__(self, file: int | None = None) -> None:
        self._threads = threading.RLock()
        self._file = file
        self._depth = 0

    def __enter__(self) -> None:
        self._threads.acquire()
        self._depth += 1
        if self._file is not None and self._depth == 1:
            import fcntl

            fcntl.lockf(self._file, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None and self._depth == 1:
            import fcntl

            fcntl.lockf(self._file, fcntl.LOCK_UN)
        self._depth -= 1
        self._threads.release()


@dataclass(frozen=True, slots=True)
class LedgerFiles:
    """The files of a service of several workers, as descriptors that its processes inherit.

    The lock has a file of its own, because closing or unmapping a file lets go of all locks on it.
    """

    lock: int
    common: PageFiles
    workers: tuple[PageFiles, ...]

    @classmethod
    def create(cls, workers: int) -> "LedgerFiles":
        pages = [PageFiles(memory_file(), memory_file()) for _ in range(workers + 1)]
        return cls(memory_file(), pages[0], tuple(pages[1:]))

    @property
    def descriptors(self) -> list[int]:
        pages = (self.common, *self.workers)
        return [self.lock, *(file for page in pages for file in (page.cells, page.journal))]


class Ledger:
    """All pages of one service, as one of its processes sees them."""

    def __init__(self, files: LedgerFiles | None = None, worker: int = 0) -> None:
        """worker: which page is this process' own; without files there are no other processes."""
        self.lock = Lock(None if files is None else files.lock)
        self.common = Page(self.lock, None if files is None else files.common)
        if files is None:
            self.pages = [Page(Lock())]
        else:
            self.pages = [Page(Lock(), page) for page in files.workers]
        self.own = self.pages[worker].open()
        self._readers: dict[str, Callable[[Page, Block], None]] = {}
        self._told: Counter[Page] = Counter()

    def read_by(self, metric: str, reader: Callable[[Page, Block], None]) -> None:
        """Have blocks of a metric that others have added told by `refresh`."""
        self._readers[metric] = reader

    def refresh(self) -> None:
        """Tell each metric of its new blocks on all pages. For one thread at a time."""
        with self.lock:
            self.common.refresh()
        for page in (self.common, *self.pages):
            if page is not self.own and page is not self.common:
                page.refresh()
            for block in page.blocks[self._told[page] :]:
                if reader := self._readers.get(block.metric):
                    reader(page, block)
                self._told[page] += 1

    def counts(self, page: Page, *, live: bool) -> bool:
        """Whether what stands on a page is to be added up; of what is under way, only in living processes."""
        return not live or page is self.own or page.alive


def _encoded(metric: str, labels: Sequence[Labels], width: int, live: bool) -> bytes:
    columns: dict[str, str | list[str]] = {}
    for name in labels[0]:
        texts = [each[name] for each in labels]
        columns[name] = texts[0] if len(set(texts)) == 1 else texts
    return msgspec.json.encode(_Line(metric, len(labels), width, live, columns))
