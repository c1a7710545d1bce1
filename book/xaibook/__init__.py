"""xaibook: what the book needs beside xaicore: pictures, networks, records and claims."""
