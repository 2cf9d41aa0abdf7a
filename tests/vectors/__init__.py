"""Examples that the Python and the JavaScript implementation must agree on."""
