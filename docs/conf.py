"""How the documentation is built: `make docs`."""

from __future__ import annotations

import condensery

project = "Condensery"
author = "The Condensery authors"
release = condensery.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Condensery {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# The pages outside this folder (CONTRIBUTING.md and so on) are read where they lie.
suppress_warnings = ["myst.xref_missing"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_use_ivar = True
