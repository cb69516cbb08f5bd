"""The report: from run folders to table, claims and figures. It reads files and imports no machinery."""
