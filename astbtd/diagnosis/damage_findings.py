"""Findings about calls through invalid function pointers, overwritten stacks, and files that were replaced."""

from astbtd.diagnosis import advice
from astbtd.diagnosis.crash_context import CrashContext
from astbtd.diagnosis.finding import Finding, list_names
from astbtd.lib.quantities import format_utc
from astbtd.model.crash import ReplacedFile, Verdict


def find_jump(context: CrashContext) -> Finding | None:
    """The process called something that is not a function."""
    if not context.jump:
        return None
    return Finding(
        f"The process {context.jump.describe()}: a function pointer is null, was overwritten, or belongs to a module "
        "that was unloaded.",
    )


def find_overwritten_stack(context: CrashContext) -> Finding | None:
    """A function wrote beyond a local variable."""
    if not context.overwritten:
        return None
    reason = context.overwritten.describe()
    return Finding(f"{reason[0].upper()}{reason[1:]}.", advice.FIND_STACK_OVERRUN)


def find_replaced_files(context: CrashContext) -> Finding | None:
    """Files were replaced after Asterisk started, so that nothing is known of the code in them."""
    replaced = context.evidence.replaced
    if not replaced:
        return None
    in_crash = context.replaced_in_crash
    shown = list_names(describe_replaced(each) for each in (in_crash or replaced))
    if not in_crash:
        return Finding(f"Replaced after Asterisk had started: {shown}. The crash is not in these files.")
    return Finding(
        f"Replaced after Asterisk had started: {shown}. Frames in the old file have no names, and their callers may be "
        "wrong.",
        (
            f"Put the build that crashed back, then {advice.EXTRACT_AGAIN}.",
            "Restart Asterisk after every upgrade, so that the running files are the installed ones.",
        ),
        Verdict.UNUSABLE,
    )


def describe_replaced(replaced: ReplacedFile) -> str:
    """Return the path of a file, and when it was replaced."""
    return f"{replaced.path} at {format_utc(replaced.at)}" if replaced.at else replaced.path
