"""The command line ``omnistream``."""

from __future__ import annotations

import logging

import typer

from omnistream.cli import attach, check, draw, models_cmd, new, nodes, profile, record, replay, run, top
from omnistream.cli.devices import list_devices
from omnistream.cli.optional import OptionalValues
from omnistream.cli.train import Quantizers, Trainers

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Streaming perception and control: graphs of nodes in event time, on time or accounted for.",
)
app.command("run", cls=OptionalValues)(run.run)
app.command("replay")(replay.replay)
app.command("check")(check.check)
app.command("profile")(profile.profile)
app.command("draw")(draw.draw)
app.command("nodes")(nodes.nodes)
app.command("devices")(list_devices)
app.command("ps")(attach.ps)
app.command("top")(top.top)
app.command("ledger")(attach.ledger)
app.command("logs")(attach.logs)
app.command("stop")(attach.stop)

_models = typer.Typer(no_args_is_help=True, help="Model files: what there is, and fetching it.")
_models.command("list")(models_cmd.list_models)
_models.command("pull")(models_cmd.pull_models)
app.add_typer(_models, name="models")

_record = typer.Typer(
    no_args_is_help=True,
    help="Recordings: what is in one, parts and other forms of it, and making one of what a killed run left.",
)
_record.command("info")(record.info)
_record.command("cut")(record.cut)
_record.command("export")(record.export)
_record.command("recover")(record.recover)
app.add_typer(_record, name="record")

app.add_typer(
    typer.Typer(cls=Trainers, no_args_is_help=True, help="Train a model of OmniStream's own, or of a package's."), name="train"
)
app.add_typer(
    typer.Typer(cls=Quantizers, no_args_is_help=True, help="Make smaller and faster variants of a trained model."),
    name="quantize",
)

_new = typer.Typer(no_args_is_help=True, help="Skeletons to begin with.")
_new.command("node")(new.new_node)
app.add_typer(_new, name="new")


@app.callback()
def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")


if __name__ == "__main__":
    app()
