"""Sentences for scenes: how things, places and motions are asked for, in words for training and in others for tests.

What is common to both are the words; what is not are the sentences around them. `{k}` is a kind of thing with or without its
colour, `{r}` another thing with its article, `{t}` all that is said of the thing that is meant, `{n}` an amount.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["DEICTIC", "FIXED", "MANNERS", "PICK", "PLACE_ON", "RELATIONS", "THING", "WRAPS", "Both", "no_command"]


@dataclass(frozen=True, slots=True)
class Both:
    """Sentences to train on, and sentences that only tests have."""

    train: Sequence[str]
    test: Sequence[str]


def _both(train: str, test: str) -> Both:
    return Both(tuple(_list(train)), tuple(_list(test)))


def _list(text: str) -> list[str]:
    return [" ".join(item.split()) for item in text.split("|") if item.strip()]


THING = _both(
    "the {k} | a {k} | that {k} | the {k} | my {k} | your {k} | our {k} | one {k} | some {k} | the other {k} | "
    "this {k} here | that {k} there | any {k}",
    "this {k} | the {k}",
)
#: A relation by its name: to other things of its like (left, right, front, back), or to a thing `{r}`.
RELATIONS: Mapping[str, Both] = {
    "left": _both(
        "the {k} on the left | the left {k} | the leftmost {k} | the {k} on the left side | the {k} to the left | "
        "the {k} that is on the left | the {k} which is leftmost | the {k} to your left | the {k} on my left | "
        "the {k} furthest left",
        "the {k} on your left | the {k} over on the left | the {k} at the left side",
    ),
    "right": _both(
        "the {k} on the right | the right {k} | the rightmost {k} | the {k} on the right side | the {k} to the right | "
        "the {k} that is on the right | the {k} which is rightmost | the {k} to your right | the {k} on my right | "
        "the {k} furthest right",
        "the {k} on your right | the {k} over on the right | the {k} at the right side",
    ),
    "front": _both(
        "the nearest {k} | the closest {k} | the {k} in front | the front {k} | the {k} closest to you | "
        "the {k} which is nearest | the {k} that is the closest | the {k} close to you | the {k} that is nearest to you | "
        "the foremost {k}",
        "the {k} that is nearest | the {k} nearest to you | the {k} that is closest",
    ),
    "back": _both(
        "the farthest {k} | the {k} in the back | the {k} at the back | the back {k} | the {k} farthest from you | "
        "the {k} which is farthest | the {k} that is the farthest away | the {k} far away | the {k} at the far end | "
        "the furthest {k} | the {k} that is in the back",
        "the {k} that is farthest | the {k} farthest away | the {k} at the very back",
    ),
    "left_of": _both(
        "the {k} left of {r} | the {k} to the left of {r} | the {k} that is left of {r} | the {k} on the left of {r} | "
        "the {k} that is to the left of {r} | the {k} which is left of {r} | the {k} lying left of {r} | "
        "the {k} at the left of {r} | the {k} that stands left of {r} | the {k} placed to the left of {r}",
        "the {k} which is to the left of {r} | the {k} on the left side of {r} | the {k} standing left of {r}",
    ),
    "right_of": _both(
        "the {k} right of {r} | the {k} to the right of {r} | the {k} that is right of {r} | the {k} on the right of {r} | "
        "the {k} that is to the right of {r} | the {k} which is right of {r} | the {k} lying right of {r} | "
        "the {k} at the right of {r} | the {k} that stands right of {r} | the {k} placed to the right of {r}",
        "the {k} which is to the right of {r} | the {k} on the right side of {r} | the {k} standing right of {r}",
    ),
    "front_of": _both(
        "the {k} in front of {r} | the {k} that is in front of {r} | the {k} lying in front of {r} | "
        "the {k} that stands in front of {r} | the {k} which lies in front of {r} | the {k} right in front of {r} | "
        "the {k} sitting in front of {r}",
        "the {k} which is in front of {r} | the {k} standing in front of {r}",
    ),
    "behind": _both(
        "the {k} behind {r} | the {k} that is behind {r} | the {k} lying behind {r} | the {k} that stands behind {r} | "
        "the {k} which lies behind {r} | the {k} right behind {r} | the {k} sitting behind {r}",
        "the {k} which is behind {r} | the {k} standing behind {r} | the {k} just behind {r}",
    ),
    "next_to": _both(
        "the {k} next to {r} | the {k} beside {r} | the {k} near {r} | the {k} by {r} | the {k} close to {r} | "
        "the {k} lying near {r} | the {k} that is close to {r} | the {k} that stands near {r} | the {k} which is near {r} | "
        "the {k} right next to {r} | the {k} sitting beside {r} | the {k} which lies by {r}",
        "the {k} that is next to {r} | the {k} standing beside {r} | the {k} which is close to {r}",
    ),
}
#: What only a pointing hand makes clear.
DEICTIC = _both(
    "that | this | that one | this one | that thing | the one there | it | this one here | that one over there | "
    "this thing here | that thing there | the one here | this here",
    "the thing there | this thing | that one there",
)

PICK = _both(
    "take {t} | pick up {t} | grab {t} | get {t} | pick {t} up | please take {t} | could you pick up {t} | can you grab {t} | "
    "grasp {t} | fetch {t} | i want you to take {t} | now pick up {t} | get me {t} | bring me {t} | take hold of {t} | "
    "robot grab {t} | okay take {t} now | would you get {t} please | go and fetch {t} | fetch {t} please | "
    "you should get {t} | would you take {t} | go get {t} | go and take {t} | give me {t} | hand me {t} | i need {t} | "
    "lift {t} | lift {t} up | grab hold of {t} | i want you to get {t} | can you pick up {t} | can you pick {t} up | "
    "i want {t} | take {t} with you | take {t} now",
    "please grab {t} | would you pick {t} up | go and get {t} | can you take {t} for me | i want you to pick up {t} now | "
    "robot please fetch {t} | now grasp {t}",
)
PLACE_ON = _both(
    "put it on {t} | place it on {t} | put that on {t} | set it down on {t} | put it onto {t} | lay it on {t} | "
    "please put it on {t} | could you place it on top of {t} | set it on {t} | lay that on {t} | place that onto {t} | "
    "put this on {t} | put it on top of {t} | set that on top of {t} | lay this onto {t} | drop it on {t} | "
    "put it down on {t}",
    "please place it onto {t} | can you set it on {t} | now put it on top of {t} | lay that on {t} please",
)

#: Of commands without a thing: verb and direction. `{n}` where an amount may stand.
FIXED: Mapping[tuple[str, str], Both] = {
    ("stop", ""): _both("stop | stop now | halt | stop moving | please stop | stop right there | freeze | robot stop | "
        "stop at once | stop immediately | hold it | do not move | don't move | stop the robot | halt right there",
                        "please stop now | stop stop | halt now | okay stop"),
    ("forward", ""): _both(
        "go forward | go forward {n} | move forward {n} | drive forward {n} | go straight ahead {n} | move ahead {n} | "
        "move {n} ahead | "
        "go {n} forward | forward {n} | forward | please go forward {n} | drive ahead | can you move forward {n} | "
        "go {n} straight ahead | could you go forward {n} | please drive {n} forward | advance {n} | keep going {n} | "
        "move straight ahead {n} | move forward by {n} | go on {n}",
        "please move {n} forward | could you drive ahead {n} | now go {n} ahead | robot move forward | "
        "drive {n} forward please"),
    ("backward", ""): _both(
        "go backward | go back {n} | go backward {n} | move backward {n} | move back {n} | back up {n} | drive {n} back | "
        "back up | "
        "drive backward {n} | please move {n} backward | reverse {n} | can you back up {n} | go {n} back | "
        "go {n} backward | please reverse {n} | move {n} backwards | drive backwards | drive in reverse {n} | "
        "back off {n} | step back {n}",
        "please back up {n} | could you move {n} back | now drive backward | robot go {n} backward | can you reverse {n}"),
    ("turn", "left"): _both(
        "turn left | turn to the left | turn left {n} | turn {n} left | rotate left {n} | rotate to the left | "
        "turn {n} to the left | "
        "please turn left | go left | spin left | rotate {n} left | please turn to your left | spin to the left {n} | "
        "turn your body left | make a left turn | can you turn left {n}",
        "please rotate {n} to the left | now turn left | could you turn to your left | robot turn left {n}"),
    ("turn", "right"): _both(
        "turn right | turn to the right | turn right {n} | turn {n} right | rotate right {n} | rotate to the right | "
        "turn {n} to the right | "
        "please turn right | go right | spin right | rotate {n} right | please turn to your right | spin to the right {n} | "
        "turn your body right | make a right turn | can you turn right {n}",
        "please rotate {n} to the right | now turn right | could you turn to your right | robot turn right {n}"),
    ("turn", "around"): _both("turn around | turn back around | please turn around | turn right around | "
        "rotate all the way around | "
                              "spin around | make a full turn | rotate around | turn round", "turn around now | "
        "could you turn around | robot rotate around"),
    ("come", ""): _both("come here | come to me | please come here | come over here | come closer | come | come on over | "
        "come over | come near me | come up to me | come back to me | get over here",
                        "robot come over to me | could you come here | come here now"),
    ("follow", ""): _both("follow me | please follow me | come with me | walk behind me | follow me now | "
        "come along with me | come along | follow me there | stay behind me | walk with me",
                          "robot follow me please | could you follow me | now come with me"),
    ("describe", ""): _both("what do you see | what can you see | tell me what you see | describe the table | "
        "what is on the table | "
                            "what is there | look around and tell me what you see | tell me what is on the table | "
        "describe what is there | describe the scene | can you describe what you see | what is in front of you | "
        "tell me what you can see",
                            "please describe what you see | tell me what is there | can you tell me what you see"),
    ("place", "down"): _both("put it down | set it down | lay it down | put that down | place it down | "
        "please put it down | drop it | lay that down | set that down | put this down | place that down | "
        "put it down here | drop that | set it down now | could you put it down",
                             "could you set that down | now lay it down | put it down please"),
    ("place", "back"): _both("put it back | put that back | place it back | put it back where it was | please put it back | "
        "return it | set it back | lay it back | put it right back | put this back | place it back there | "
        "put that back there | set it back there | put it back in its place | return that | return it there",
                             "could you place that back | now put it back | put it back there"),
    ("place", "there"): _both("put it there | place it there | put it over there | set it down there | "
        "please put it there | put that there | set it there | lay it over there | put this there | place that there | "
        "put it down there | put it right there | set that over there | lay that there",
                              "could you place it over there | now set it there | lay it there please"),
    ("gripper", "open"): _both("open the gripper | open your hand | open gripper | release the gripper | "
        "please open the gripper | let go | open the hand | open your gripper | let it go | let go of it | hand open | "
        "gripper wide open | open the fingers",
                               "could you open your gripper | now open the hand | gripper open"),
    ("gripper", "closed"): _both("close the gripper | close your hand | close gripper | shut the gripper | "
        "please close the gripper | close the hand | shut your hand | shut your gripper | shut gripper | "
        "close the gripper now | hand close | hand shut | close the fingers | make a fist",
                                 "could you close your gripper | now shut the hand | gripper close"),
    ("look", "up"): _both("look up | please look up | look upward | raise your eyes | tilt up | look to the ceiling | "
        "tilt your head up | look upwards", "now look up | could you look up"),
    ("look", "down"): _both("look down | please look down | look downward | lower your eyes | tilt down | look down there | "
        "look to the floor | lower your head | tilt your head down | look downwards", "now look down | could you look down"),
    ("look", "left"): _both("look left | look to the left | please look left | tilt left | look over to the left | "
        "turn your eyes left | turn your head left | look over to your left | please look to the left | "
        "tilt your head to the left", "now look to your left | could you look left"),
    ("look", "right"): _both("look right | look to the right | please look right | tilt right | look over to the right | "
        "turn your eyes right | turn your head right | look over to your right | please look to the right | "
        "tilt your head to the right", "now look to your right | could you look right"),
    ("home", ""): _both("go home | return home | drive home | please go home | go back home | go to your base | "
        "go back to your base | return to your base | drive back to base | come back home | go to your home position | "
        "move home",
                        "now return home | could you drive back home | robot go home"),
    ("wave", ""): _both("wave your hand | wave | please wave | wave at me | say hello with your hand | wave at us | "
        "wave at him | wave at everyone | wave to her | wave to the people | give us a wave | wave hello | "
        "can you wave at me | wave at the camera", "could you wave your hand | now wave at them"),
    ("slow", ""): _both("slow down | go slower | please slow down | drive slower | not so fast | drive more slowly | "
        "slow down a little | go a bit slower | move slower | slower please | less speed please", "could you slow down | "
        "now go slower please"),
    ("wait", ""): _both("wait here | wait | please wait | stay here | wait a moment | stay where you are | wait for me | "
        "stay right here | stay there | wait there | can you wait here | stay put | wait a second | "
        "hold on a moment", "now wait here | could you stay here | robot wait"),
    ("give", ""): _both("give it to me | give me that | hand it to me | hand it over | please give it to me | "
        "give it here | hand me that | hand that to me | pass it to me | pass me that | hand that over to me | "
        "give me this | hand this over | pass it over",
                        "could you hand it to me | now give it to me | hand that over please"),
}  # fmt: skip
MANNERS: Mapping[str, Both] = {
    "slowly": _both("slowly | carefully | gently", "slowly | gently"),
    "quickly": _both("quickly | fast | in a hurry", "quickly | fast"),
}
#: Around a command, so that it is none.
WRAPS = _both(
    "don't {c} | do not {c} | never {c} | she told him to {c} | i did not say {c} | you should not {c} | "
    "why would you {c} | they {c} every day | "
    "we will {c} tomorrow | he said {c} and left | if you {c} i will be sad | yesterday we had to {c} | "
    "my brother can {c} | {c} is what she said | "
    "he used to {c} | when did you {c} | i always {c} before lunch | {c} your whole life | nobody told you to {c}",
    "please do not {c} | he never wants to {c} | she will {c} next week | i never said {c} | what if they {c} | "
    "you must not {c} | "
    "the children {c} after school | who told you to {c}",
)
_SUBJECTS = ("i", "we", "she", "he", "they", "the man", "my sister", "our neighbour", "everybody", "somebody")
_TAILS = Both(
    tuple(_list(
        "saw the {w} yesterday | turned {w} at the church | was {w} before it fell | bought a {w} in town | "
        "likes the {w} very much | "
        "left the {w} at home | is behind the {w} | went home with a {w} | could see the {w} | has a {w} and a {w} | "
        "will come with the {w} | "
        "took the {w} to school | put the {w} into the car | waits for the {w} | looks like a {w} | stopped at the {w} | "
        "gave me a {w}")),
    tuple(_list(
        "found a {w} on the road | looked {w} and then {w} | had forgotten the {w} | came home without the {w} | "
        "broke the {w} last night | "
        "wants another {w} | stood near the {w} all day | followed the {w} down the street")),
)  # fmt: skip
_OTHER = Both(
    tuple(_list("""
        stop by the store | stop the car over there | stop talking | can't stop laughing | halt the train | turn on the light | turn off the radio |
        turn up the heat | turn it down | turn the page | turn left at the next corner and go on | take a break | take it easy | take a seat |
        take the bus to work | take off your shoes | take two of these a day | pick a card | pick up the phone | pick up the kids from school |
        put your shoes on | put the kettle on | put on a coat | put up with it | open the window | open the fridge | close your eyes | close the shop |
        look after the children | look at the sky | look for my keys | look it up in the book | look out | go to sleep | go ahead and eat | go away |
        go to work | go forward in life | get up | get out | get over it | get some rest | wave goodbye to your friends | wait until morning |
        wait for your turn | wait what | slow food is good | slow and steady wins | speed up | go faster | give it to her | give up | give him a hand |
        give me a break | come on | come to the party | come in | come back next year | follow the rules | follow your heart | follow the road |
        what do you think | what do you want | what is your name | what time is it | tell me a story | tell me a joke | what did he see |
        bring me luck | grab a coffee | grab some food | fetch the doctor | freeze the meat | drop the subject | let go of the past |
        drive safely | drive to the city | move to another town | move on | back to work | reverse the charges | spin the wheel | rotate the tires |
        return the favour | return to sender | home is where the heart is | hand in your homework | the gripper is broken | the hand is open |
        the cup is red | a red ball and a blue box | the plate is next to the bowl | the bottle is on the left | is the cup on the table |
        where is the green ball | which one is the red cup | how many boxes are there | left or right | red and blue make purple | ten meters is far |
        hello there | good morning | thank you very much | yes | no | maybe later | i am hungry | it is raining | nice weather today | well done |
        that is funny | this is not what i meant | you are a good robot | the weather is fine | see you soon | happy birthday | see you tomorrow |
        play some music | call my mother | set a timer for ten minutes | read me the news | how are you | who are you | what a day | never mind |
        three two one | one and one is two | forward this letter to him | left over pizza | up and down | on the other hand | by the way |
        a cup of tea please | the box office | play ball | block the road | bottle of wine | i see | you see | do you see | they see you
    """)),
    tuple(_list("""
        stop wasting my time | turn over a new leaf | take care of yourself | pick your battles | put yourself in my place | open your mind |
        close call | look who is here | go for a walk | get well soon | wave after wave of people | wait and see | slow motion film |
        give thanks | come rain or shine | follow up on that | what on earth | the ball is round | two cups of coffee | backward country |
        it went home | my left foot | that is right | a blue moon | the black box of the plane | what a lovely plate | see what i see |
        tell him what you see | are you there | is it red | i broke the bowl | bring your own bottle | not that again | it is on top of the hill
    """)),
)  # fmt: skip
_NOUNS = ("cup", "ball", "red box", "block", "blue bottle", "plate", "green bowl", "can", "book", "left", "right", "store", "street", "friend", "door",
          "picture", "hand", "light", "dinner", "phone", "car")  # fmt: skip


def no_command(rng: np.random.Generator, *, test: bool) -> str:
    """A sentence that is no command."""

    def choose(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    if rng.random() < 0.5:
        return choose(_OTHER.test if test else _OTHER.train)
    tail = choose(_TAILS.test if test else _TAILS.train)
    while "{w}" in tail:
        tail = tail.replace("{w}", choose(_NOUNS), 1)
    return f"{choose(_SUBJECTS)} {tail}"
