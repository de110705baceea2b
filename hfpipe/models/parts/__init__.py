"""What the wrappers are built of: towers, pooling, fusion, heads, positions, initialisation."""
