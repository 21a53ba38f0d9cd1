"""``convbridge shapes``: sizes and receptive fields, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from convbridge.commands.console import CommandError, output, print_json

__all__ = ["shapes"]


def shapes(
    layers: Annotated[
        str,
        typer.Argument(
            metavar="LAYERS",
            help="The stack, such as 'conv 11 s4 p2 | pool 3 s2', or the name of a network.",
            show_default=False,
        ),
    ],
    size: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="SIZE", help="Size of the image: 224 or 224x320; a network has one.", show_default=False
        ),
    ] = None,
    channels: Annotated[
        int | None, typer.Option("--channels", metavar="N", help="Channels of the image, to count parameters.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show output size and receptive field after every layer of a stack.

    LAYERS are separated by |. A layer is conv K, pool K (the maximum) or
    avgpool K, then any of: sN (stride), pN or psame, psame_lower, pchapter
    (padding), dN (dilation), cN (output channels of conv), gN (groups of
    conv), ceil (ceil mode of pooling). K and N are a number or HEIGHTxWIDTH;
    padding may also be TOP:BOTTOMxLEFT:RIGHT. The stride of pooling is its
    window unless given. "3 * conv 5" is three layers.

    LAYERS may also be a network of the book: one-layer, two-layers,
    ten-layers, lenet, alexnet, vgg11, nin, googlenet, resnet18, densenet;
    without its branches and its fully connected layers.
    """
    from convbridge.teaching import networks, stack

    if layers.strip().lower() in networks.names():
        network = networks.find(layers)
        layers, channels = network.layers, network.channels if channels is None else channels
        size = size or "{}x{}".format(*network.size)
    if size is None:
        raise CommandError(
            "Missing option '--input': only a network of the book has a size of its own (see convbridge shapes --help)"
        )
    image = stack.parse_size(size, "input")
    steps = stack.walk(stack.parse(layers), image, channels)
    if as_json:
        print_json(
            {
                "input": {"size": list(image), "channels": channels},
                "layers": [_to_json(number, step) for number, step in enumerate(steps, 1)],
            }
        )
        return
    from rich.markup import escape
    from rich.table import Table

    with_channels = any(step.channels is not None for step in steps)
    with_parameters = any(step.parameters for step in steps)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", justify="right", style="dim")
    table.add_column("layer", overflow="fold")
    table.add_column("output", justify="right", no_wrap=True)
    if with_channels:
        table.add_column("channels", justify="right", no_wrap=True)
    table.add_column("sees", justify="right", no_wrap=True)
    table.add_column("step", justify="right", no_wrap=True)
    if with_parameters:
        table.add_column("parameters", justify="right", no_wrap=True)
        table.add_column("multiply-adds", justify="right", no_wrap=True)
    row = ["", "input", _by(image)]
    row += ["" if channels is None else str(channels)] if with_channels else []
    table.add_row(*row, "1x1", "1", *(["", ""] if with_parameters else []))
    for number, step in enumerate(steps, 1):
        row = [str(number), escape(step.layer.text), _by(step.size)]
        row += ["" if step.channels is None else str(step.channels)] if with_channels else []
        row += [_by(step.field), _by(step.jump) if step.jump[0] != step.jump[1] else str(step.jump[0])]
        row += [_count(step.parameters), _count(step.multiply_adds)] if with_parameters else []
        table.add_row(*row)
    if with_parameters:
        totals = [_total(step.parameters for step in steps), _total(step.multiply_adds for step in steps)]
        table.add_row("", "in all", *[""] * (len(row) - 4), *map(_count, totals), style="bold")
    console = output()
    console.print(table)
    console.print(
        "\nsees: the receptive field, the part of the image that one output element depends on; "
        "step: how far apart two neighbours' fields lie.",
        style="dim",
    )


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _total(numbers: Iterable[int | None]) -> int | None:
    """Add up; the sum of what is not all known is not known."""
    known = list(numbers)
    return None if None in known else sum(number or 0 for number in known)


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _to_json(number: int, step: Any) -> dict[str, Any]:
    layer = step.layer
    return {
        "number": number,
        "layer": layer.text,
        "kind": layer.kind,
        "mode": layer.mode,
        "kernel_size": layer.kernel_size,
        "stride": layer.stride,
        "padding": step.padding,
        "dilation": layer.dilation,
        "ceil_mode": layer.ceil_mode,
        "groups": layer.groups,
        "output_size": step.size,
        "channels": step.channels,
        "parameters": step.parameters,
        "multiply_adds": step.multiply_adds,
        "receptive_field": {"size": step.field, "jump": step.jump, "start": step.start},
    }
