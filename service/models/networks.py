"""The networks of all models, of which only so many are in memory as a budget allows.

What a model needs to be told of (its manifest, its queue, its metrics) stays; its network, which is most of
what it costs, is closed when others were used later, and opened again in the model's own worker by the first
batch that needs it. A request for it waits in the queue meanwhile, within its deadline.
"""

import ctypes
import threading
import weakref
from itertools import count

from detector.artefact import Artefact, open_artefact, replay_golden
from detector.errors import ArtefactRefused
from detector.runtime import OpenRuntime, Outputs, Runtime
from detector.windows import Batch
from service.errors import NotReady
from service.measuring.metrics import Metrics

# Of one ONNX session, measured (docs/operations/models.md): by itself, for each byte of its file, and floats
# that it keeps for each step of the largest batch it has run, by sensor and by unit of the recurrent layers.
_SESSION_BYTES = 700_000
_FILE_FACTOR = 2
_FLOATS_PER_SENSOR, _FLOATS_PER_UNIT = 8, 12
_BYTES_PER_FLOAT = 4


class Networks:
    """Opens networks, and closes those used longest ago while all together cost more than the budget.

    budget_bytes: infinite for no bound. batch_windows: most windows that are run at once.
    """

    def __init__(
        self,
        open_runtime: OpenRuntime,
        threads: int,
        batch_windows: int,
        budget_bytes: float,
        metrics: Metrics,
    ) -> None:
        self._open_runtime = open_runtime
        self._threads = threads
        self._batch_windows = batch_windows
        self._budget = budget_bytes
        self._metrics = metrics
        self._all: weakref.WeakSet[Network] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._uses = count(1)

    def of(self, artefact: Artefact) -> "Network":
        """A network of its own for one thread; opened, and its golden windows replayed.

        Raises ArtefactRefused.
        """
        network = Network(self, artefact, cost_of(artefact, self._batch_windows))
        network.open()
        return network

    def open(self, artefact: Artefact) -> Runtime:
        """Raises ArtefactRefused when the network does not answer as its golden windows say."""
        runtime = self._open_runtime(artefact.folder, threads=self._threads)
        replay_golden(artefact, runtime)
        return runtime

    def use(self) -> int:
        """A number that grows with each use."""
        return next(self._uses)

    def make_room(self, opened: "Network") -> None:
        """Count a network in that was just opened, and close others if need be."""
        with self._lock:
            self._all.add(opened)
            held = sorted((network for network in self._all if network.is_open), key=lambda n: n.used)
            total = sum(network.cost for network in held)
            closed = 0
            for network in held:
                if total <= self._budget:
                    break
                if network is not opened and not network.kept:
                    network.close()
                    total -= network.cost
                    closed += 1
            self._metrics.networks[0] = sum(network.is_open for network in held)
            self._metrics.network_bytes[0] = total
        if closed:
            self._metrics.model_changed("closed", closed)
            _give_back()

    def opened_again(self) -> None:
        self._metrics.model_changed("opened")

    def recount(self) -> None:
        """Tell the metrics what there is, after models were let go of."""
        with self._lock:
            held = [network for network in self._all if network.is_open]
            self._metrics.networks[0] = len(held)
            self._metrics.network_bytes[0] = sum(network.cost for network in held)


class Network:
    """A runtime whose network may be out of memory between two runs. For one thread at a time."""

    def __init__(self, networks: Networks, artefact: Artefact, cost: int) -> None:
        self._networks = networks
        self._artefact = artefact
        self._runtime: Runtime | None = None
        self.name = ""
        self.cost = cost
        self.used = 0
        self.kept = False

    @property
    def is_open(self) -> bool:
        return self._runtime is not None

    def run(self, batch: Batch) -> Outputs:
        """Raises NotReady when the network has to be opened again and is not what it was."""
        self.used = self._networks.use()
        runtime = self._runtime or self._open_again()
        return runtime.run(batch)

    def open(self) -> Runtime:
        """Raises ArtefactRefused."""
        runtime = self._networks.open(self._artefact)
        self.name = runtime.name
        self.used = self._networks.use()
        self._runtime = runtime
        self._networks.make_room(self)
        return runtime

    def close(self) -> None:
        """A batch that is being run keeps the network until it is done."""
        self._runtime = None

    def keep(self) -> None:
        """Never close it: what lies in the store is no longer what was loaded."""
        self.kept = True

    def _open_again(self) -> Runtime:
        try:
            if open_artefact(self._artefact.folder).sha256 != self._artefact.sha256:
                raise ArtefactRefused(self._artefact.folder, "it was replaced")
            runtime = self.open()
        except (ArtefactRefused, OSError) as error:
            reason = error.reason if isinstance(error, ArtefactRefused) else error.strerror
            manifest = self._artefact.manifest
            raise NotReady(
                f"version {manifest.version} of model {manifest.name!r} was closed for want of memory and "
                f"cannot be opened again: {reason}"
            ) from None
        self._networks.opened_again()
        return runtime


def cost_of(artefact: Artefact, batch_windows: int) -> int:
    """Bytes that an open network takes at most, once it has run full batches."""
    manifest = artefact.manifest
    size = sum(file.stat().st_size for file in artefact.folder.glob("model.onnx"))
    floats = _FLOATS_PER_SENSOR * len(manifest.sensors) + _FLOATS_PER_UNIT * sum(manifest.architecture.units)
    steps = batch_windows * manifest.window.steps
    return _SESSION_BYTES + _FILE_FACTOR * size + steps * floats * _BYTES_PER_FLOAT


def _give_back() -> None:
    """Have the allocator return what is free to the system, where it can; by itself it would keep it."""
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)


try:
    _libc: ctypes.CDLL | None = ctypes.CDLL(None)
except (OSError, TypeError):  # not a Unix
    _libc = None
