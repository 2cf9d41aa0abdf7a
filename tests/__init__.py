"""The tests of distmap, for pytest and for trial alike."""
