"""Talk for training that is no command though its words are those of commands, and what may stand around one that is.

Made by parts, so that no two scenes need have the same; nothing here is in tests, and no sentence of tests' forms is made:
`of_tests` says which are.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from omnistream_models.fused import phrases

__all__ = ["around", "no_command", "of_tests", "wrapped"]


def _parts(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


_PEOPLE = _parts(
    "i|you|we|she|he|they|people|the man|my mother|nobody|everyone|somebody|our teacher|the boy|his friends|robots|my sister"
)
_MAY = _parts(
    "must|should|can|could|would|might|may|did|want to|wants to|have to|had to|need to|used to|never|always|often|"
    "sometimes|must never|should never|can not|cannot|can't|won't|wouldn't|shouldn't|mustn't|didn't|doesn't|"
    "will not|would not|did not|does not|may not|do not|could not|should not|need not|are not to|is not allowed to|"
    "tried to|like to|refused to|asked me to|told us to|forgot to|will never|are going to|is about to|were told to|"
    "has to|ought not to|might not|will"
)
_LATER = _parts(
    "||||tomorrow|last week|at night|every time|in the morning|again and again|on sundays|for fun|or else|and then left"
)
_BEFORE = _parts(
    "don't|do not|never|don't ever|do never|please don't|no don't|you better not|try not to|be careful not to|"
    "it is wrong to|it is forbidden to|i forgot to|not|rather not|there is no need to|why did he|who said|"
    "did she say|how did they|what happens if you|if we|when we|because they|after they|before you|i think they|"
    "i heard him say|the sign says|the song goes|in the film they|do you want to|do you remember how to|"
    "is it hard to|would it help to|it was fun to|he was asked to|the rule is never to|don't you dare|"
    "i said do not|under no circumstances|you are not supposed to|it says do not|i don't want you to|"
    "we don't want you to|do they ever|have you seen him|imagine they|suppose we|instead of|without asking to|"
    "the story of how we|yesterday they|once i"
)
_OPEN = _parts(
    "door|window|eyes|mouth|heart|shop|lid|drawer|bag|umbrella|file|account|bar|curtain|gate|garage|"
    "jar|wallet|ears|case|present|kitchen|store|garden|wound|meeting|floor|road"
)
_ABSTRACT = _parts(
    "chance|risk|nerve|breath|look|walk|nap|shower|step|side|bus|exam|photo|turn|advice|hint|break|trip|fight|"
    "moment|winner|team|colour you like|date|lock|quarrel|favourite|nose|brain|words carefully|job|bath|decision|"
    "taxi|train home|stand|vote|guess"
)
_WHOSE = ("the", "a", "your", "my", "his", "her", "our", "their", "this")
_REST = {
    "turn": (
        "the page|my head|the volume up|pale|red with anger|thirty|into a frog|a blind eye|the corner|on the heating|"
        "off the oven|to page ten|the key in the lock|sour|in your homework"
    ),
    "go": (
        "fishing|on holiday|swimming|crazy|to the bank|back to school|for it|bananas|bad|on a diet|green with envy|"
        "to the doctor|out more|straight to the point|forward with the party|back in time|home for christmas|"
        "ahead without us|forward in the queue"
    ),
    "follow": (
        "the money|the leader|his advice|the instructions|my example|the path|her|the news|the recipe|your dreams|me on twitter"
    ),
    "stop": (
        "smoking|worrying|crying|for lunch|at the bakery|the clock|the press|it hurts|making noise|arguing|lying to me|"
        "that thief|it you two|the war|pretending|joking"
    ),
    "come": (
        "as you are|to think of it|alive|to an end|true|clean|home for dinner|to my birthday|with us to the lake|"
        "back soon|what may|up with ideas"
    ),
    "wave": ("at the crowd|the white flag|your arms about|after her|of heat|length"),
    "wait": ("till christmas|a year|your turn|in line|for the right moment|and drink tea|tables|until he comes|here for years"),
    "look": (
        "at the stars|on the bright side|sharp|like a fool|for trouble|both ways|up to him|forward to it|up the word|"
        "after your brother|into the matter|who is talking"
    ),
    "give": (
        "it a try|it time|it to charity|me your number|me a call|me a minute|him the book back|blood|way|an example|"
        "them hope|it to your sister"
    ),
    "tell": (
        "her what you saw|them what they see|him a story|the truth|me about yourself|us what you know|me what you want|"
        "everybody what i see"
    ),
    "slow": ("cooker|down time|learner|progress|food|music is nice|internet again"),
    "back": ("pain|in the day|to square one|then|door|and forth|to the future|up your files"),
    "forward": ("thinking|my mail|planning|the mail to her|and backward"),
    "backward": ("compatible|thinking|step for the company|people"),
    "put": (
        "yourself first|the blame on me|an end to it|money aside|up or shut up|on weight|the milk in the fridge|"
        "in a good word|it in writing|your trust in me|me through to him|him in his place|your mind to it"
    ),
    "home": ("alone|sweet home|made bread|work|is far away"),
    "open": ("minded|source|air|for business|at nine|wide"),
    "left": ("handed|overs again|wing|the building|me alone|no doubt|behind"),
    "right": ("on time|handed|as rain|after dinner|answer|now is fine|away from me|you are"),
}
_SUCH = _parts(
    "what a nice {w}|such a pretty {w}|what an ugly {w}|i like the {w}|the {w} is empty|is that a {w}|my {w} is old|"
    "that {w} is new|this {w} is mine|the {w} costs ten dollars|one {w} is enough|no more {w} please|where is my {w}|"
    "a {w} for everybody|how big is the {w}|whose {w} is it|it is a {w}|these are not my {w}s|your {w} looks nice|"
    "that is wrong|that is it|that is all|this is right|that is left|it is left|that was close|right you are"
)
_HUES = ("red", "blue", "green", "yellow", "white", "black")
_TINTED = _parts(
    "sky|eyes|market|lies|tea|light|sea|wine|paint|house|roses|sheep|card|flag|snow|grass|dress|hair|day|whale|gold|bird"
)
_FIRST = _parts(
    "please|hey robot|okay|would you|can you|i want you to|i would like you to|just|will you|go ahead and|"
    "robot please|hello robot|now|could you|robot|then|next|so|well|hey|listen|alright|could you please|"
    "would you please|can you please|i need you to|kindly|now please|and now|okay now|so now|be so kind and|"
    "hi robot|would you kindly|i'd like you to"
)
_LAST = _parts(
    "please|for me|right away|okay|my friend|thank you|now|robot|thanks|for us|at once|will you|would you|if you can"
)


def _one(rng: np.random.Generator, options: tuple[str, ...] | list[str]) -> str:
    return options[int(rng.integers(len(options)))]


@cache
def _forms() -> re.Pattern[str]:
    """Every outer form of the tests' sentences."""
    outer = [
        *phrases.PICK.test,
        *phrases.PLACE_ON.test,
        *phrases.WRAPS.test,
        *(t for both in phrases.FIXED.values() for t in both.test),
    ]
    made = (re.escape(t).replace(r"\ \{n\}", "(?: .+)?").replace(r"\{n\}", ".*") for t in outer)
    return re.compile("|".join(re.sub(r"\\\{[tc]\\\}", ".+", form) for form in made))


def of_tests(text: str) -> bool:
    """Whether tests have sentences of this form, so that training must not."""
    return _forms().fullmatch(text) is not None


def around(rng: np.random.Generator, text: str) -> str:
    """A command with what is said before or after it, or both."""
    u = rng.random()
    first, last = _one(rng, _FIRST) if u < 0.75 else "", _one(rng, _LAST) if u > 0.55 else ""
    made = " ".join(f"{first} {text} {last}".split())
    return text if of_tests(made) else made


def wrapped(rng: np.random.Generator, command: str) -> str:
    """A sentence with a command in it that does not ask for it."""
    if rng.random() < 0.6:
        made = f"{_one(rng, _PEOPLE)} {_one(rng, _MAY)} {command} {_one(rng, _LATER)}"
    else:
        made = f"{_one(rng, _BEFORE)} {command}"
        made = f"{made} please" if rng.random() < 0.1 else made
    made = " ".join(made.split())
    return f"never {command}" if of_tests(made) else made


def no_command(rng: np.random.Generator, nouns: tuple[str, ...]) -> str:
    """Idle talk that begins as commands do, or names things."""
    u = rng.random()
    if u < 0.2:
        return f"{_one(rng, ('open', 'close', 'shut'))} {_one(rng, _WHOSE)} {_one(rng, _OPEN)}"
    if u < 0.4:
        verb = _one(rng, ("take", "pick", "grab", "get", "put", "bring", "fetch", "choose", "set"))
        return f"{verb} {_one(rng, _WHOSE)} {_one(rng, _ABSTRACT)}"
    if u < 0.7:
        verb = _one(rng, list(_REST))
        return f"{verb} {_one(rng, _REST[verb].split('|'))}"
    if u < 0.85:
        return _one(rng, _SUCH).replace("{w}", _one(rng, nouns))
    return f"{_one(rng, ('a', 'the', 'my', 'his'))} {_one(rng, _HUES)} {_one(rng, _TINTED)}"
