"""MaxCompute's column types as Arrow's, the way Tunnel expects them in a block."""

from __future__ import annotations

import pyarrow as pa
from odps import types
from odps.tunnel.io.types import odps_type_to_arrow_type


def arrow_type(type_name: str) -> pa.DataType:
    """The Arrow type of a column of such a type, such as STRING, DECIMAL(10,2) or ARRAY<BIGINT>.

    As PyODPS has it, save that PyODPS 0.13.2 takes DECIMAL(10,0) for one of 18 decimals. Raises ValueError where there
    is no form for the type on the wire (JSON is one).
    """
    try:
        found = types.validate_data_type(type_name)
        if isinstance(found, types.Decimal) and found.precision:
            return pa.decimal128(found.precision, found.scale or 0)
        return odps_type_to_arrow_type(found)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{type_name} is no type that Tunnel takes as Arrow") from error
