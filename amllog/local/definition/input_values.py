"""The values that a step gets: literals, data, and outputs of other steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from amllog.local.definition.addresses import data_value
from amllog.local.definition.checked_map import CheckedMap, shown
from amllog.local.definition.definition_context import DefinitionContext
from amllog.local.definition.finding_list import allowed_words, nearest_word
from amllog.local.definition.format_expressions import expressions, malformed, single_expression
from amllog.local.definition.format_keys import DATA_TYPES, INPUT_KEYS, LITERAL_TYPES
from amllog.local.definition.input_declarations import (
    InputDeclaration,
    fit_value,
    input_type,
)
from amllog.local.definition.pipeline_scope import BoundValue, PipelineScope
from amllog.local.definition.yaml_nodes import YamlMap, YamlNode, YamlScalar
from amllog.local.plan.planned_steps import (
    InputValue,
    LiteralValue,
    LocalData,
    NamedData,
    SourceLine,
    StepOutput,
    literal_type,
)


@dataclass
class StepInputs:
    """The inputs of a step. `names` also has those without a value, and `absent` only optional ones without."""

    bound: dict[str, BoundValue] = field(default_factory=dict)
    positions: dict[str, SourceLine] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)

    @property
    def values(self) -> dict[str, InputValue]:
        """The inputs that have a value."""
        return {name: bound.value for name, bound in self.bound.items() if bound.value is not None}


def read_inputs(
    step: CheckedMap,
    declared: Mapping[str, InputDeclaration] | None,
    scope: PipelineScope,
    context: DefinitionContext,
    position: SourceLine,
    given_elsewhere: Collection[str] = (),
) -> StepInputs:
    """Read the key `inputs` of a step, with the defaults of the declaration. Without one, all names are allowed."""
    result = StepInputs(names={*(declared or {}), *given_elsewhere})
    values = step.map("inputs")
    for name, node in values.node.items.items() if values else ():
        if name in given_elsewhere:
            continue
        result.names.add(name)
        line = values.line(name) if values else position
        if declared is not None and name not in declared:
            end = allowed_words(name, declared, "declared")
            # azure-ai-ml ignores such an input. One that is similar to a declared input, or stands for the only one
            # without a value, is a typing mistake. The input that is meant has no second finding.
            meant = nearest_word(name, declared) or _only_missing(declared, values, given_elsewhere)
            add = context.findings.error if meant else context.findings.warning
            add(line, f"the component has no input {name!r}{end}")
            if meant and meant not in (values.node.items if values else ()):
                result.bound.setdefault(meant, BoundValue(None, line.file.parent, True))
            continue
        declaration = (declared or {}).get(name) or InputDeclaration(name, line)
        _bind(result, declaration, node, scope, context, line)
    if declared is not None:
        add_defaults(result, declared, context, position, given_elsewhere)
    return result


def _only_missing(
    declared: Mapping[str, InputDeclaration], values: CheckedMap | None, given_elsewhere: Collection[str]
) -> str:
    """Return the input that has no value, if it is the only one, and one name is not declared. Otherwise ""."""
    given = values.node.items.keys() if values else set[str]()
    missing = [
        name
        for name, declaration in declared.items()
        if declaration.default is None and not declaration.is_optional
        if name not in given and name not in given_elsewhere
    ]
    return missing[0] if len(missing) == 1 and len(given - declared.keys()) == 1 else ""


def add_defaults(
    result: StepInputs,
    declared: Mapping[str, InputDeclaration],
    context: DefinitionContext,
    position: SourceLine,
    given_elsewhere: Collection[str] = (),
) -> None:
    """Add the declared inputs that have no value: their default, nothing for an optional input, or a finding."""
    result.names.update(declared, given_elsewhere)
    for name, declaration in declared.items():
        if name in result.bound or name in given_elsewhere:
            continue
        folder = declaration.position.file.parent
        if declaration.default is not None:
            _bind(result, declaration, declaration.default, PipelineScope(), context, declaration.position)
        elif declaration.is_optional:
            result.absent.add(name)
            result.bound[name] = BoundValue(None, folder)
        else:
            line, message = position, f"of the component has no value. See {declaration.position}"
            if position.file == declaration.position.file:  # a file that is run by itself
                line, message = declaration.position, f"has no value: give it with --input {name}=VALUE"
            context.findings.error(line, f"the input {name!r} {message}")
            result.bound[name] = BoundValue(None, folder, True)


def fit_inputs(
    result: StepInputs,
    declared: Mapping[str, InputDeclaration],
    context: DefinitionContext,
    position: SourceLine,
) -> None:
    """Give the inputs of a job the types of its component."""
    for name in declared.keys() & result.bound.keys():
        bound, line = result.bound[name], result.positions.get(name, position)
        value = fit_value(bound.value, declared[name], line, bound.folder, context.findings)
        result.bound[name] = replace(bound, value=value)


def _bind(
    result: StepInputs,
    declaration: InputDeclaration,
    node: YamlNode,
    scope: PipelineScope,
    context: DefinitionContext,
    position: SourceLine,
) -> None:
    """Put the value of one input into the result."""
    name, folder = declaration.name, node.position.file.parent
    result.positions[name] = position
    bound = read_value(node, scope, context, declaration.type) or BoundValue(None, folder, True)
    if bound.value is None and not bound.is_invalid:
        if declaration.default is not None and declaration.default is not node:
            bound = read_value(declaration.default, PipelineScope(), context, declaration.type) or bound
        elif not declaration.is_optional:
            end = "" if scope.jobs else f": give it with --input {name}=VALUE"
            context.findings.error(position, f"the input {name!r} is null, and it is not optional{end}")
            bound = BoundValue(None, folder, True)
    value = bound.value
    if isinstance(value, (LocalData, NamedData)) and declaration.type in DATA_TYPES and not bound.is_untyped:
        _warn_other_type(value, declaration, position, context)
    else:
        value = fit_value(value, declaration, position, bound.folder, context.findings)
    is_invalid = bound.is_invalid or (value is None and bound.value is not None)
    is_untyped = bound.is_untyped and not declaration.type
    result.bound[name] = BoundValue(value, bound.folder, is_invalid, is_untyped)
    if value is None and not is_invalid:
        result.absent.add(name)


def _warn_other_type(
    value: LocalData | NamedData,
    declaration: InputDeclaration,
    position: SourceLine,
    context: DefinitionContext,
) -> None:
    """Report data of another type than its input has. The service accepts it, and the data keeps its type."""
    if declaration.type not in (value.type, "path"):
        message = f"input {declaration.name} has the type {value.type}, and the component declares {declaration.type}"
        context.findings.warning(position, message)


def read_value(
    node: YamlNode, scope: PipelineScope, context: DefinitionContext, kind: str = ""
) -> BoundValue | None:
    """Return the value of a node, or None if it is invalid. `kind` is the declared type."""
    folder = node.position.file.parent
    if isinstance(node, YamlScalar):
        return _scalar(node, scope, context)
    if not isinstance(node, YamlMap):
        context.findings.error(node.position, "an input is a list: allowed is a value or a mapping")
        return None
    values = CheckedMap(node, context.findings, scope.substitute)
    values.check_keys(INPUT_KEYS, "an input")
    node = values.node
    kind = input_type(values) or kind
    content = node.get("path") or node.get("value") or node.get("default")
    if content is None:
        return BoundValue(None, folder)
    if not isinstance(content, YamlScalar):
        context.findings.error(content.position, "an input is a list or a mapping: allowed is a value")
        return None
    is_path = node.get("path") is not None
    bound = _scalar(content, scope, context)
    if bound is not None and is_path and isinstance(bound.value, LiteralValue) and kind not in LITERAL_TYPES:
        value: InputValue = data_value(str(bound.value.value), kind, bound.folder, content.position)
        return BoundValue(value, folder, is_untyped=not kind)
    declaration = InputDeclaration("", node.position, kind)
    if bound is None or bound.value is None:
        return bound
    fitted = fit_value(bound.value, declaration, content.position, bound.folder, context.findings)
    return BoundValue(fitted, bound.folder) if fitted is not None else None


def _scalar(node: YamlScalar, scope: PipelineScope, context: DefinitionContext) -> BoundValue | None:
    """Return the value of a scalar. Names that do not exist were reported before, and give None."""
    folder = node.position.file.parent
    if node.value is None:
        return BoundValue(None, folder)
    if not isinstance(node.value, str):
        return BoundValue(LiteralValue(node.value, literal_type(node.value)), folder)
    expression = single_expression(node.text)
    if expression is not None:
        if expression.kind == "parent.inputs":
            return scope.inputs.get(expression.name)
        if expression.kind == "parent.jobs" and expression.step in scope.jobs:
            return BoundValue(StepOutput(scope.full(expression.step), expression.name, ""), folder)
        if expression.kind == "parent.outputs" and scope.is_pipeline:
            message = f"{shown(node)} is an output of the pipeline: allowed for an input are inputs and steps"
            context.findings.error(node.position, message)
        return None
    mistakes = list(malformed(node.text))
    for message in mistakes:
        context.findings.error(node.position, message)
    if mistakes:
        return None
    text = scope.substitute(node)
    rest = [part for part in expressions(text) if part.kind.startswith("parent.")]
    if rest:
        return _suffixed(node, scope, context)
    return BoundValue(LiteralValue(text, "string"), folder)


def _suffixed(node: YamlScalar, scope: PipelineScope, context: DefinitionContext) -> BoundValue | None:
    """Return a path below the data of an input: `${{parent.inputs.data}}/train`."""
    first = expressions(node.text)[0]
    bound = scope.inputs.get(first.name) if first.kind == "parent.inputs" else None
    path = getattr(bound.value, "path", None) if bound else None
    if bound is not None and path is not None and first.start == 0 and len(expressions(node.text)) == 1:
        value = data_value(f"{path}{node.text[first.end :]}", "", bound.folder, node.position)
        return replace(bound, value=value)
    message = f"{shown(node)}: only a literal or local data can be a part of a string on this machine"
    context.findings.error(node.position, message)
    return None
