"""Sphinx: the Markdown of this folder as HTML (`make docs`)."""

from __future__ import annotations

import re
from pathlib import Path

project = "rdusim"
author = "the rdusim authors"
project_copyright = author
release = re.findall(r'__version__.*= "(.+)"', Path(__file__).parents[1].joinpath("rdusim/__init__.py").read_text())[0]

extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = f"rdusim {release}"
html_copy_source = False
