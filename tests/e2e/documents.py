"""The SQL blocks of the README and the output that it shows under them.

usage: readme.py FILE    runs the blocks of FILE and writes what they print under them.

A block with `<!-- not run -->` above it is left out. Where `<!-- varies -->` stands above it, its output
is compared by its words: numbers, and times with them, may be others.
"""

import re
import sys
from pathlib import Path

BLOCK = re.compile(
    r"(?:<!-- (?P<mark>not run|varies) -->\n)?"
    r"```sql\n(?P<sql>.*?)```\n"
    r"(?P<open>```text\n)?(?P<output>(?(open).*?)?)(?(open)```\n)", re.DOTALL)


class Block:
    def __init__(self, found):
        self.sql = found["sql"]
        self.run = found["mark"] != "not run"
        self.varies = found["mark"] == "varies"
        self.output = found["output"] if found["open"] else None
        self.span = found.span("output")

    def title(self):
        return self.sql.strip().splitlines()[0]


def blocks(text):
    return [Block(found) for found in BLOCK.finditer(text)]


def plain(output):
    return [line.rstrip() for line in output.strip("\n").splitlines()]


def words(output):
    """The output without its numbers, times, units and rulers."""
    text = re.sub(r"\d+(\.\d+)?( bytes| kB| MB| GB)?", "0", output)
    return re.sub(r"[-+: \t|.]*(0[-+: T.]*)+|[-+ \t|]+", " ", text).split()


def same(block, printed):
    if block.varies:
        return words(block.output) == words(printed)
    return plain(block.output) == plain(printed)


def run(database, block):
    """What psql prints for a block, in a session of its own."""
    result = database.psql("-q", "-f", "-", input=f"SET client_min_messages = warning;\n{block.sql}")
    return result.stdout


def rewrite(path, database):
    text = path.read_text()
    fresh, done = [], 0
    for block in blocks(text):
        printed = run(database, block) if block.run else ""
        if block.output is not None:
            fresh.append(text[done:block.span[0]])
            fresh.append("\n".join(plain(printed)) + "\n")
            done = block.span[1]
    path.write_text("".join(fresh) + text[done:])


def main(path):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from harness.cluster import Cluster
    from harness.database import Database
    from harness.osrm import Osrm

    with Osrm(name="osrm-readme") as osrm, Cluster("readme", conf={"osrm_matcher.osrm_url": osrm.url}) as cluster:
        database = Database(cluster, "postgres")
        if "CREATE EXTENSION osrm_matcher" not in path.read_text():
            database.rows("CREATE EXTENSION osrm_matcher")
        rewrite(path, database)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
