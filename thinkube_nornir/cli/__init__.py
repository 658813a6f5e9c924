"""The command line: arguments in, exit code out.

Exit codes: 0 done and green; 1 something failed on a host; 2 the request or the configuration was wrong, or the
operator said no; 3 changes are pending (`plan`, `--dry-run`); 130 ended by Ctrl-C.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

import click

from thinkube_nornir.cli.group import VERBS, VerbGroup
from thinkube_nornir.cli.options import Place
from thinkube_nornir.errors import ConfigError, ThinkubeError
from thinkube_nornir.program import missing, program
from thinkube_nornir.reporting.terminal import Terminal

__all__ = ["VERBS", "cli", "run_command_line"]

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EEXIST, errno.ENOTDIR)
"""What the operator's files can be like; other errors of the system are faults of this program."""


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name=None, version=__import__("thinkube_nornir").__version__, prog_name="thinkube-nornir")
def cli() -> None:
    """From Ubuntu servers to a GPU-ready MicroK8s cluster.

    Selections are phases (phase5), components (phase5.coredns) or all; several may be given. What is set up, and on
    which hosts, stands in config.yaml and inventory/.
    """


def run_command_line(arguments: Sequence[str]) -> int:
    """Run a command; every error becomes a line for people and an exit code.

    A reader that goes away (`| head`) is no error: 0 to 3 say how the work went, and the work is done whoever reads.
    """
    terminal = Terminal()
    place = Place()
    try:
        return cli.main(list(arguments), prog_name=program(), standalone_mode=False, obj=place) or 0
    except (click.Abort, KeyboardInterrupt):
        terminal.error("interrupted")
        return 130
    except SystemExit:  # click's word for a reader of --help that went away
        return 0
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # Python wraps what comes while it makes a class
            terminal.error("interrupted")
            return 130
        return _explain(error, terminal, place)


def _explain(error: Exception, terminal: Terminal, place: Place) -> int:
    if isinstance(error, click.ClickException):
        terminal.error(_usage(error))
        return 2
    if isinstance(error, ConfigError):
        for problem in error.problems:
            terminal.error(f"error: {problem}")
        return 2
    if isinstance(error, ThinkubeError):
        terminal.error(f"error: {error.what}")
        for name, text in (("why", error.why), ("fix", error.fix)):
            if text:
                terminal.error(f"  {name}  {text}")
        return 1
    if isinstance(error, ModuleNotFoundError) and (lacking := missing(error)):
        terminal.error(f"error: {lacking}")
        return 2
    if isinstance(error, OSError) and error.errno in _NOT_WRITABLE:
        fix = "see its owner, its mode and its disk; `state` in config.yaml names the folder for what is kept"
        where = f"{error.filename}: " if error.filename else ""
        terminal.error(f"error: {where}{error.strerror} ({fix})")
        return 1
    return _explain_fault(error, terminal, place)


def _usage(error: click.ClickException) -> str:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.format_message()
    if isinstance(error, click.MissingParameter) and error.param and error.param.name == "selection":
        return "error: nothing is selected (name phases, components, or all: `list` shows what there is)"
    return f"error: {error.format_message()}"


def _explain_fault(error: Exception, terminal: Terminal, place: Place) -> int:
    from thinkube_nornir.reporting.logs import log_fault  # only a fault needs it

    path = log_fault(error, place.config.parent / ".thinkube" / "thinkube.log")
    message = str(error).partition("\n")[0]
    terminal.error(
        f"error: unexpected {type(error).__name__}: {message} (a fault of this program; traceback in {path})"
    )
    return 1
