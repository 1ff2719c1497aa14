#!/usr/bin/env python3
"""`make picture`: the map page as a browser shows it, with the demo's vehicles on it: docs/images/map-*.png."""

import os
import random
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from PIL import Image
from psycopg2.extras import execute_values

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import env  # noqa: E402
from harness.browser import PHONE, Browser  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.map_server import MapServer  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402
from harness.route import random_route  # noqa: E402

from vehicles import Vehicle, make_fleet  # noqa: E402

OUT = env.ROOT / "docs/images"
SECONDS = 1500
DAY = 2400  # seconds of the one whose day is shown
TAIL = 55  # seconds
DELIVERY = range(300, 960)  # seconds of the drive
LAPTOP = (1120, 700)
MOST_BYTES = 150_000
COLOURS = 255  # of a picture, for its size


def drive(database, fleet):
    """All of the way is matched, but for the last moments: those are the tail."""
    now = datetime.now(timezone.utc)
    fixes = [(fix, now - timedelta(seconds=seconds - fix.seconds))
             for vehicle, seconds in fleet for second in range(seconds) for fix in vehicle.tick(second)]
    known = now - timedelta(seconds=TAIL)
    for late in (False, True):
        if late:
            database.rows("CALL process_pending(300)")
        rows = [(f.device, f.longitude, f.latitude, moment) for f, moment in fixes if (moment > known) is late]
        with database.connect() as connection, connection.cursor() as cursor:
            execute_values(cursor, "INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at) VALUES %s",
                           rows, page_size=10_000)


def fleet_of(osrm):
    """The demo's, and one that delivers something, each with the seconds of its drive."""

    class Delivers(Vehicle):
        def _driven(self, second):
            return second - max(0, min(second, DELIVERY.stop) - DELIVERY.start)

    chance = random.Random(7)
    van = Delivers("van-6", 5, "delivers", random_route(osrm, DAY, chance), chance, 9.0)
    return [*((vehicle, SECONDS) for vehicle in make_fleet(osrm, SECONDS)), (van, DAY)]


def keep(browser, name):
    shot = Image.open(browser.keep(f"picture-{name}")).convert("RGB")
    # The colours that most pixels have, exactly; those of the edges between them are rounded.
    common = sorted(shot.getcolors(shot.width * shot.height), reverse=True)[:COLOURS]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in common for part in colour])
    out = OUT / f"map-{name}.png"
    shot.quantize(palette=palette, dither=Image.Dither.NONE).save(out, optimize=True)
    assert out.stat().st_size < MOST_BYTES, f"{out} has {out.stat().st_size} bytes"
    print(f"{out.relative_to(env.ROOT)}: {out.stat().st_size // 1000} kB")


def pictures(browser, server):
    has_ground = "return [...document.querySelectorAll('.leaflet-ground-pane canvas')].some((one) => one.style.visibility === '')"
    for name, device, size, dark in (("fleet", None, LAPTOP, False), ("day", "van-6", LAPTOP, False),
                                     ("phone", "bus-3", PHONE, True)):
        browser.look(size, dark)
        browser.open(server.address(device))
        browser.until(lambda: browser.run(has_ground), "the streets")
        if name == "day":
            browser.run("const time = document.querySelector('#time'); time.value = time.max * 0.9;"
                        "time.dispatchEvent(new Event('input')); document.querySelector('#show-fixes').click();")
            browser.until(lambda: browser.pixels("lines", "fix")["count"] > 500, "the fixes")
        keep(browser, name)


def main():
    exit_on_signals()
    with Osrm(name="osrm-pictures") as osrm, \
            Cluster(f"pictures-{os.getpid()}", conf={"fsync": "off", "osrm_matcher.osrm_url": osrm.url}) as cluster:
        database = Database(cluster, "postgres")
        database.rows("CREATE EXTENSION osrm_matcher")
        drive(database, fleet_of(osrm))
        with MapServer(database) as server, Browser() as browser:
            pictures(browser, server)
        database.disconnect()


if __name__ == "__main__":
    sys.exit(main())
