"""MaxCompute's column types as the Arrow types that Tunnel expects in a block."""

from __future__ import annotations

import pyarrow as pa
from odps import types
from odps.tunnel.io.types import odps_type_to_arrow_type


def arrow_type(type_name: str) -> pa.DataType:
    """Return the Arrow type for a column's type, such as STRING, DECIMAL(10,2) or ARRAY<BIGINT>.

    The Arrow types are those of PyODPS, except that PyODPS 0.13.2 gives DECIMAL(10,0) 18 decimals. Raises ValueError if
    Tunnel has no Arrow form for the type, such as JSON.
    """
    try:
        column_type = types.validate_data_type(type_name)
        if isinstance(column_type, types.Decimal) and column_type.precision:
            return pa.decimal128(column_type.precision, column_type.scale or 0)
        return odps_type_to_arrow_type(column_type)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{type_name} is no type that Tunnel takes as Arrow") from error
