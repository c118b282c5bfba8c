"""The tables of a dataset as lerobot looks things up in them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

__all__ = ["rows_table", "tasks_table"]


def rows_table(columns: dict[str, np.ndarray]) -> Any:
    """An episode's rows."""
    import pyarrow as pa

    arrays: dict[str, Any] = {}
    for key, table in columns.items():
        flat = pa.array(table.ravel(), pa.float32() if table.dtype == np.float32 else pa.int64())
        several = table.ndim == 2 and table.shape[1] > 1
        arrays[key] = pa.FixedSizeListArray.from_arrays(flat, table.shape[1]) if several else flat
    return pa.table(arrays)


def tasks_table(tasks: list[str]) -> Any:
    """As pandas writes a frame whose index are the tasks: lerobot looks them up by it."""
    import pyarrow as pa

    columns = [
        {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64", "metadata": None},
        {"name": None, "field_name": "__index_level_0__", "pandas_type": "unicode", "numpy_type": "object", "metadata": None},
    ]
    index = [
        {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object", "metadata": {"encoding": "UTF-8"}}
    ]
    said = {"index_columns": ["__index_level_0__"], "column_indexes": index, "columns": columns, "pandas_version": "2.2.0"}
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "__index_level_0__": pa.array(tasks, pa.string())})
    return table.replace_schema_metadata({"pandas": json.dumps(said)})
