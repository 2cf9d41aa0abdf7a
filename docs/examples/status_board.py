"""A board on which everybody says how they are: the program that the example tests test."""


class StatusBoard:
    """One person's view of the board.

    Args:
        shared: a DistributedMap.
        name: the person.
    """

    def __init__(self, shared, name):
        self.shared = shared
        self.name = name
        self.alarms = []
        shared.on("set", self._somebody_said)

    def say(self, text):
        """Says how this person is; fires once the relay has it."""
        return self.shared.set(self.name, text)

    def everybody(self):
        """How everybody is, by name."""
        return dict(self.shared)

    def _somebody_said(self, text, name, shared):
        if text == "help":
            self.alarms.append(name)
