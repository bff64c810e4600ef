"""Charts as inline SVG, drawn on the server so that a page needs neither network nor scripts to show them."""
