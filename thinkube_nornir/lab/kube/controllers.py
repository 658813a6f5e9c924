"""Controllers: small classes that make the cluster follow its objects. Event driven; nothing polls or sleeps.

A controller names the kind it reconciles, and the other kinds whose changes concern it. `reconcile(obj)` is called
after each change of such an object and brings reality nearer to it; it must do nothing when there is nothing to do,
because its own writes call it again. A write that changes nothing is no event.

    class Certificates(Controller):
        kind = ("cert-manager.io/v1", "Certificate")

        def reconcile(self, obj: Object) -> None:
            self.cluster.set_status(obj, conditions=with_condition([], "Ready", True, "Ready"))

    api.add_controller(Certificates())

It may be registered before its kind is served (a CRD that is created later).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from thinkube_nornir.lab.kube.objects import Key, Object, clone, controller_of, key_of, namespace_of
from thinkube_nornir.lab.kube.status import ApiError
from thinkube_nornir.lab.kube.store import Event

if TYPE_CHECKING:
    from thinkube_nornir.lab.kube.cluster import Cluster

Kind = tuple[str, str]
"""(apiVersion, kind)."""

_log = logging.getLogger(__name__)
_EXPECTED = {403, 404, 409}  # the namespace is going away, or another was faster: the next event brings the next try


class Controller:
    """Base of controllers; see the module."""

    kind: Kind
    watches: tuple[Kind, ...] = ()
    elected: bool = False
    """It runs in the controller manager or in the scheduler, of which the one works that holds the lease."""
    cluster: Cluster

    def reconcile(self, obj: Object) -> None:
        """Bring reality nearer to `obj`, a copy of its present state."""
        raise NotImplementedError

    def gone(self, obj: Object) -> None:
        """`obj` was removed; this is its last state."""

    def concerned(self, changed: Object) -> Iterable[Key]:
        """Which objects of `kind` a change of an object of one of `watches` concerns: by default its owner."""
        owner = controller_of(changed)
        if owner and (owner["apiVersion"], owner["kind"]) == self.kind:
            yield namespace_of(changed), owner["name"]

    def every(self) -> Iterable[Key]:
        """All objects of `kind`, for `concerned`."""
        return [key_of(obj) for obj in self.cluster.list(*self.kind)]


class Queue:
    """Work to do, each piece once, one at a time between the event loop's other work."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        """What controllers failed with; empty when all is well."""
        self._work: dict[object, Callable[[], None]] = {}
        self._timers: dict[asyncio.Task[None], bool] = {}
        """What is to be done later, and whether all is settled only then."""
        self._scheduled = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Wait until there is no work."""
        await self._idle.wait()

    def add(self, token: object, work: Callable[[], None]) -> None:
        """Do `work` soon, unless work of this token waits already."""
        self._work.setdefault(token, work)
        self._idle.clear()
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._step)

    def later(self, delay: float, token: object, work: Callable[[], None], *, settles: bool) -> None:
        """Add it after `delay` seconds.

        Args:
            settles: until then there is something to do; False for another attempt at what may never succeed.
        """

        async def timed() -> None:
            await asyncio.sleep(delay)
            self.add(token, work)

        task = asyncio.get_running_loop().create_task(timed())
        self._timers[task] = settles
        task.add_done_callback(self._timers.pop)

    @property
    def busy(self) -> list[asyncio.Task[None]]:
        """Timers whose work belongs to what goes on now."""
        return [task for task, settles in self._timers.items() if settles]

    def stop(self) -> None:
        """Forget what is to be done later."""
        for task in self._timers:
            task.cancel()

    def _step(self) -> None:
        self._scheduled = False
        work = self._work.pop(next(iter(self._work)))
        try:
            work()
        except ApiError as error:
            if error.code not in _EXPECTED:
                self.failed(error)
        except Exception as error:
            self.failed(error)
        if self._work and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._step)
        elif not self._work:
            self._idle.set()

    def failed(self, error: BaseException) -> None:
        self.errors.append(error)
        _log.error("a controller of the lab's cluster failed", exc_info=error)


class Dispatcher:
    """Tells controllers of the writes that concern them."""

    def __init__(self, cluster: Cluster, queue: Queue) -> None:
        self._cluster = cluster
        self._queue = queue
        self._controllers: list[Controller] = []
        self._waiting: dict[object, Callable[[], None]] | None = None
        """What elected controllers are to do once there is a leader; None while there is one."""
        cluster.store.subscribe(self._report)

    def add(self, controller: Controller) -> None:
        controller.cluster = self._cluster
        self._controllers.append(controller)
        self.enqueue_all(controller)

    def enqueue_all(self, controller: Controller) -> None:
        for obj in self._cluster.list(*controller.kind):
            self._enqueue(controller, key_of(obj))

    def pause(self) -> None:
        """Nobody holds the lease: elected controllers do nothing."""
        self._waiting = {} if self._waiting is None else self._waiting

    def resume(self) -> None:
        """There is a leader again, who does what was left undone."""
        waiting, self._waiting = self._waiting or {}, None
        for token, work in waiting.items():
            self._queue.add(token, work)

    def _add(self, controller: Controller, token: object, work: Callable[[], None]) -> None:
        if controller.elected and self._waiting is not None:
            self._waiting.setdefault(token, work)
        else:
            self._queue.add(token, work)

    def _report(self, event: Event) -> None:
        for controller in self._controllers:
            if self._is(event, controller.kind):
                self._own(controller, event)
            if any(self._is(event, kind) for kind in controller.watches):
                for state in (event.object, event.before):
                    if state is not None:
                        self._enqueue_all(controller, state)

    def _is(self, event: Event, kind: Kind) -> bool:
        group = kind[0].rpartition("/")[0]
        return (group, kind[1]) == (event.object["apiVersion"].rpartition("/")[0], event.object["kind"])

    def _own(self, controller: Controller, event: Event) -> None:
        if event.type == "DELETED":
            gone = clone(event.object)
            self._add(controller, (controller, "gone", event.revision), partial(controller.gone, gone))
        else:
            self._enqueue(controller, key_of(event.object))

    def _enqueue_all(self, controller: Controller, changed: Object) -> None:
        for key in controller.concerned(changed):
            self._enqueue(controller, key)

    def _enqueue(self, controller: Controller, key: Key) -> None:
        self._add(controller, (controller, key), partial(self._reconcile, controller, key))

    def _reconcile(self, controller: Controller, key: Key) -> None:
        found = self._cluster.get(*controller.kind, name=key[1], namespace=key[0])
        if found is not None:
            controller.reconcile(found)
