"""How Sphinx builds this documentation: `make docs`."""

import distmap

project = "distmap"
author = "The distmap developers"
copyright = author
version = release = distmap.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "_generate", "examples"]

html_theme = "alabaster"
html_theme_options = {"description": "A shared map for Twisted programs", "page_width": "70rem"}
html_sidebars = {"**": ["about.html", "navigation.html", "searchfield.html"]}
html_show_copyright = False

# Links such as design.md#what-it-is point to headings.
myst_heading_anchors = 3

# A bare `name` in a docstring is code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# Fields listed under "Attributes:" belong to the class, and are not documented a second time.
napoleon_use_ivar = True
