"""One seed, from plan to verdict: a storm, then runs from scratch of the points that it left."""

from datetime import timedelta

from harness.outcome import decided, joined_stops

from .compare import compare
from .drain import drain
from .operations import LENGTHS
from .scene import Scene, copy_points
from .steps import Storm

_LENGTHS = dict(zip((timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 1440)), LENGTHS))


def trial(cluster, template, osrm, faults, plan, steps=None, tell=lambda line: None):
    """What is wrong after a plan, or after some of its steps: nothing, if all is well."""
    faults.calm()
    with Scene(cluster, template, osrm, f"storm_{plan.seed}") as scene:
        db = scene.database("loud", {"osrm_url": faults.url, **plan.settings})
        wrong = Storm(plan, scene, db, faults, osrm, tell).blow(steps)
        return wrong or judge(scene, db, osrm, plan.settings, tell)


def judge(scene, db, osrm, settings, tell):
    """Compares what is in a database with runs from scratch, one for each length of window that occurs there."""
    stormy = decided(db)
    scratch = {}
    for length in sorted({end - start for _, start, end, *_ in stormy["batches"]} & _LENGTHS.keys()):
        quiet = scene.database("quiet", {"osrm_url": osrm.url, **settings, "window": _LENGTHS[length]})
        copy_points(db, quiet)
        wrong = drain(quiet, scene)
        if wrong:
            return [f"from scratch: {line}" for line in wrong]
        scratch[length] = decided(quiet)
        quiet.disconnect()
    tell(f"{db.value('SELECT count(*) FROM every_point')} points in {len(stormy['batches'])} windows became "
        f"{len(stormy['paths'])} paths and {len(stormy['stops'])} stops; lengths: "
        f"{', '.join(_LENGTHS[length] for length in scratch)}")
    return compare(stormy, scratch, joined_stops(db))
