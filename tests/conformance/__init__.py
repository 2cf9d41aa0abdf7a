"""WebSocket conformance: an echo with the relay's own socket class and options.

``python -m tests.conformance`` listens on two ports until it is interrupted; docs/fuzzing.md tells
how Autobahn|Testsuite, which needs Python 2.7, is run against them. The class of the relay tells
text that came together joined, as a stream of frames may be cut anywhere. An echo needs each
message, so here it is one of these:

- :class:`WholeTexts`: each whole text by the relay's own fast way, but one at a time;
- :class:`Autobahn`: without the fast way. All goes by Autobahn.
"""
