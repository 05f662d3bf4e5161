"""PDF: which pages of a document are asked for, and how they are drawn."""
