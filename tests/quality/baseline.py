"""What a drive looks like without the extension: the whole trip in one call, OSRM's defaults."""

from concurrent.futures import ThreadPoolExecutor

import polyline

MAX_MATCHING_SIZE = 100_000  # for the server; its default of 100 would refuse a whole trip
NO_ANSWER = {"NoMatch", "NoSegment"}


def match(osrm, drives):
    """Lines by device."""
    with ThreadPoolExecutor(osrm.threads) as pool:
        lines = pool.map(lambda drive: _match(osrm, drive.fixes), drives)
        return {drive.device: line for drive, line in zip(drives, lines)}


def _match(osrm, fixes):
    places = ";".join(f"{lon},{lat}" for _, lon, lat in fixes)
    times = ";".join(str(time) for time, _, _ in fixes)
    # The full line, for the one that is simplified by default would be off by metres.
    answer = osrm.get(f"/match/v1/driving/{places}?timestamps={times}&overview=full", timeout=300)
    if answer["code"] in NO_ANSWER:
        return []
    if answer["code"] != "Ok":
        raise RuntimeError(f"OSRM refused a whole trip: {answer}")
    return [polyline.decode(matching["geometry"]) for matching in answer["matchings"]]
