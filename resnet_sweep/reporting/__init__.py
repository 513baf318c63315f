"""What every report shares: statistics, numbers, tables, files and the style of figures."""
