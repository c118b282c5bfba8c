"""Words that sentences around commands are made of, so many that no sentence comes twice: everyday English, by part of speech.

The words by which the near misses that are kept for tests differ from commands are among no nouns, adjectives, plain verbs or
exchanges here; those that join everything ("and", "with", "tomorrow") are.
"""

from __future__ import annotations

__all__ = [
    "ADJECTIVES", "ADVERBS", "ASKED", "CONJUNCTIONS", "DETERMINERS", "EVERYDAY", "MODALS", "NOUNS", "PAST", "PEOPLE", "PLAIN",
    "PREPOSITIONS", "SWAPS", "TIMES",
]  # fmt: skip


def _list(text: str) -> list[str]:
    return [" ".join(item.split()) for item in text.split(",")]


DETERMINERS = _list("""
    the, the, the, a, my, your, our, his, her, their, this, that, every, another, some, no, any, each, both, these, two,
    three, a few, many, the other, the same, all the, one of the, enough, more, less, such a, what a
""")
ADJECTIVES = _list("""
    old, new, big, small, tall, heavy, quiet, open, empty, early, angry, useful, yellow, wooden, round, narrow, young, pretty,
    cheap, dirty, foreign, gentle, honest, icy, jolly, kind, lucky, modern, noisy, odd, plain, quick, rich, silver, thick,
    ugly, vast, warm, clever, sharp, strange, bright, broken, careful, dark, double, eastern, famous, grey, hungry
""")
NOUNS = _list("""
    river, garden, window, kitchen, bridge, street, market, doctor, teacher, captain, brother, sister, uncle, aunt, neighbour,
    child, children, friend, friends, engine, ship, plane, bicycle, airport, office, village, forest, mountain, island, ocean,
    valley, farm, field, fence, roof, ceiling, floor, wall, corner, chair, table, lamp, mirror, picture, candle, bread,
    butter, cheese, apple, orange, onion, egg, soup, sugar, coffee, water, milk, money, ticket, stamp, paper, pencil,
    newspaper, magazine, story, song, piano, violin, drum, theatre, museum, church, castle, tower, king, queen, soldier,
    farmer, nurse, lawyer, judge, thief, horse, dog, cat, bird, fish, elephant, insect, rabbit, weather, rain, snow, wind,
    storm, sunshine, winter, summer, autumn, answer, question, idea, reason, chance, dream, game, party, wedding, holiday,
    journey, accident, army, evening, hour, minute, year, age, end, edge, area, iron, oil, ice, umbrella, hat, jacket, shoe,
    shoulder, finger, knee, eye, ear, arm, voice, health, job, work, world, zoo, university, union, group, team, leader,
    lesson, library, level, root, rule, number, name, nation, pain, page
""")
PEOPLE = _list("""
    I, you, he, she, we, they, it, everybody, nobody, someone, people, who, the man, the woman, my mother, our father, Anna,
    Peter, Julia, Oscar, Mister Brown, Doctor Evans, the others, both of us, anyone, those people, the boys, the girls, this,
    that, there, which, what, the thing
""")
MODALS = _list("""
    should, could, would, will, can, must, might, may, should not, could not, would not, won't, can't, cannot, never, often,
    always, usually, sometimes, rarely, had to, have to, want to, wanted to, used to, ought to, need to, try to, tried to,
    forgot to, decided to, did not, does not, don't, might not, would rather, hope to, let us, are going to, were about to
""")
PLAIN = _list("""
    ask, answer, eat, drink, buy, sell, build, carry, catch, choose, clean, cook, count, cut, dance, draw, drive, enjoy,
    enter, explain, fall, feel, fight, fill, fly, forget, get, grow, hear, help, hide, hit, hurry, improve, invite, join,
    jump, keep, know, laugh, learn, leave, lend, listen, live, lose, love, make, meet, move, need, offer, paint, pay, play,
    pull, push, read, remember, rest, ride, ring, run, say, send, shout, show, sing, smell, smile, speak, spend, stand, start,
    stay, study, swim, teach, tell, think, throw, touch, travel, try, understand, use, visit, wash, watch, win, work, worry,
    write
""")
PAST = _list("""
    asked, answered, ate, drank, bought, sold, built, carried, caught, chose, cleaned, cooked, counted, cut, danced, drew,
    drove, enjoyed, entered, explained, fell, felt, fought, filled, flew, forgot, got, grew, heard, helped, hid, hit, hurried,
    improved, invited, joined, jumped, kept, knew, laughed, learned, left, lent, listened, lived, lost, loved, made, met,
    moved, needed, offered, painted, paid, played, pulled, pushed, ran, read, remembered, rang, rode, said, sang, sat, sent,
    shouted, showed, smelled, smiled, spoke, spent, stayed, stood, started, studied, swam, taught, told, thought, threw,
    touched, travelled, tried, understood, used, visited, was, washed, watched, were, won, worked, worried, wrote
""")
PREPOSITIONS = _list("""
    at, in, on, by, with, without, for, from, of, off, over, under, above, below, behind, before, after, until, since, during,
    between, among, about, against, across, along, around, beside, beyond, despite, except, inside, outside, into, onto, like,
    near, past, through, throughout, towards, upon, within, because of, instead of, out of, up to, next to, as, than, to
""")
ADVERBS = _list("""
    again, already, almost, alone, also, always, anyway, apart, badly, carefully, clearly, daily, early, easily, either, else,
    enough, especially, even, exactly, far, fast, finally, happily, hardly, however, immediately, indeed, instead, just,
    later, loudly, maybe, more, mostly, much, never, nearly, nicely, often, once, only, outside, perhaps, please, quickly,
    quietly, quite, rarely, really, safely, seldom, slowly, somehow, somewhere, soon, still, suddenly, together, too, twice,
    usually, very well, well, upstairs, downstairs, abroad, everywhere, in a hurry, of course, as usual, all day, a lot,
    at all, right away, at once, like that, so much, any more, by hand, in English, on purpose, or not, or else, if necessary,
    for ever
""")
TIMES = _list("""
    today, tonight, tomorrow, tomorrow evening, yesterday, next week, last year, on Sunday, on Friday night, in April,
    in October, at noon, at eight, this afternoon, every morning, every other day, for an hour, for two weeks, in a minute,
    a day later, an hour ago, until midnight, before lunch, after breakfast, since July, while it rains, once a month,
    at Easter, all summer, the day after, one day, whenever you like, when I was young, as soon as possible, until we arrive,
    by then
""")
CONJUNCTIONS = _list("""
    and, and, and, and then, and so, but, but only, or, or else, because, if, when, while, until, unless, although, as, as if,
    since, so, so that, that, than, though, whether, which, who, where, why, how, before, after, even if, yet, instead of what
""")
#: What comes before a phrase that is asked or told of, not commanded.
ASKED = _list("""
    do not, don't, never, please do not, why did you, how do I, when did they, who told you to, it is hard to, it is easy to,
    remember to, I told you to, he told me to, she asked us to, nobody wants to, is it time to, are you ready to,
    I am glad to, it was nice to, we mean to, in order to, ways to, whether to, a reason to, too tired to, said, he said,
    the word, it says, I heard, what if you, if you, as you, before you, after we, while they, the day that we,
    every time you, and, or
""")
EVERYDAY = _list("""
    good morning, thank you very much, how are you today, what time is it, see you later, I am not sure, that is fine, yes,
    no, maybe tomorrow, can you hear me, well done, excuse me, what is your name, where is the station, it is raining again,
    the coffee is cold, I think so, never mind, happy birthday, who is there, not now, ten past four, a hundred and twenty,
    turn the page, top, shop, stock, step, store, hold, half, hat, salt, drop it, spot, hop, stuff, stars, start, stay, still,
    stand up, hello, hey you, okay, all right, right, left, forward, backward, one two three, seven, eleven o'clock,
    left or right, red and blue, the green one, my red bottle, yellow, a blue ball, big boxes, the bottle is empty,
    blocks of wood, this cup of tea, meters, five meters high, two meters long, up, down, up and down, back, there, here,
    home, sweet home, home again, hand, your hand, see, do you see, what, what do you mean, what do you want, what did he do,
    waiting, wake up, walk on, water, wave, waves at sea, open, close, closed, opening hours, the gripper, grip, look,
    looks good, looking for it, book, took, cook, come, coming, some here, follow, followed, fellow, hollow me, give, given,
    live it to me, gave it to him, slow, slowly, low down, snow, go, goes, gone, goat, no forward, good night, welcome back,
    I am sorry, no problem, just a moment, of course not, that depends, it is late, I am hungry, sounds good, let me think,
    what happened, how much is it, are you serious, a cup of coffee, the ball is round, cardboard boxes, building blocks,
    bottles and cans, turning point, returned, handle, handsome, home made, upper floor, lookout, outlook, downstairs,
    backpack, backyard, therefore, hereby, we are here, over there, nowhere, stopped, stopping, nonstop, halted, waiter,
    weight, wait and see, sooner or later, slower, opener, disclose, closer, placed, pickup, pickle, picture, taken, taking,
    mistake, takeaway, turned, forwarded, afterwards, awkward, followed by, following, comeback, welcome, income, putting,
    input, output, forgive
""")
#: What stands in the place of a phrase's word; many sound like one.
SWAPS = _list("""
    orange, purple, small, hat, door, lamp, chair, over, away, under, around, forty, twenty, hundred, feet, miles, him, her,
    them, it, this, those, out, off, bring, leave, find, hear, want, walk, run, keep, every, my, their, slowly, again, window,
    pencil, fast, bed, bread, grey, pink, white, black, brown, golden, clock, lock, sock, rock, fox, books, bucks, bowl, bell,
    bull, wall, hall, fall, tall, cap, cat, cut, cub, cook, coat, bottom, battle, button, butter, bucket, basket, brush,
    plate, glass, phone, spoon, table, bag, card, coin, key, cake, egg, shoe, kettle, flower, apple, paper, stone, gun, son,
    sun, shoe, you, free, sea, floor, door, hive, dive, mix, sticks, heaven, late, wait, ten feet, pen, tent, thirteen, fifty,
    zero, right away, light, night, lift, laugh, reach, lie, hide, cleaner, gripe, trigger, zipper, slipper, drawer, garage,
    curtain, office, town, Rome, phone, foam, hole, arm, foot, head, hat, brown, town, around, noun, show, blow, grow, throw,
    weight, late, weights, here's, near, year, ear, live, leave, love, move, lend, sell, to us, for me, with me, by me, cold,
    called, killed, hollow, swallow, fellow, yellow, home, come, some, from, gum, burn, learn, earn, turning, toast, cook,
    hook, took, lock, like, leak, poke, peek, pack, peck, kick, tick, make, bake, shake, tape, stock, step, stuff, start,
    stay, stand, stub, stomp, hot, halts, salt, hold, holt, fault, above, below, inside, apart
""")
