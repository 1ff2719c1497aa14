"""What the README shows is what one gets."""

import re

from harness import env
from harness.database import Database
from readme import blocks, run, same

README = env.ROOT / "README.md"


def test_every_block_of_sql_runs_and_prints_what_is_shown(osrm, new_cluster):
    text = README.read_text()
    with new_cluster("readme", osrm.url) as cluster:
        database = Database(cluster, "postgres")
        wrong = []
        for block in blocks(text):
            if not block.run:
                continue
            printed = run(database, block)
            if block.output is not None and not same(block, printed):
                wrong.append(f"{block.title()}\nshown:\n{block.output}\nprinted:\n{printed}")
        database.disconnect()
    assert not wrong, "\n".join(wrong)


def test_every_function_for_users_is_in_the_readme(db):
    functions = db.rows("""
        SELECT DISTINCT p.proname
          FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
          JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'osrm_matcher'
         WHERE p.proname NOT LIKE '\\_%'""")
    text = README.read_text()
    assert [name for (name,) in functions if not re.search(rf"\b{name}\b", text)] == []
