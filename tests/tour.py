"""Runs examples/tour.ipynb: its cells, in a kernel of this interpreter.

``python tests/tour.py`` runs it and keeps the outputs (``make tour``); the test
runs it and compares them. Neither needs a kernel that somebody registered, nor
sees the settings of whoever runs it.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

TOUR = Path(__file__).parents[1] / "examples" / "tour.ipynb"

#: More digits of a number than its rounding errors leave alone.
DIGITS = re.compile(r"-?\d+\.\d{5,}(?:e-?\d+)?")

#: Whether two losses are the same to the last bit depends on the processor; how much of the bound they use, too.
AGREEMENT = re.compile(
    r"(?:equal: all losses are the same numbers|rounding: the largest difference of two losses, [^<>]*)"
)
AGREEMENT_SHOWN = re.compile(
    r'<span class="verdict ok">(?:equal</span> all losses are the same numbers'
    r"|rounding</span> the largest difference of two losses, [^<>]*)"
)


def run(notebook):
    """Run all cells of a notebook, which holds their outputs afterwards."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if os.path.isdir(entry))
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("CONVBRIDGE_BACKEND", None)
    # a short path: that of a socket has some hundred characters at most
    with tempfile.TemporaryDirectory(prefix="tour") as folder:
        manager = AsyncKernelManager(
            kernel_name="python3",
            # without folders to look into, it is this interpreter that runs ipykernel
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            connection_file=f"{folder}/kernel.json",
            transport="ipc",
            ip=f"{folder}/kernel",
        )
        client = NotebookClient(
            notebook, km=manager, timeout=300, record_timing=False, resources={"metadata": {"path": folder}}
        )
        client.execute(env={**environment, "IPYTHONDIR": folder}, cleanup_kc=True)


def outputs(cell):
    """Return what a cell shows, as far as it must be the same everywhere, kind by kind."""
    found = []
    for output in cell.get("outputs", ()):
        if output["output_type"] == "stream":
            if output["name"] == "stdout":  # what frameworks say about the machine goes elsewhere
                found.append(("stdout", steady(output["text"])))
        else:
            found += [(kind, steady(text)) for kind, text in sorted(output["data"].items())]
    return found


def steady(text):
    """Write numbers with six digits, and leave out what the last bits decide."""
    text = AGREEMENT.sub("agrees", AGREEMENT_SHOWN.sub("agrees", text))
    return DIGITS.sub(lambda found: f"{float(found[0]):.6g}", text)


def renew():
    """Run the tour and keep its outputs."""
    notebook = nbformat.read(TOUR, as_version=4)
    for cell in notebook.cells:
        cell.metadata = {}
    run(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    language = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python", "pygments_lexer": "ipython3"}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata = {"kernelspec": kernel, "language_info": language}
    nbformat.write(notebook, TOUR)


if __name__ == "__main__":
    renew()
