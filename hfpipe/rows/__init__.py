"""Rows from files: JSON lines, CSV, TSV and Parquet, with what is not a row named by its line."""
