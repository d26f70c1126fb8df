"""Sphinx: the Markdown of this folder as HTML (`make docs`)."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # autodoc documents this checkout

project = "rdusim"
author = "the rdusim authors"
project_copyright = author
release = re.findall(r'__version__.*= "(.+)"', ROOT.joinpath("rdusim/__init__.py").read_text())[0]

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
nitpicky = True
# Docstrings name types of NumPy and of packages that the reference does not list.
nitpick_ignore_regex = [("py:.*", ".*")]

default_role = "code"  # `name` in a docstring is code
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_display_short_literal_types = True
python_maximum_signature_line_length = 100
add_module_names = False

html_theme = "furo"
narrow = {"code-font-size": "76%"}  # 100 columns fit beside the sidebar
html_theme_options = {"light_css_variables": narrow, "dark_css_variables": narrow}
html_title = f"rdusim {release}"
html_copy_source = False
