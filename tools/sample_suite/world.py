"""The small world of the suite: which concepts there are and what goes together. Torch-free.

Held-out concepts never occur in the English training and development data.
"""

from __future__ import annotations

PLACES = (
    "kitchen", "market", "park", "school", "hospital", "library", "garden", "station",
    "restaurant", "office", "village", "museum", "hotel",
)  # fmt: skip
CITIES = (
    "berlin", "paris", "madrid", "london", "moscow", "istanbul", "ankara", "jakarta", "nairobi",
    "tokyo", "rome", "lisbon", "vienna", "lima", "toronto", "beijing", "mumbai",
)  # fmt: skip
WOMEN = (
    "anna", "maria", "sofia", "laura", "elena", "fatima", "julia", "sara", "amina", "nina", "clara", "irina",
)  # fmt: skip
MEN = (
    "peter", "ahmed", "david", "daniel", "omar", "ivan", "carlos", "martin", "thomas", "ali", "viktor",
    "robert",
)  # fmt: skip
NAMES = tuple(name for pair in zip(WOMEN, MEN, strict=True) for name in pair)
SURNAMES = (
    "smith", "garcia", "silva", "rossi", "novak", "khan", "kim", "lopez", "weber", "costa", "diallo",
    "tanaka", "moreau", "berg",
)  # fmt: skip
ORGANISATIONS = (
    "unicef", "unesco", "greenpeace", "interpol", "red_cross", "world_bank", "european_union",
    "african_union", "orvanta", "nordtek", "solvira", "kamaro",
)  # fmt: skip

ROLES = (
    "man", "woman", "boy", "girl", "doctor", "teacher", "nurse", "student", "farmer", "driver", "cook",
    "neighbour", "tourist", "engineer", "lawyer", "journalist",
)  # fmt: skip
ANIMALS = ("dog", "cat", "horse", "cow", "goat")
FRUITS = ("apple", "banana", "orange", "mango")
FLOWERS = ("rose", "tulip")
DRINKS = ("water", "milk", "tea", "coffee")
MASS = frozenset({"bread", "rice", "soup", "fruit", *DRINKS})
READING = ("book", "newspaper", "letter", "magazine")
SMALL = ("key", "bag", "hat", "phone", "umbrella", "camera")
LARGE = ("chair", "table", "bicycle", "car", "lamp", "shirt")

_FEMININE = {*WOMEN, "woman", "girl", "teacher", "nurse", "neighbour", "journalist"}
GENDERS = {concept: "f" if concept in _FEMININE else "m" for concept in (*NAMES, *ROLES)}

HYPERNYMS = {
    **dict.fromkeys(ANIMALS, "animal"),
    **dict.fromkeys(FRUITS, "fruit"),
    **dict.fromkeys(FLOWERS, "flower"),
}  # fmt: skip
#: General nouns, which negation turns into "any".
GENERAL = frozenset({"animal", "fruit", "flower"})
ANIMATE = frozenset({*NAMES, *ROLES, *ANIMALS, "animal"})

COLOURS = ("red", "blue", "green", "white", "black", "yellow")
SIZES = ("big", "small")
AGES = ("new", "old")
ADJECTIVES = (*COLOURS, *SIZES, *AGES)
#: What an adjective may be swapped for so that the two exclude each other.
OPPOSITES = {
    **{colour: tuple(other for other in COLOURS if other != colour) for colour in COLOURS},
    "big": ("small",), "small": ("big",), "new": ("old",), "old": ("new",),
}  # fmt: skip

_WARES = ("bag", "hat", "umbrella", "chair", "table", "bicycle", "car", "lamp", "shirt")
DESCRIBED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_WARES, (*COLOURS, *SIZES, *AGES)),
    "phone": ("white", "black", "new", "old"),
    "camera": ("black", "small", "new", "old"),
    "key": (*SIZES, "old"), "book": (*COLOURS, *SIZES, *AGES), "door": COLOURS, "house": (*COLOURS, *SIZES),
    "cake": SIZES, "fish": SIZES, "rose": ("red", "white", "yellow"), "tulip": ("red", "white", "yellow"),
    "flower": ("red", "white", "yellow"),
    **dict.fromkeys(ANIMALS, ("white", "black", *SIZES)),
}  # fmt: skip

_GOODS = (*FRUITS, *FLOWERS, *READING[:2], *SMALL, *LARGE, "cake", "fish", "bread", "milk", "coffee")
#: Verbs with a thing as object, and the things that fit.
OBJECTS: dict[str, tuple[str, ...]] = {
    "buy": (*_GOODS, *ANIMALS),
    "sell": (*_GOODS, *ANIMALS),
    "read": READING,
    "write": ("letter",),
    "eat": (*FRUITS, "cake", "fish", "egg", "bread", "rice"),
    "drink": DRINKS,
    "cook": ("rice", "soup", "fish", "egg"),
    "wash": ("car", "bicycle", "window", "table"),
    "repair": ("bicycle", "car", "chair", "table", "phone", "lamp", "umbrella", "door", "window", "camera"),
    "paint": ("door", "chair", "table", "bicycle"),
    "open": ("door", "window"),
    "close": ("door", "window"),
    "find": (*SMALL, "book", "letter"),
    "lose": (*SMALL, "book"),
    "hide": ("key", "bag", "letter", "phone", "book"),
    "draw": ("house", *FLOWERS, *ANIMALS),
}
#: Things that are known to both speakers when these verbs speak of them.
DEFINITE_VERBS = frozenset({"open", "close", "wash", "repair", "paint", "hide"})
INDEFINITE_VERBS = frozenset({"eat", "drink", "cook", "write", "draw", "buy", "sell"})
#: Verbs that are true of both sides as soon as of one.
MUTUAL_VERBS = frozenset({"meet"})
PERSON_VERBS = ("see", "meet", "help", "visit", "thank", "call", "invite")
ANIMAL_VERBS = ("see", "feed")
GIVING_VERBS = ("give", "show", "send")
GIFTS = {
    "give": (*READING, *SMALL, *FLOWERS), "show": (*READING, *SMALL), "send": ("book", "letter", "magazine"),
}  # fmt: skip
PLAIN_VERBS = ("sleep", "work", "dance", "sing", "rest")

#: Where a verb is at home; verbs not named here happen at any place.
USUAL_PLACES: dict[str, tuple[str, ...]] = {
    "buy": ("market", "village"),
    "sell": ("market", "village"),
    "cook": ("kitchen", "restaurant", "school", "hotel"),
    "wash": ("village", "school", "hotel", "station"),
    "repair": ("village", "school", "hotel", "station"),
    "paint": ("village", "school", "hotel", "hospital"),
    "open": ("kitchen", "school", "office", "library", "hospital", "hotel", "museum"),
    "close": ("kitchen", "school", "office", "library", "hospital", "hotel", "museum"),
    "feed": ("garden", "village", "park"),
    "animal": ("garden", "village", "park", "kitchen"),
    "call": ("office", "station", "hotel", "hospital", "park"),
    "write": ("library", "office", "garden", "school", "hotel"),
    "eat": ("kitchen", "park", "school", "garden", "station", "restaurant", "office", "hotel"),
    "drink": ("kitchen", "park", "garden", "station", "restaurant", "office", "hotel"),
    "dance": ("park", "garden", "restaurant", "village", "hotel", "school"),
    "sing": ("park", "garden", "restaurant", "village", "hotel", "school", "kitchen"),
    "sleep": ("garden", "park", "village", "hotel", "hospital"),
    "read": ("park", "garden", "library", "office", "station", "kitchen"),
    "rest": ("garden", "park", "village", "hotel", "office"),
}

PAST_TIMES = (
    "yesterday", "last_night", "this_morning", "monday", "wednesday", "friday", "last_week", "sunday",
    "last_month",
)  # fmt: skip
PRESENT_TIMES = ("every_day", "every_morning", "every_week")

HELD_OUT = frozenset(
    {
        "lawyer", "journalist", "goat", "mango", "magazine", "camera", "lamp", "museum", "hotel", "yellow",
        "hide", "draw", "invite", "rest", "sunday", "last_month", "vienna", "lima", "toronto", "beijing",
        "mumbai", "amina", "nina", "clara", "irina", "thomas", "ali", "viktor", "robert", "diallo", "tanaka",
        "moreau", "berg", "solvira", "kamaro",
    }
)  # fmt: skip
