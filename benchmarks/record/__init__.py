"""What `make record` has left, as a part of a page: conclusions, tables, commands."""
