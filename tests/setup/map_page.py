"""Puts the map's page together from src/map and Leaflet, as one file that needs nothing beside it.

usage: map_page.py OUT    writes nothing, and says so, where Leaflet is not installed
"""

import base64
import hashlib
import re
import sys
from pathlib import Path

PARTS = Path(__file__).resolve().parents[2] / "src/map"
LEAFLET = Path("/usr/share/javascript/leaflet")  # Debian's libjs-leaflet
LIBRARIES = ("leaflet.min.js", "leaflet.js")  # the first that is there
SCRIPTS = ("words", "track", "day", "server", "style", "draw", "canvas", "ground", "pick", "list", "panel", "timeline", "map",
           "live", "page")
# Only the scripts and styles of the page itself run; names and answers of a server cannot bring any along.
POLICY = "default-src 'none'; script-src {scripts}; style-src {styles}; img-src * data:; connect-src *; base-uri 'none'; form-action 'none'"
EMPTY = '{"nothing": "is given"}'  # what get_map_page() writes its data over


def library():
    """Leaflet's script and style, without what they would load from beside them."""
    script = next(filter(Path.exists, (LEAFLET / name for name in LIBRARIES))).read_text()
    style = (LEAFLET / "leaflet.css").read_text()
    return re.sub(r"//# sourceMappingURL=.*", "", script), re.sub(r"(?:background-image|behavior):\s*url\([^)]*\);?", "", style)


def own():
    """The page's script, in a scope of its own, and its style."""
    scripts = "\n".join((PARTS / f"{name}.js").read_text() for name in SCRIPTS)
    return f"(() => {{\n'use strict';\n{scripts}}})();\n", (PARTS / "page.css").read_text()


def allowed(*texts):
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{one}'" for one in hashes)


def page():
    script, style = library()
    own_script, own_style = own()
    text = (PARTS / "page.html").read_text()
    for name, value in (
        ("POLICY", POLICY.format(scripts=allowed(script, own_script), styles=allowed(style, own_style))),
        ("NOTICE", (PARTS / "NOTICE").read_text()), ("GIVEN", EMPTY),
        ("LIBRARY_STYLE", style), ("STYLE", own_style), ("LIBRARY", script), ("SCRIPT", own_script),
    ):
        before, after = text.split(f"@{name}@")
        text = before + value + after
    # No encoding that a client takes it in changes it, and a script ends at the first such tag.
    assert text.isascii(), "the page is not plain ASCII"
    assert "</script" not in script + own_script
    return text


def main(out):
    if not any((LEAFLET / name).exists() for name in LIBRARIES):
        print("    without the map page: Leaflet is not installed (Debian: libjs-leaflet)")
        return
    Path(out).write_text(page())


if __name__ == "__main__":
    main(sys.argv[1])
