"""How Sphinx builds the documentation: `make docs`."""

import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "scripts")]

from docs.generate.pages import write_pages  # noqa: E402 - found by the path above

write_pages()

project = "memtrain"
author = "The memtrain developers"
project_copyright = "2026, The memtrain authors"
release = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "**/generated/*.md"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "memtrain"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False

autodoc_typehints = "signature"
maximum_signature_line_length = 80
autodoc_member_order = "bysource"
add_module_names = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# Prompts and outputs are not copied, the commands alone.
copybutton_prompt_text = "$ "

# The pages are built without the network, so names of other projects have nowhere to lead.
nitpicky = True
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(torch|numpy|np|pyarrow|pathlib|collections|os|typing|pydantic|annotated_types)\b.*",
    ),
    # What a FilesLayout is made of: programs get one from rows_in_files.
    (r"py:.*", r"memtrain\.data\.(streams|field_view)\..*"),
    (r"py:.*", r"(BaseModel|Path|Dataset|Any|Callable|Iterator|Sequence|optional)"),
]
