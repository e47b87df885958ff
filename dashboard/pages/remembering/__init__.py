"""What the page Memory is made of: notes that are looked for, and a note that was opened."""
