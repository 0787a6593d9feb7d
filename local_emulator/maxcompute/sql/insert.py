"""INSERT INTO and INSERT OVERWRITE, into a table, a static partition, or the partitions that the rows' values choose.

In an AUTO PARTITIONED table the rows' times choose the partitions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc
from sqlglot import exp

from local_emulator.maxcompute.errors import ServiceError
from local_emulator.maxcompute.sql.context import Context, Outcome
from local_emulator.maxcompute.sql.errors import SqlError, semantic_error, unsupported
from local_emulator.maxcompute.sql.partition_times import partition_value
from local_emulator.maxcompute.sql.query import Query, Translator
from local_emulator.maxcompute.sql.scope import Output
from local_emulator.maxcompute.sql.values import Value, cast, implicit
from local_emulator.maxcompute.types import STRING, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from local_emulator.maxcompute.entities import Table

_INSERT_PARTS = frozenset({"this", "expression", "overwrite", "with_"})
_TARGET_PARTS = frozenset({"this", "db", "catalog", "partition"})


def insert(context: Context, translator: Translator, node: exp.Insert) -> Outcome:
    """Run an INSERT."""
    translator.only(node, _INSERT_PARTS)
    schema = node.this if isinstance(node.this, exp.Schema) else None
    target = node.this.this if schema else node.this
    if not isinstance(target, exp.Table):
        raise unsupported("this target of INSERT", translator.place(node))
    translator.only(target, _TARGET_PARTS)
    table = context.table([part.name for part in target.parts], translator.place(target), "Update")
    static = _partition(translator, target, table)
    names = [name.name.lower() for name in schema.expressions] if schema else None
    unnamed = target.args.get("partition") is None
    automatic = unnamed and any(column.generated for column in table.partition_columns)
    if table.partition_columns and unnamed and names is None and not automatic:
        place = translator.place(target)
        raise semantic_error(f"table {table.name} is partitioned, expect PARTITION (...) in INSERT", place)
    source = node.expression
    if node.args.get("with_"):
        source.set("with_", node.args["with_"])
    query = _shaped(table, translator.query(source), names, static, automatic=automatic)
    rows = context.run(query)
    try:
        count = context.store.append_parts(
            table,
            ((spec, [batches]) for spec, batches in _parts(table, rows, static)),
            overwrite=bool(node.args.get("overwrite")),
            create=True,
        )
    except ServiceError as error:
        raise SqlError("0123031", "Partition or data exception", error.message) from error
    return Outcome(written=((f"{table.project}.{table.name}", count),))


def _partition(translator: Translator, target: exp.Table, table: Table) -> dict[str, str]:
    """Return the static values of PARTITION (...)."""
    clause = target.args.get("partition")
    static: dict[str, str] = {}
    if clause is None:
        return static
    known = [column.name for column in table.partition_columns]
    named = []
    for item in clause.expressions:
        column = item.this if isinstance(item, exp.EQ) else item
        name = column.name.lower()
        if name not in known:
            raise semantic_error(f"{name} is no partition column of {table.name}", translator.place(item))
        named.append(name)
        if isinstance(item, exp.EQ):
            if not isinstance(item.expression, exp.Literal):
                raise unsupported("a partition value that isn't a literal", translator.place(item))
            static[name] = item.expression.name
    if sorted(named) != sorted(known):
        raise semantic_error(f"expect all of {', '.join(known)} in PARTITION (...)", translator.place(target))
    return static


def _shaped(table: Table, query: Query, names: list[str] | None, static: dict[str, str], *, automatic: bool) -> Query:
    """Return the query in the table's shape: the columns, then the dynamic partition columns as texts."""
    dynamic = [column for column in table.partition_columns if column.name not in static]
    partition_inputs = [] if automatic else dynamic
    if names is None:
        names = [column.name for column in [*table.columns, *partition_inputs]]
    else:
        names += [column.name for column in partition_inputs if column.name not in names]
    if len(names) != len(query.columns):
        raise semantic_error(f"expect {len(names)} columns for {table.name}, found {len(query.columns)}")
    unknown = set(names) - {column.name for column in [*table.columns, *partition_inputs]}
    if unknown or len(set(names)) < len(names):
        raise semantic_error(f"wrong columns in INSERT INTO {table.name}: {', '.join(sorted(unknown or set(names)))}")
    values: dict[str, Value] = {}
    for column in [*table.columns, *dynamic]:
        type_ = STRING if column in dynamic else column.type
        if automatic and column.generated:
            values[column.name] = partition_value(column.generated, values)
        elif column.name in names:
            index = names.index(column.name)
            value = implicit(Value(f"x.c{index}", query.columns[index].type), column.type)
            values[column.name] = cast(value, type_)
        else:
            values[column.name] = Value(f"CAST(NULL AS {type_.duckdb_type()})", type_)
    columns = tuple(Output(name, value.type) for name, value in values.items())
    listed = ", ".join(f"{value} AS {quoted(name)}" for name, value in values.items())
    inputs = ", ".join(f"c{index}" for index in range(len(query.columns)))
    return Query(f"SELECT {listed} FROM ({query.sql}) AS x({inputs})", columns)  # noqa: S608 - translated


def _parts(
    table: Table, rows: pa.Table, static: dict[str, str]
) -> Iterator[tuple[tuple[str, ...], list[pa.RecordBatch]]]:
    """Yield each partition with its rows."""
    width = len(table.columns)
    dynamic = [column.name for column in table.partition_columns if column.name not in static]
    if not dynamic:
        yield tuple(static[column.name] for column in table.partition_columns), rows.select(range(width)).to_batches()
        return
    keys = rows.select(range(width, width + len(dynamic)))
    for group in keys.group_by(dynamic).aggregate([]).to_pylist():
        mask = None
        for name in dynamic:
            if group[name] is None or not group[name]:
                raise SqlError(
                    "0123031", "Partition exception", f"invalid dynamic partition value of {name}: {group[name]}"
                )
            equal = pc.equal(keys[name], group[name])
            mask = equal if mask is None else pc.and_(mask, equal)
        chosen = rows.filter(mask).select(range(width))
        values = {**static, **group}
        yield tuple(values[column.name] for column in table.partition_columns), chosen.combine_chunks().to_batches()
