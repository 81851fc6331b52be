#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
# Proves that Meson installs every public header, each to its own place, and nothing else as a
# header; and that the umbrella header includes every header beside it.
#   check_installed.py BUILD_ROOT SOURCE_ROOT
import json
import re
import sys
from pathlib import Path

build, source = Path(sys.argv[1]), Path(sys.argv[2])
include = source / "include"
complaints = []

present = {str(path.relative_to(include)) for path in include.rglob("*.hpp")}
plan = json.loads((build / "meson-info" / "intro-install_plan.json").read_text())
installed = {}
for path, entry in plan.get("headers", {}).items():
    installed[path] = entry["destination"].replace("{includedir}/", "")
# Other parts of the tree (a C header, one day) would show up here as well.
planned = {str(Path(path).relative_to(include)): to for path, to in installed.items()}

for header in sorted(present - planned.keys()):
    complaints.append(f"include/{header} is not installed: name it in include/meson.build")
for header in sorted(planned.keys() - present):
    complaints.append(f"include/{header} is installed but does not exist")
for header, to in sorted(planned.items()):
    if header != to:
        complaints.append(f"include/{header} is installed as {to}")

umbrella = (include / "paceline" / "paceline.hpp").read_text()
named = set(re.findall(r"#include <(paceline/[^>]+)>", umbrella))
beside = {name for name in present if Path(name).parent == Path("paceline")}
for header in sorted(beside - named - {"paceline/paceline.hpp"}):
    complaints.append(f"paceline.hpp does not include {header}")

if len(present) < 10:
    complaints.append(f"only {len(present)} headers found in {include}")
if complaints:
    sys.exit("\n".join(complaints))
