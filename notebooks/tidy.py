"""Take out of executed notebooks what says nothing: run times, widget states, the kernel's version."""

from __future__ import annotations

import sys

import nbformat


def tidy(path: str) -> None:
    """Rewrite one notebook in place; cells without output stay as they are."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.from_dict({"tags": cell.metadata.tags} if "tags" in cell.metadata else {})
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for each in sys.argv[1:]:
        tidy(each)
