"""The pages that are kept beside the code: their SQL with the output that they show under it, their
links, and what they name.

usage: documents.py PAGE...    runs the blocks of the pages and writes what they print under them.

A block of SQL with `<!-- not run -->` above it is left out. Where `<!-- varies -->` stands above it, its
output is compared by its shape: numbers, sizes and times may be others, words and empty cells may not.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness import env  # noqa: E402

BLOCK = re.compile(
    r"(?:<!-- (?P<mark>not run|varies) -->\n *)?"
    r"```sql\n(?P<sql>.*?)```\n"
    r"(?P<open>```text\n)?(?P<output>(?(open).*?)?)(?(open)```\n)", re.DOTALL)
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+)\)")
RULER = re.compile(r"-[-+]*(\[ RECORD \d+ \][-+]*)?")
NUMBER = re.compile(r"[-+]?\d+([-:.T+ ]+\d+)*( (bytes|[kMG]B))?")


class Page:
    def __init__(self, path):
        self.path = path
        self.name = path.relative_to(env.ROOT).as_posix()
        self.text = path.read_text()
        self.prose = FENCED.sub("", self.text)

    def blocks(self):
        return [Block(found) for found in BLOCK.finditer(self.text)]

    def makes_the_extension(self):
        """Whether the page creates the extension itself, instead of being given a database that has it."""
        return any(block.run and "CREATE EXTENSION osrm_matcher;" in block.sql for block in self.blocks())

    def links(self):
        """Links to places of this repository, as (page or file, anchor or nothing)."""
        for target in LINK.findall(CODE.sub("", self.prose)):
            if "://" not in target:
                path, _, anchor = target.partition("#")
                yield (self.path.parent / path).resolve() if path else self.path, anchor

    def anchors(self):
        """The anchors of the headings, as GitHub makes them."""
        seen = {}
        for heading in HEADING.findall(self.prose):
            anchor = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
            count = seen[anchor] = seen.get(anchor, -1) + 1
            yield f"{anchor}-{count}" if count else anchor

    def code(self):
        """What stands in the prose as code, and the headings, which are names of functions often."""
        return CODE.findall(self.prose) + HEADING.findall(self.prose)


class Block:
    def __init__(self, found):
        self.sql = found["sql"]
        self.run = found["mark"] != "not run"
        self.varies = found["mark"] == "varies"
        self.output = found["output"] if found["open"] else None
        self.span = found.span("output")

    def title(self):
        return self.sql.strip().splitlines()[0]

    def shows(self, printed):
        """Whether this is what the page says."""
        form = shape if self.varies else plain
        return self.output is None or form(self.output) == form(printed)


def manual():
    """The pages for those who use the extension."""
    return [Page(env.ROOT / "README.md"), *map(Page, sorted((env.ROOT / "docs").glob("*.md")))]


def pages():
    """Those, and the ones for those who change it."""
    return [*manual(), Page(env.ROOT / "ARCHITECTURE.md"), Page(env.ROOT / "CONTRIBUTING.md")]


def plain(output):
    return [line.rstrip() for line in output.strip("\n").splitlines()]


def shape(output):
    """The cells of the output, each number, size or time in them a 0."""
    lines = [line for line in plain(output) if not RULER.fullmatch(line)]
    return [[NUMBER.sub("0", cell.strip()) for cell in line.split("|")] for line in lines]


def run(database, block):
    """What psql prints for a block, in a session of its own."""
    result = database.psql("-q", "-f", "-", input=f"SET client_min_messages = warning;\n{block.sql}")
    return result.stdout


def rewrite(page, database):
    fresh, done = [], 0
    for block in page.blocks():
        printed = run(database, block) if block.run else ""
        if block.run and block.output is not None:
            fresh.append(page.text[done:block.span[0]])
            fresh.append("\n".join(plain(printed)) + "\n")
            done = block.span[1]
    page.path.write_text("".join(fresh) + page.text[done:])


def main(paths):
    from harness.cluster import Cluster
    from harness.database import Database
    from harness.osrm import Osrm
    from harness.process import exit_on_signals

    exit_on_signals()
    with Osrm(name="osrm-documents") as osrm:
        with Cluster("documents", conf={"osrm_matcher.osrm_url": osrm.url}) as cluster:
            for number, page in enumerate(Page(Path(path).resolve()) for path in paths):
                cluster.create_database(f"page_{number}")
                database = Database(cluster, f"page_{number}")
                if not page.makes_the_extension():
                    database.rows("CREATE EXTENSION osrm_matcher")
                rewrite(page, database)
                database.disconnect()


if __name__ == "__main__":
    main(sys.argv[1:])
