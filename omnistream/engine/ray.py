"""The Ray engine: each worker is a Ray actor. Ray places and ends the processes and carries control, never data.

This is the only module that imports Ray. A dead worker is known by its process, at once, not by Ray's own news, which
comes seconds late; it is replaced by a new actor, never restarted by Ray, so that no stale call is replayed.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omnistream.clock import SystemClock
from omnistream.engine.actor import ANSWER_S, POLLED, WorkerActor
from omnistream.engine.desk import DESK_SPACE, Desk
from omnistream.engine.hosts import Host, Hosts
from omnistream.engine.keeper import HostKeeper
from omnistream.engine.options import RunOptions
from omnistream.errors import OmniStreamError
from omnistream.flow.edge import Account
from omnistream.graph import host as graph_host
from omnistream.graph.graph import Plan, WorkerPlan
from omnistream.record.spool import leave_apart

__all__ = ["RayCrew", "cluster_host", "cluster_runs"]

_log = logging.getLogger("omnistream")
_QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}


#: For a private Ray: its workers do not compute behind all other processes (nice 15, as Ray has it), and nothing is gathered
#: each second for a dashboard that there is none of.
_PRIVATE = {
    "RAY_worker_niceness": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_event_stats": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_metrics_report_interval_ms": "60000",
}


class RayWorker(WorkerActor):
    """The actor."""

    def where(self) -> tuple[int, str, str]:
        """The process, Ray's name of its host, and the host's address."""
        import ray
        import ray.util

        return os.getpid(), ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()


class RayCrew:
    """Actors by worker name. `begin` starts a private Ray unless `address` names a cluster that runs."""

    def __init__(self, plan: Plan, options: RunOptions, address: str | None = None) -> None:
        self.plan, self.options, self.address = plan, options, address
        self.actors: dict[str, Any] = {}
        self.pids: dict[str, int] = {}
        self.incarnations = {w.name: 0 for w in plan.workers}
        self._addresses: dict[str, str] = {}
        self._deaths: dict[str, asyncio.Future[str]] = {}
        self._pidfds: dict[str, int] = {}
        self._death: Callable[[str, str], None] = lambda *_: None
        self._ray: Any = None
        self._ours = False
        self._here = ""
        self._hosts: Hosts | None = None
        self._apart: dict[str, Host] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._answer: Callable[[dict[str, Any]], dict[str, Any] | None] | None = None
        self._desk: Any = None
        self._ending = False
        self._starting: asyncio.Future[None] | None = None

    def on_death(self, callback: Callable[[str, str], None]) -> None:
        self._death = callback

    async def begin(self) -> None:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if self.address is None:  # else Ray leaves a token in the user's home; a cluster has one of its own, or none
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            for name, value in _PRIVATE.items():
                os.environ.setdefault(name, value)
        self._starting = asyncio.ensure_future(asyncio.to_thread(self._start_ray))
        await asyncio.shield(self._starting)
        _restore_signals()
        if self.address is not None:
            self._meet_cluster(self.address)
        self._check_placement()
        self._check_labels()
        results = await asyncio.gather(*(self._spawn(w, self.options) for w in self.plan.workers), return_exceptions=True)
        for error in results:
            if isinstance(error, BaseException):
                raise error

    def _start_ray(self) -> None:
        import ray

        self._ray = ray
        private: Any = sys.modules.get("ray._private.worker")
        if hasattr(private, "print_to_stdstream"):  # Ray would tell of deaths that are told here already
            private.print_to_stdstream = lambda *_, **__: None
        if self.address is not None:
            self._ours = _join(ray, self.address)
            return
        self._ours = True
        try:
            ray.init(
                address="local", include_dashboard=False, _temp_dir=str(Path(self.options.run_dir, "ray")),
                object_store_memory=100 << 20, **_QUIET,
            )  # fmt: skip
        except Exception as error:  # Ray has no kind of its own for a start that took too long
            why = str(error).strip().partition("\n")[0][:200]
            raise OmniStreamError(
                f"Ray did not start on this host ({why}); is it overloaded? --engine local needs no Ray"
            ) from None

    def _meet_cluster(self, address: str) -> None:
        """Workers may be on other hosts: they need keys, a clock, and somebody who knows when they end."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from omnistream.link.tcp_terms import LinkKeys

        self._here = self._ray.get_runtime_context().get_node_id()
        if not self._here:
            raise OmniStreamError(f"there is no node of the cluster {address} on this host; start one here, and run then")
        self.options = dataclasses.replace(self.options, keys=LinkKeys.make())
        errors = self._ray.exceptions

        def make_keeper(kind: type[HostKeeper], node: str) -> Any:
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            wanted: dict[str, Any] = {"num_cpus": 0, "max_restarts": 0, "max_task_retries": 0, "max_concurrency": 1000}
            return self._ray.remote(kind).options(scheduling_strategy=there, **wanted).remote()

        def is_gone(error: BaseException) -> bool:
            return isinstance(error, errors.RayActorError) and not isinstance(error, errors.ActorUnavailableError)

        home = self.options.run_dir if self.options.record else ""
        self._hosts = Hosts(SystemClock(self.options.offset_ns), make_keeper, is_gone, home, self.options.record_queue)
        if self._answer is not None:
            name, here = f"run-{secrets.token_hex(8)}", NodeAffinitySchedulingStrategy(self._here, soft=False)
            wanted: dict[str, Any] = {"num_cpus": 0, "max_restarts": 0, "scheduling_strategy": here}
            self._desk = desk = self._ray.remote(Desk).options(name=name, namespace=DESK_SPACE, **wanted).remote()
            task = asyncio.get_running_loop().create_task(_answered(desk, self._answer))
            self._watches.add(task)
            task.add_done_callback(self._watches.discard)

    def _check_placement(self) -> None:
        """Say before launch what no host can hold; Ray would wait for ever without a word."""
        have = self._ray.cluster_resources()
        for kind, asked in (("CPU", sum(w.cpu for w in self.plan.workers)), ("GPU", sum(w.gpu for w in self.plan.workers))):
            if asked > have.get(kind, 0):
                names = ", ".join(w.name for w in self.plan.workers if (w.cpu if kind == "CPU" else w.gpu))
                raise OmniStreamError(
                    f"workers {names} ask for {asked:g} {kind} in all and there are {have.get(kind, 0):g}; "
                    f"lower 'workers.*.{kind.lower()}'"
                )

    def _check_labels(self) -> None:
        """On a cluster a worker goes to a node with its labels; a private Ray is one node, and takes every worker."""
        for worker in self.plan.workers:
            if not worker.labels:
                continue
            if self.address is None:
                _log.warning("worker %s runs here: its labels choose among the hosts of a cluster (--address)", worker.name)
            elif not any(worker.labels.items() <= (n.get("Labels") or {}).items() for n in self._ray.nodes() if n["Alive"]):
                raise OmniStreamError(f"no host of the cluster has the labels {dict(worker.labels)} of worker {worker.name}")

    async def _spawn(self, worker: WorkerPlan, options: RunOptions) -> None:
        wanted: dict[str, Any] = {
            "max_restarts": 0,
            "max_task_retries": 0,
            "num_cpus": worker.cpu,
            "num_gpus": worker.gpu,
            "max_concurrency": 1000,
        }
        if worker.labels and self.address is not None:
            wanted["label_selector"] = dict(worker.labels)
        actor = self._ray.remote(RayWorker).options(**wanted).remote(str(Path.cwd()), [p for p in sys.path if p])
        self.actors[worker.name] = actor
        try:
            pid, node, address = await actor.where.remote()
        except self._ray.exceptions.RayActorError as error:
            raise OmniStreamError(f"worker {worker.name} died while it was made: {type(error).__name__}") from None
        self.pids[worker.name] = pid
        before = self._apart.pop(worker.name, None)
        if before is not None:
            before.over.add((worker.name, options.incarnation - 1))
        if self._hosts is not None:
            options = dataclasses.replace(options, host=node, address=address)
        if self._hosts is not None and node != self._here:
            host = self._apart[worker.name] = await self._hosts.at(node)
            host.lives.add((worker.name, options.incarnation))
            if options.record:
                leave_apart(self.options.run_dir, worker.name, options.incarnation)
            options = dataclasses.replace(options, run_dir=host.run_dir, apart=True)
            self._watch_there(self._hosts, worker.name, pid, host)
        else:
            self._watch(worker.name, pid)
        try:
            self._addresses[worker.name] = await self._guard(worker.name, actor.begin.remote(self.plan, worker.name, options))
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, OmniStreamError) else error
            raise cause from None

    def _watch(self, name: str, pid: int) -> None:
        loop = asyncio.get_running_loop()
        self._deaths[name] = loop.create_future()
        fd = self._pidfds[name] = os.pidfd_open(pid)
        loop.add_reader(fd, self._gone, name, fd)

    def _gone(self, name: str, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
        if self._pidfds.get(name) != fd:  # of an earlier life
            return
        del self._pidfds[name]
        self._ended(name, "its process ended", f"process {self.pids[name]} ended")

    def _ended(self, name: str, short: str, why: str) -> None:
        self._addresses.pop(name, None)
        death = self._deaths[name]
        if not death.done():
            death.set_result(short)
        if not self._ending:
            self._death(name, why)

    def _watch_there(self, hosts: Hosts, name: str, pid: int, host: Host) -> None:
        """The same for a process on another host, of whose end its keeper tells."""
        death = self._deaths[name] = asyncio.get_running_loop().create_future()
        actor = self.actors[name]

        async def watch() -> None:
            await hosts.ended(host, pid)
            if self._deaths[name] is death and not death.done():
                with contextlib.suppress(Exception):
                    self._ray.kill(actor, no_restart=True)  # it was the keeper, perhaps
                self._ended(name, "its process ended", f"process {pid} on host {host.node[:8]} ended")

        task = asyncio.get_running_loop().create_task(watch())
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)

    async def _guard(self, name: str, reference: Any, timeout_s: float | None = None) -> Any:
        """An actor's answer; an error at once if its process dies before it."""
        answer = asyncio.ensure_future(_awaited(reference))
        try:
            done, _ = await asyncio.wait({answer, self._deaths[name]}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            answer.cancel()
            raise
        if answer in done:
            try:
                return answer.result()
            except self._ray.exceptions.RayActorError as error:  # Ray was the first to know
                raise OmniStreamError(f"worker {name} died: {type(error).__name__}") from None
        answer.cancel()
        if not done:
            raise TimeoutError
        raise OmniStreamError(f"worker {name} died: {self._deaths[name].result()}")

    async def call(self, worker: str, method: str, *args: Any) -> Any:
        if self._ending:  # Ray would start anew for a call that comes behind its end
            raise OmniStreamError(f"worker {worker} has ended")
        timeout = ANSWER_S if method in POLLED else None
        try:
            return await self._guard(worker, self.actors[worker].call.remote(method, *args), timeout)
        except TimeoutError:
            _log.error("worker %s has not answered for %g s and is ended", worker, ANSWER_S)
            self.kill(worker)
            raise OmniStreamError(f"worker {worker} stopped answering") from None

    def addresses(self) -> dict[str, tuple[int, str]]:
        return {name: (self.incarnations[name], address) for name, address in self._addresses.items()}

    def notes(self) -> list[str]:
        return [] if self._hosts is None else self._hosts.notes()

    def on_asked(self, answer: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        self._answer = answer

    def kill(self, worker: str) -> None:
        """End a worker's process. One on another host is taken for dead at once, since that host may be out of reach."""
        host = self._apart.get(worker)
        if host is not None and self._hosts is not None:
            self._hosts.kill(host, self.pids[worker])
            with contextlib.suppress(Exception):
                self._ray.kill(self.actors[worker], no_restart=True)
            if not self._deaths[worker].done():
                self._ended(worker, "it was ended", f"process {self.pids[worker]} on host {host.node[:8]} was ended")
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pids[worker], signal.SIGKILL)

    async def restart(self, worker: str, accounts: dict[str, Account]) -> None:
        self.incarnations[worker] += 1
        options = dataclasses.replace(self.options, incarnation=self.incarnations[worker], accounts=accounts)
        await self._spawn(next(w for w in self.plan.workers if w.name == worker), options)

    async def end(self) -> None:
        """End every actor, and Ray with its processes and files if it was started here."""
        self._ending = True
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._ray is None:
            return
        for task in self._watches:
            task.cancel()
        if self._hosts is not None:
            await self._hosts.bring_home()
            await self._hosts.end()
        for actor in (*self.actors.values(), *filter(None, (self._desk,))):
            with contextlib.suppress(Exception):
                self._ray.kill(actor, no_restart=True)
        if self._ours:
            await asyncio.to_thread(self._ray.shutdown)


def _join(ray: Any, address: str) -> bool:
    """Be a client of a cluster. False if this process is one already. Raises OmniStreamError if there is none."""
    if address.startswith("ray://"):
        raise OmniStreamError(
            f"a run is led from a host of the cluster; start it there, with its address in the place of {address}"
        )
    if ray.is_initialized():
        return False
    try:
        ray.init(address=address, **_QUIET)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise OmniStreamError(
            f"there is no Ray cluster at {address} for this run ({str(error).splitlines()[0][:200]}); if it asks for a token, "
            "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
        ) from None
    return True


def cluster_host(address: str) -> graph_host.Host:
    """CPU cores and GPUs of a cluster, of which this process is a client from now on."""
    import ray

    _join(ray, address)
    _restore_signals()
    have = ray.cluster_resources()
    living = [n for n in ray.nodes() if n["Alive"]]
    members = tuple(graph_host.Member(n["Resources"].get("CPU", 0.0), n.get("Labels") or {}) for n in living)
    return graph_host.Host(have.get("CPU", 0.0), int(have.get("GPU", 0)), members)


async def _answered(desk: Any, answer: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Answer what is asked at a run's desk."""
    try:
        while True:
            number, request = await desk.asked.remote()
            desk.answer.remote(number, answer(request) if isinstance(request, dict) else None)
    except Exception as error:
        _log.warning("the run is no longer seen from other hosts: %s", type(error).__name__)


def cluster_runs(address: str) -> list[Callable[[dict[str, Any]], dict[str, Any]]]:
    """How to ask each run that is led from a host of a cluster, as `control.ask` does one of this host."""
    import ray
    import ray.exceptions
    import ray.util

    _join(ray, address)
    _restore_signals()
    named: list[Any] = ray.util.list_named_actors(all_namespaces=True)

    def asker(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        def ask(request: dict[str, Any]) -> dict[str, Any]:
            try:
                answer: Any = ray.get(ray.get_actor(name, DESK_SPACE).ask.remote(request), timeout=ANSWER_S)
            except (ray.exceptions.RayError, ValueError) as error:  # ValueError: there is no such actor any more
                raise OmniStreamError(f"the run on the cluster does not answer: {type(error).__name__}") from None
            if answer is None:
                raise OmniStreamError("the run on the cluster does not answer that")
            return answer

        return ask

    return [asker(actor["name"]) for actor in named if actor["namespace"] == DESK_SPACE]


def _restore_signals() -> None:
    """Python's handlers again, in the place of those that Ray has put there, which print a stack."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.getsignal(number))
            signal.siginterrupt(number, False)  # noqa: FBT003


async def _awaited(reference: Any) -> Any:
    return await reference
