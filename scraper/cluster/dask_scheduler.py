"""What Dask calls in a scheduler that is not ours: the death of a worker ends its shards' tasks.

Dask runs a task again whose worker died, three times (`allowed-failures`), and then blames all that
were at such a worker. A shard that kills its worker is counted and submitted again by us
(`board.py`), so each submission would cost four workers. The option is the scheduler's, for all of
its users; here it is changed for tasks of ours alone.

Owns: that. Does not know: what follows. The scheduler needs no package of ours: a class that is
made in a function travels as a whole.
"""

from typing import Any

from distributed import SchedulerPlugin


def first_death(keys: str, name: str) -> SchedulerPlugin:
    """A plug-in called `name` for tasks whose keys begin with `keys`."""
    called = name

    class FirstDeath(SchedulerPlugin):
        name = called

        async def start(self, scheduler: Any) -> None:
            self._scheduler = scheduler

        def transition(self, key: Any, start: str, finish: str, *_: Any, **__: Any) -> None:
            """A task begins: count the deaths that are allowed as if they had been."""
            del start
            if finish == "processing" and str(key).startswith(keys):
                self._scheduler.tasks[key].suspicious = self._scheduler.allowed_failures

    return FirstDeath()
