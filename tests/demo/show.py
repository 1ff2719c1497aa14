"""Everything that the demo prints."""

import sys
import textwrap
import time
from datetime import datetime

_TERMINAL = sys.stdout.isatty()
_CLEAR = "\r\033[K" if _TERMINAL else ""


def _bold(text):
    return f"\033[1m{text}\033[0m" if _TERMINAL else text


def _say(text=""):
    print(_CLEAR + text, flush=True)


def heading(text):
    _say(f"\n{_bold(text)}")


def statement(text):
    _say(f"  {text};")


def ready(seconds, psql, osrm_url, map_url):
    _say(f"  ready after {seconds:.1f} s; OSRM answers at {osrm_url}")
    _say("  to see them drive, in a browser (in production PostgREST or your back end serves this: docs/map.md):")
    _say(f"    {map_url}")
    _say("  to look on from another terminal:")
    _say(f"    {psql}")


def run(figures):
    """One line for one run of the schedule."""
    begin = datetime.fromisoformat(figures["started_at"])
    text = (
        f"  {begin:%H:%M:%S}  {figures['windows_completed']:3} windows, {figures['points']:5} points,"
        f" {figures['osrm_calls']:4} requests to OSRM, {figures['paths']:3} paths,"
        f" {figures['duration_ms']:5} ms"
    )
    if figures["windows_failed"] or figures["windows_deferred"]:
        text += f"; {figures['windows_failed']} failed, {figures['windows_deferred']} put off"
    if figures["osrm_error"]:
        text += f"; OSRM: {figures['osrm_error']}"
    _say(text)


def problem(text):
    _say(f"  ! {text}")


def status(watch, driving):
    """One line that is written over and over, where a terminal allows that."""
    if _TERMINAL:
        left = 60 - datetime.now().second
        state = "driving" if driving else "arrived"
        text = f"  {state}: {watch.readable} points readable, {watch.waiting} waiting; next run in {left} s"
        print(_CLEAR + text, end="", flush=True)


PATHS = """
SELECT p.device,
       (SELECT count(*) FROM gps_coordinates g WHERE g.device_id = p.device) AS points,
       (SELECT count(*) FROM cached_polylines c WHERE c.device_id = p.device) AS paths,
       (SELECT count(*) FROM get_device_stops(p.device, now() - interval '1 hour', now())) AS stops,
       (SELECT coalesce(sum(c.length_m), 0) FROM cached_polylines c WHERE c.device_id = p.device) AS metres,
       (SELECT string_agg(DISTINCT c.match_status || coalesce(': ' || c.reason, ''), ', ')
          FROM cached_polylines c WHERE c.device_id = p.device) AS how
  FROM unnest(%s::text[]) AS p(device)
"""


def paths(database, fleet):
    """A table of the fleet with its paths; returns its lines as dictionaries."""
    names = ("device", "points", "paths", "stops", "metres", "how")
    lines = [dict(zip(names, row)) for row in database.rows(PATHS, ([v.name for v in fleet],))]
    habit = {vehicle.name: vehicle.habit for vehicle in fleet}
    _say(f"  {'device':10} {'what it does':28} {'points':>6} {'paths':>5} {'stops':>5} {'metres':>6}  how")
    for line in lines:
        _say(
            f"  {line['device']:10} {habit[line['device']]:28} {line['points']:6} {line['paths']:5}"
            f" {line['stops']:5} {line['metres']:6.0f}  {line['how'] or '-'}"
        )
    return lines


def page(database, device):
    """What a back end asks for when a person opens the page of one vehicle, and how long that takes."""
    query = "SELECT get_device_page(%s, 24)"
    database.value(query, (device,))  # a first call of a session loads and plans
    begin = time.monotonic()
    answer = database.value(f"{query}::text", (device,))
    millis = (time.monotonic() - begin) * 1000
    _say(f"\n  SELECT get_device_page('{device}', 24);  -- {millis:.1f} ms")
    _say(textwrap.indent(textwrap.shorten(answer, 300, placeholder=" ..."), "    "))


def outcome(watch, problems):
    _say()
    _say(f"  {watch.readable} points became readable, {watch.set_aside} were in no line when they were processed: repeated, "
         "impossible, or of a vehicle that may be about to park")
    _say(f"  worst time from a point's insert to its path being readable: {watch.worst_delay:.1f} s")
    for text in problems:
        problem(text)


def staying(map_url, psql):
    heading("They drive on until Ctrl-C, for an hour at most. To look around:")
    _say(f"    {map_url}")
    _say(f"    {psql}")


def interrupted():
    _say("\nInterrupted. Everything that was started has been stopped.")


def farewell():
    heading("Done. Everything that was started is being stopped.")
    _say("  To look at the paths again: make psql     Map data: (c) OpenStreetMap contributors, ODbL")
