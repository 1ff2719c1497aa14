"""The crates that are linked into the library, as Cargo.lock names them: their notices, a bill of materials, and
whether each is one that we may ship.

usage: dependencies.py copyright | sbom | check
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "osrm_matcher"
# Licences that ask for nothing but their notice; `cargo deny` reads the same list.
ALLOWED = tomllib.loads((ROOT / ".github/deny.toml").read_text())["licenses"]["allow"]
# Where a crate leaves the choice, its shortest notice is the one to show.
NOTICES = ("LICENSE-MIT*", "LICENSE.MIT", "LICENSE-ISC", "LICENSE*", "LICENCE*", "license*", "COPYING*", "UNLICENSE*")


def metadata():
    host = re.search(r"host: (\S+)", subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout)
    return json.loads(subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host[1]],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)


def linked(cargo):
    """Our own package, and all that end up in the library: neither tests, nor build scripts, nor macros."""
    packages = {package["id"]: package for package in cargo["packages"]}
    nodes = {node["id"]: node for node in cargo["resolve"]["nodes"]}
    own = next(package for package in cargo["packages"] if package["name"] == PACKAGE)
    found, todo = set(), [own["id"]]
    while todo:
        one = todo.pop()
        if one in found or any("proc-macro" in target["kind"] for target in packages[one]["targets"]):
            continue
        found.add(one)
        todo += [dep["pkg"] for dep in nodes[one]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    crates = sorted((packages[one] for one in found - {own["id"]}), key=lambda crate: (crate["name"], crate["version"]))
    return own, crates


def notice(crate):
    """The text of the licence that the crate brings along; of the longest ones Debian keeps a copy."""
    folder = Path(crate["manifest_path"]).parent
    for pattern in NOTICES:
        for file in sorted(path for path in folder.glob(pattern) if path.is_file()):
            text = file.read_text(errors="replace").strip()
            return "/usr/share/common-licenses/Apache-2.0 has its text." if "Apache License" in text else text
    return "It brings no text of its licence along."


def copyright(own, crates):
    by_text = {}
    for crate in crates:
        by_text.setdefault(notice(crate), []).append(f"{crate['name']} {crate['version']} ({crate['license']})")
    print(f"{PACKAGE} {own['version']}\n\n{(ROOT / 'LICENSE').read_text()}")
    print("The library holds these crates, each under the licence that stands below it.")
    for text, names in sorted(by_text.items(), key=lambda item: item[1]):
        print("\n" + "-" * 72 + "\n" + "\n".join(names) + "\n\n" + text)
    print("\n" + "-" * 72 + "\n" + (ROOT / "src/map/NOTICE").read_text())


def component(crate):
    """An entry of a bill of materials in the form of CycloneDX."""
    return {
        "type": "library", "name": crate["name"], "version": crate["version"],
        "bom-ref": f"pkg:cargo/{crate['name']}@{crate['version']}",
        "purl": f"pkg:cargo/{crate['name']}@{crate['version']}",
        "licenses": [{"expression": re.sub(r"\s*/\s*", " OR ", crate["license"])}],
    }


def leaflet():
    """What the map page holds, as Debian packages it; nothing where it was built without."""
    name = "libjs-leaflet"
    asked = subprocess.run(["dpkg-query", "--show", "--showformat=${Version}", name], capture_output=True, text=True)
    if asked.returncode != 0 or not asked.stdout:
        return []
    address = f"pkg:deb/debian/{name}@{asked.stdout}"
    return [{"type": "library", "name": name, "version": asked.stdout, "bom-ref": address, "purl": address,
             "licenses": [{"expression": "BSD-2-Clause"}]}]


def sbom(own, crates):
    document = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"component": component(own)},
        "components": [*(component(crate) for crate in crates), *leaflet()],
    }
    print(json.dumps(document, indent=2))


def permitted(expression):
    """Whether a licence expression leaves a choice that is allowed."""
    parts = re.sub(r"\s*/\s*", " OR ", expression).split(" AND ")
    return all(any(choice.strip("() ") in ALLOWED for choice in part.split(" OR ")) for part in parts)


def check(own, crates):
    strangers = [f"{crate['name']} {crate['version']}: {crate['license']}"
                 for crate in crates if not permitted(crate["license"] or "")]
    foreign = [f"{crate['name']} {crate['version']}: from {crate['source']}"
               for crate in crates if not (crate["source"] or "").startswith("registry+")]
    print("\n".join(strangers + foreign) or f"{len(crates)} crates, all from the registry under permissive licences")
    return 1 if strangers or foreign else 0


if __name__ == "__main__":
    sys.exit({"copyright": copyright, "sbom": sbom, "check": check}[sys.argv[1]](*linked(metadata())))
