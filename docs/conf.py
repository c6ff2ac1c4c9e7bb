"""Sphinx's settings: MyST pages, furo's looks, docstrings in Google's style."""

from importlib.util import find_spec

from engram import __version__

project = "Engram"
author = "the Engram authors"
copyright = "the Engram authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
if not tags.has("quick"):  # noqa: F821 - given by Sphinx; a page of source code for each module takes a while
    extensions.append("sphinx.ext.viewcode")
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Engram {release}"

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
# The pages can be built without PyTorch: its names then stand for themselves.
autodoc_mock_imports = [] if find_spec("torch") else ["torch", "safetensors.torch"]
