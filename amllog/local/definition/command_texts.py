"""The command of a step: its expressions, its optional parts, and comments that hide arguments."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from amllog.local.definition.finding_list import FindingList, allowed_words
from amllog.local.definition.format_expressions import (
    FormatExpression,
    expressions,
    malformed,
    placeholders,
    replace_expressions,
)
from amllog.local.definition.yaml_nodes import YamlScalar
from amllog.local.plan.planned_steps import SourceLine

_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
_ASSIGNED = re.compile(r"(?:^|[\s;&|(`])(?:(?:read|for)\s+(?:-\w+\s+)*([A-Za-z_]\w*)|([A-Za-z_]\w*)=)")
_JOB_VARIABLES = re.compile(
    r"(AZURE|AZ_|AMLLOG_|MLFLOW_|AML_|OMPI_|CUDA|NCCL|CONDA|SPARK|JAVA_|PYTHON|VIRTUAL_ENV|LC_|XDG_|SSH_|DEFAULT_ROOT)"
    r"|(HOME|PATH|USER|PWD|OLDPWD|SHELL|LANG|TMPDIR|TMP|TEMP|HOSTNAME|RANDOM|SECONDS|LINENO|UID|EUID|PPID|IFS|TERM"
    r"|RANK|LOCAL_RANK|WORLD_SIZE|NODE_RANK|MASTER_ADDR|MASTER_PORT|TF_CONFIG|LD_LIBRARY_PATH|OMP_NUM_THREADS"
    r"|BASH\w*|LOGNAME|EDITOR|DISPLAY|NODE_COUNT)$"
)


def lines_of(scalar: YamlScalar, lines: tuple[str, ...]) -> Iterator[tuple[SourceLine, str]]:
    """Yield the lines of the file that contain a scalar, without its opening quote."""
    for number in range(scalar.position.line, min(scalar.last_line, len(lines)) + 1):
        is_quoted = number == scalar.position.line and scalar.style in {"'", '"'}
        line = lines[number - 1]
        yield (
            SourceLine(scalar.position.file, number),
            line.replace(scalar.style, "", 1) if is_quoted else line,
        )


def line_with(scalar: YamlScalar, lines: tuple[str, ...], text: str) -> SourceLine:
    """Return the line of a scalar that contains a text, or its first line."""
    return next((line for line, source in lines_of(scalar, lines) if text in source), scalar.position)


def check_command(
    scalar: YamlScalar,
    lines: tuple[str, ...],
    names: Mapping[str, Collection[str]],
    variables: Collection[str],
    findings: FindingList,
) -> None:
    """Report what a command cannot do. `names` has the declared names of each kind of expression."""
    for expression in expressions(scalar.text):
        position = line_with(scalar, lines, "${{" + scalar.text[expression.start + 3 : expression.end])
        message = _expression_message(expression, names)
        if message:
            findings.error(position, message)
    for message in malformed(scalar.text):
        places = (line for line, text in lines_of(scalar, lines) if message in malformed(text))
        findings.error(next(places, scalar.position), message)
    assigned = {match.group(1) or match.group(2) for match in _ASSIGNED.finditer(scalar.text)}
    for text, name in placeholders(scalar.text):
        if name not in {*assigned, *variables} and not _JOB_VARIABLES.match(name):
            message = (
                f"the placeholder {text} is not replaced: set {name} in environment_variables, or fill it in"
            )
            findings.error(line_with(scalar, lines, text), message)
    _check_comments(scalar, lines, findings)


def _expression_message(expression: FormatExpression, names: Mapping[str, Collection[str]]) -> str:
    text = "${{" + expression.text + "}}"
    if expression.kind in names:
        declared = names[expression.kind]
        if expression.name in declared:
            return ""
        end = allowed_words(expression.name, declared, "declared")
        return f"{text} is used, and {expression.kind} has no {expression.name!r}{end}"
    if expression.kind.startswith("parent."):
        return (
            f"{text} is not allowed in a command: bind it to an input or output, and use ${{{{inputs.NAME}}}}"
        )
    kinds = ", ".join(f"${{{{{kind}.NAME}}}}" for kind in names)
    return f"unknown expression {text}: allowed in a command are {kinds}"


def _placed_lines(scalar: YamlScalar, lines: tuple[str, ...]) -> Iterator[tuple[SourceLine, int, int]]:
    """Yield the lines of the file that contain a scalar, each with its begin and end in the text of the scalar."""
    cursor = 0
    for line, source in lines_of(scalar, lines):
        content = source.strip()
        if line.line == scalar.position.line:
            content = content[content.find(scalar.text[:1]) :] if scalar.style in {"'", '"'} else content
            content = content if scalar.text.startswith(content) else content.partition(": ")[2].strip()
        if scalar.style == "'":
            content = content.replace("''", "'")
        start = scalar.text.find(content, cursor) if content else -1
        if start >= 0:
            cursor = start + len(content)
            yield line, start, cursor


def _check_comments(scalar: YamlScalar, lines: tuple[str, ...], findings: FindingList) -> None:
    """Report a comment that hides arguments of the lines below it, and a backslash that continues no line.

    YAML folds lines to one line for the shell, except those that are indented more. A comment after a line with a
    backslash at its end ends the command.
    """
    placed = list(_placed_lines(scalar, lines))
    begin, is_continued = 0, False
    for command in scalar.text.split("\n"):
        end = begin + len(command)
        hidden = begin + len(command) - len(_comment(command))
        rest = scalar.text[end:] if is_continued else ""
        for line, _, last in placed:
            if hidden < last and hidden < end and (scalar.text[last:end] + rest).strip(" \n'\""):
                message = "the comment hides the rest of the command from the shell: put it above the key"
                findings.error(line, message)
                return
            if hidden < last:
                break
        begin, is_continued = end + 1, command.endswith("\\")
    for line, _, last in placed:
        is_last = not scalar.text[last:].strip()
        if (
            scalar.style != '"'
            and scalar.text[last - 1] == "\\"
            and not is_last
            and scalar.text[last] != "\n"
        ):
            message = "the backslash continues no line, because YAML folds the lines: remove it, or write '|'"
            findings.error(line, message)


def _comment(line: str) -> str:
    """Return the part of a line that the shell takes as a comment, or ""."""
    quote, before = "", " "
    index = 0
    while index < len(line):
        character = line[index]
        if quote:
            if character == "\\" and quote == '"':
                index += 1
            elif character == quote:
                quote = ""
        elif character == "\\":
            index += 1
        elif character in "'\"":
            quote = character
        elif character == "#" and before in " \t;&|(":
            return line[index:]
        before = character
        index += 1
    return ""


def normalized(text: str, search_space: Collection[str] = ()) -> str:
    """Return a command without spaces and `.path` in its expressions.

    The inputs of a trial that are in the search space become `${{search_space.x}}`.
    """

    def short(expression: FormatExpression) -> str | None:
        kind = expression.kind
        if kind == "inputs" and expression.name in search_space:
            kind = "search_space"
        return f"${{{{{kind}.{expression.name}}}}}" if kind in {"inputs", "outputs", "search_space"} else None

    return replace_expressions(text, short)


def required_names(text: str) -> set[str]:
    """Return the names of the inputs that a command uses outside of its optional parts."""
    rest = _OPTIONAL.sub("", text)
    return {expression.name for expression in expressions(rest) if expression.kind == "inputs"}
