"""PDF: selects the requested pages of a document, and draws them."""
