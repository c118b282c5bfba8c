"""Sentences that are kept for tests: launch/measure_speech.py and launch/bench_models.py say them, and no training hears them.

Nor does training hear a longer sentence that holds one of those that are no commands.
"""

from __future__ import annotations

from omnistream_nodes.grammar import Grammar

__all__ = ["NEAR_MISSES", "NO_COMMANDS", "PARAPHRASES", "Kept", "listed"]


def listed(text: str) -> list[str]:
    """The items of a text with commas between them, however it is broken into lines."""
    return [" ".join(item.split()) for item in text.split(",")]


#: Sentences near a command that are none. No limit was chosen on them; but that a phrase with more words around it is none
#: by its sense (understanding.py), and that an unsure phrase waits (phrase_choice.py), was made a rule when they were known.
NEAR_MISSES = listed("""
    stop at the third house, stop talking about it, halt the production line, go forward with the plan, go backward in
    time, turn left onto the main road, turn the music down, turn around the whole business, come here on Monday, come
    in and sit down, follow me and you will see, follow the yellow line, what do you see in that film, what did you
    see, pick up the red car, pick up the blue shirt, take the ball to school, take the train, take that as a
    compliment, put it down to experience, put it there and then, put it back on the shelf, open the gripper box, open
    the letter, close the deal, look up at the sky tonight, look down on people, look left and right, go home and
    sleep, going home is nice, wave your hands in the air, slow down your heart, wait here and there, wait for the
    bus, give it to me tomorrow morning, give me the keys, never go forward, do not turn left, don't take the cup,
    please don't stop now, she said stop, they go home, he will wait here, nobody can follow me
""")

#: Other words for a command. None of them was used to choose a limit.
PARAPHRASES = {
    "go forward": "go forwards a little, roll forward, move straight forward, please proceed forward",
    "go backward": "move backward, roll backwards, go in reverse, retreat",
    "turn left": "please turn to the left side, turn yourself left, swing left, face left",
    "turn right": "turn over to the right, face right, swivel right, turn right a bit",
    "turn around": "turn all the way around, turn yourself around, face the other way",
    "come here": "come right here, come on over here, please come to where I am",
    "follow me": "please follow me along, follow behind me, come after me",
    "what do you see": "what do you see now, what do you see there, say what you see, what is visible",
    "pick up the red cup": "pick the red cup up, grasp the red cup, please get me the red cup, red cup please",
    "take the bottle": "seize the bottle, grasp the bottle, take hold of the bottle, get me the bottle",
    "take the box on the right": "take the right box, grab the box to the right, get the box on the right side",
    "put it down": "lay it down, put that down, put it down gently",
    "put it back": "bring it back to its place, put that back, put it back again",
    "open the gripper": "open up the gripper, the gripper should open, unclench the gripper",
    "close the gripper": "close up the gripper, clench the gripper",
    "look up": "look up there, raise your head",
    "go home": "head home, go back home now, go to your home",
    "wave your hand": "wave with your hand, wave that hand, wave your arm",
    "slow down": "slow down a bit, go more slowly, less speed",
    "wait here": "just wait here, wait right here, hold still here",
    "give it to me": "give that to me, please hand it to me, give me it",
    "stop": "stop it, stop there, come to a stop, halt immediately",
}
#: Typed sentences that are no commands, near to them in words or in sense. None was used to choose a limit.
NO_COMMANDS = listed("""
    hurry up, drive faster, turn it off, turn up the volume, come tomorrow, follow that car, what do you mean, what do
    you hear, pick up the pace, pick up the orange cup, take your time, take the purple ball, take the lamp on the
    left, put it in the bin, put it on your head, open the window, close the book, look at me, look forward, go to
    bed, go to the office, go forward two feet, go forward thirty meters, go backward three meters, turn left five
    degrees, wave the flag, slow motion, wait for him, give it back to her, give up now, stop the music, stop your
    nonsense, the robot went home, my home is here, I turned around, we stop here sometimes, you never follow me, the
    box is on the right, is there a red cup, where is the bottle, left right left right, cup ball box, one two three,
    what a nice day, it is ten meters away, backwards and forwards, upside down
""")


class Kept:
    """Whether a text is kept for tests: by these lists, or by a grammar's ``confusable``."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._none = [self._padded(t) for t in (*NEAR_MISSES, *NO_COMMANDS, *grammar.confusable)]
        self._others = {self._padded(t) for texts in PARAPHRASES.values() for t in listed(texts)}

    def __contains__(self, text: str) -> bool:
        words = self._padded(text)
        return words in self._others or any(none in words for none in self._none)

    def _padded(self, text: str) -> str:
        return f" {' '.join(self._grammar.words(text))} "
