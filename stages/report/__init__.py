"""Reports: one page that needs nothing else, and its figures and tables as files."""
