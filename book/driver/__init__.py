"""The driver of the book: runs the chapters that need it and renders the pages."""
