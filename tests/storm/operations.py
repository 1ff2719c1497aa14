"""What may happen in a storm: a table of weighted operations, each with a function that draws its arguments.

To add one: a function here that takes a `Draft` (`plan.py`) and returns arguments that print well, or None where
the operation makes no sense now; and a method of the same name in `steps.py` that does it. An operation that
shows a defect which is known is switched off by `defect`, the reason; `WITH=name` switches it on.
"""

from typing import Callable, NamedTuple

MOST_HELD = 3
LENGTHS = ("1min", "5min", "15min", "1h", "1d")


class Operation(NamedTuple):
    weight: float
    draw: Callable
    defect: str | None = None


# -- points ------------------------------------------------------------------------------------------


def arrive(draft):
    """New points: the next ones of a drive, a later piece of it, or some in any order; at times some twice."""
    unsent = draft.unsent()
    if not unsent:
        return None
    manner = draft.chance.choice(["next", "next", "ahead", "scattered"])
    count = draft.chance.choice([1, 3, 10, 40, 150])
    begin = draft.chance.randrange(len(unsent)) if manner == "ahead" else 0
    if manner == "scattered":
        numbers = draft.chance.sample(unsent, min(count, len(unsent)))
    else:
        numbers = unsent[begin:begin + count]
    if draft.chance.random() < 0.1:
        numbers = numbers + numbers[:5]
    return {"manner": manner, "numbers": draft.send(numbers)}


def repeat(draft):
    """Points that came before come again."""
    return {"numbers": draft.some_sent(20)} if draft.sent else None


def write_slowly(draft):
    """A writer whose transaction stays open for some steps."""
    unsent = draft.unsent()
    if not unsent or len(draft.held) >= MOST_HELD:
        return None
    return {"name": draft.hold(), "numbers": draft.send(unsent[:draft.chance.choice([1, 5, 30])])}


def correct(draft):
    """Points turn out to have been elsewhere."""
    if not draft.sent:
        return None
    return {"numbers": draft.some_sent(10), "east": draft.chance.randint(-30, 30),
            "north": draft.chance.randint(-30, 30)}


def move_in_time(draft):
    """A point turns out to have been read at another time."""
    if not draft.sent:
        return None
    return {"numbers": draft.some_sent(1), "seconds": draft.chance.choice([-1500, -400, -30, 30, 400, 1500])}


def give(draft):
    """Points turn out to have been another device's."""
    return {"numbers": draft.some_sent(30), "device": draft.device()} if draft.sent else None


def delete(draft):
    """Points go, a few or all of some minutes, and a re-match is asked for."""
    if not draft.sent:
        return None
    return {"numbers": draft.some_sent(5), "around": draft.chance.choice([0, 30, 400])}


def forget_device(draft):
    """A device, or some minutes of it, is to be forgotten, with its points or to be matched anew."""
    if not draft.sent:
        return None
    return {"numbers": draft.some_sent(1), "around": draft.chance.choice([60, 400, 100_000]),
            "with_points": draft.chance.random() < 0.7}


# -- runs --------------------------------------------------------------------------------------------


def run(draft):
    return {"max_windows": draft.chance.choice([1, 2, 5, 50]), "max_seconds": 30}


def call(draft):
    return {"max_seconds": 30, "windows_per_round": draft.chance.choice([1, 3, 20])}


def call_in_background(draft):
    return {"max_seconds": draft.chance.choice([1, 2, 30]), "windows_per_round": draft.chance.choice([1, 3, 20])}


def several_workers(draft):
    return {"workers": draft.chance.randint(2, 4), "windows_per_round": draft.chance.choice([1, 3, 20])}


def by_hand(draft):
    return {"make": draft.chance.choice([2, 20]), "claim": draft.chance.choice([1, 4]),
            "match": draft.chance.choice([0, 1, 4])}


def cut_short(draft):
    """A run is cancelled."""
    return {"milliseconds": draft.chance.choice([1, 5, 20, 80])}


def take_back(draft):
    """A run whose transaction rolls back."""
    return {"max_windows": draft.chance.choice([1, 5])}


def terminate(draft):
    """A worker in the background is terminated."""
    return {}


# -- OSRM --------------------------------------------------------------------------------------------

BROKEN = ("error_500", "error_502", "half_body")
AWAY = ("error_429", *BROKEN)


def refuse_all(draft):
    """OSRM answers nothing during a run."""
    return {"fault": draft.chance.choice(AWAY), "retry_after": draft.chance.choice([None, 1])}


def refuse_in_the_middle(draft):
    """Points come late to several windows, and OSRM answers some requests of the run that takes them, then none."""
    return {"numbers": draft.late(), "after": draft.chance.choice([1, 3, 8, 15, 30]), **refuse_all(draft)}


def refuse_some(draft):
    """OSRM answers most requests, during some steps."""
    return {"fault": draft.chance.choice(BROKEN), "every": draft.chance.choice([2, 5, 9])}


def calm(draft):
    """OSRM is well again."""
    return {}


def time_out(draft):
    """OSRM is silent throughout a run."""
    return {"milliseconds": draft.chance.choice([100, 200]), "probes": draft.chance.random() < 0.8}


def time_out_once(draft):
    """OSRM is silent for a moment only."""
    return {"milliseconds": 300, "silent": draft.chance.randint(1, 3)}


def run_out_of_time(draft):
    """Points come late to several windows, and the time of the run that takes them is up while OSRM is slow."""
    return {"numbers": draft.late(), "delay": draft.chance.choice([0.05, 0.2])}


def kill_osrm(draft):
    """OSRM is killed, perhaps under a worker, and comes back."""
    return {"under_a_worker": draft.chance.random() < 0.5}


# -- others who use the database ---------------------------------------------------------------------


def hold_device(draft):
    """Another session has the lock on a device."""
    if len(draft.held) >= MOST_HELD:
        return None
    return {"name": draft.hold(), "device": draft.device()}


def hold_rows(draft):
    """Another session holds points FOR UPDATE."""
    if len(draft.held) >= MOST_HELD or not draft.sent:
        return None
    return {"name": draft.hold(), "numbers": draft.some_sent(3)}


def hold_batches(draft):
    """Another session has called a function that holds batches, and has not committed."""
    if len(draft.held) >= MOST_HELD:
        return None
    return {"name": draft.hold(), "statement": draft.chance.choice(
        ["SELECT claim_batches(3)", "SELECT make_batches(5)", "SELECT retry_failed()"])}


def hold_snapshot(draft):
    """Another session looks at an old state."""
    return {"name": draft.hold()} if len(draft.held) < MOST_HELD else None


def let_go(draft):
    """What some session holds is free again, committed or taken back."""
    return {"name": draft.let_go(), "commit": draft.chance.random() < 0.7} if draft.held else None


def read(draft):
    return {"device": draft.device()}


def vacuum(draft):
    return {"table": draft.chance.choice(
        ["gps_coordinates", "markers", "processing_batches", "cached_polylines", "stops"])}


# -- operators ---------------------------------------------------------------------------------------


def change_length(draft):
    return {"length": draft.chance.choice(LENGTHS)}


def start_job(draft):
    begin = draft.chance.randrange(0, 1500, 60)
    return {"kind": draft.chance.choice(["backfill", "rematch"]), "era": draft.chance.choice(["old", "recent", "live"]),
            "begin": begin, "end": begin + draft.chance.choice([60, 600, 1800]),
            "device": draft.chance.choice([None, draft.device()])}


def stop_jobs(draft):
    return {}


def resume_jobs(draft):
    return {}


def retry_failed(draft):
    return {}


def forget_what_is_old(draft):
    """Upkeep deletes the old era: its paths and batches, and the points that are processed."""
    return {}


def forget_old_batches(draft):
    """Upkeep deletes the batches of the old era, and no more."""
    return {}


OPERATIONS = {
    operation.draw.__name__: operation for operation in (
        Operation(30, arrive),
        Operation(3, repeat),
        Operation(2, write_slowly),
        Operation(3, correct),
        Operation(1, move_in_time),
        Operation(2, give),
        Operation(1, delete),
        Operation(1, forget_device),
        Operation(8, run),
        Operation(8, call),
        Operation(5, call_in_background),
        Operation(3, several_workers),
        Operation(4, by_hand),
        Operation(3, cut_short),
        Operation(2, take_back),
        Operation(1, terminate),
        Operation(2, refuse_all),
        Operation(3, refuse_in_the_middle),
        Operation(2, refuse_some),
        Operation(3, calm),
        Operation(1, time_out),
        Operation(1, time_out_once),
        Operation(1, run_out_of_time),
        Operation(0.5, kill_osrm),
        Operation(2, hold_device),
        Operation(2, hold_rows),
        Operation(2, hold_batches),
        Operation(1, hold_snapshot),
        Operation(6, let_go),
        Operation(3, read),
        Operation(2, vacuum),
        Operation(2, change_length),
        Operation(2, start_job),
        Operation(1, stop_jobs),
        Operation(1, resume_jobs),
        Operation(1, retry_failed),
        Operation(1, forget_what_is_old),
        Operation(1, forget_old_batches),
    )
}
