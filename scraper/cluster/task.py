"""Task: what a worker is told of a shard. Nothing that it answers counts for the account.

Owns: these fields, and how options are shared by the shards that are open at once. Does not know:
Dask, how a shard is run.
"""

from dataclasses import replace
from typing import Any, NamedTuple

from scraper.cluster.slots import Slot
from scraper.model.settings import Settings
from scraper.sinks.plans import Plan

Message = dict[str, Any]  # what a worker tells meanwhile: plain data


class Task(NamedTuple):
    """One shard of `plan`. `run`: the id of the run, which all records of all shards have.

    `settings`: those of the shard's run, but for what is shared with others at the same worker.
    `slots`: shards that are open at once on all workers together. `turn`: which of them it has, as
    far as the coordinator knows. `topic`: where the worker tells how far it is, every `pulse_s`
    seconds.
    """

    plan: Plan
    shard: int
    run: str
    settings: Settings
    slots: int
    turn: int
    topic: str
    pulse_s: float
    version: str

    @property
    def first_wait_s(self) -> float:
        """After which a slot begins that had no shard yet: all of them together keep `--rate`."""
        rate = self.settings.politeness.rate
        return self.turn / rate if rate else 0.0

    def settings_at(self, slot: Slot) -> Settings:
        """The settings in this slot. `--rate` and `--limit-rate` are divided among all slots."""
        asked, limits = self.settings.politeness, self.settings.limits
        politeness = replace(
            asked,
            max_concurrency=slot.max_concurrency,
            rate=asked.rate and asked.rate / self.slots,
        )
        if limits.limit_rate is not None:
            limits = replace(limits, limit_rate=max(1, limits.limit_rate // self.slots))
        return replace(
            self.settings,
            politeness=politeness,
            limits=limits,
            shard=f"{self.shard}/{self.plan.shards}",
        )
