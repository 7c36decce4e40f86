"""The words of captions: every value of every attribute, with synonyms, and what goes unsaid."""

import math
from typing import Literal

from incarnate.recipe import Shows

Attribute = Literal[
    "age", "height", "weight", "who", "cut", "shade", "hair", "hairdo", "color", "pattern", "fit",
    "garment", "action", "framing", "side", "domain",
    "background",
]  # fmt: skip

ATTITUDES = {
    "standing": "stand",
    "with raised arms": "arms-up",
    "with crossed arms": "crossed",
    "waving": "waving",
    "with hands on hips": "hands-on-hips",
    "pointing": "pointing",
    "with clenched fists": "fists",
    "sitting": "sitting",
    "in a T-pose": "t-pose",
}
"""Actions that are one pose, and the preset that has it."""
VOCABULARY: dict[Attribute, dict[str, str]] = {
    "age": {"young": "youthful | teenage, younger", "old": "elderly, aged | older, senior"},
    "height": {
        "tall": "big, towering | lanky, very tall",
        "short": "small, little | petite, tiny, very short",
    },
    "weight": {
        "heavy": "stout, overweight | fat, obese, chubby, plump, corpulent, large, stocky",
        "slim": "thin, slender | skinny, lean, narrow",
        "muscular": "athletic, strong | buff, well-built, sporty, fit, brawny",
    },
    "who": {
        "woman": "lady, girl, female, person | women, gal, mother, grandmother, actress",
        "man": "guy, male, gentleman, person | men, boy, fellow, dude, bloke, father, grandfather",
        "person": "| somebody, someone, human, figure, adult, people",
    },
    "cut": {
        "cropped": "shaved, buzz-cut | shaven, buzzed",
        "short": "close-cut |",
        "combed-back": "slicked-back | slick, sleek, swept-back, gelled",
        "short curly": "curly | curled, wavy",
        "long": "shoulder-length, flowing | straight",
    },
    "shade": {
        "dark brown": "chocolate brown | darkbrown",
        "light brown": "| lightbrown, hazel",
        "blond": "blonde, fair | golden blond, blondish, platinum",
        "brown": "chestnut | brunette",
        "red": "ginger | redhead, auburn, copper",
    },
    "hair": {"hair": "| hairs, haired, hairstyle, locks"},
    "hairdo": {
        "bald head": "shaven head, hairless head | bald, bald-headed, shaved head, without hair, "
        "no hair",
        "afro hair": "frizzy hair | afro",
        "bob": "bob cut, chin-length bob | bobbed hair, pageboy",
        "ponytail": "pony tail | pigtail, hair tied back",
        "bun": "hair bun, topknot | top knot, chignon, hair tied up",
    },
    "color": {
        "white": "snow-white, bright white |",
        "black": "jet-black | coal black, dark",
        "grey": "gray, silver | silvery",
        "dark grey": "dark gray, charcoal | anthracite, slate",
        "red": "crimson, scarlet, bright red | ruby, cherry red",
        "burgundy": "maroon, wine red, dark red | claret, bordeaux",
        "pink": "rose, salmon | magenta, fuchsia, hot pink, rosy",
        "orange": "tangerine | coral, peach, amber, rust",
        "yellow": "golden, mustard | gold, bright yellow, lemon",
        "olive": "olive green, army green | military green, moss green",
        "green": "emerald, dark green | forest green, bright green, lime",
        "mint": "mint green, light green, pale green |",
        "teal": "turquoise, petrol | cyan, aqua, blue-green",
        "light blue": "sky blue, pale blue | baby blue, bright blue",
        "blue": "royal blue, cobalt | azure, medium blue",
        "navy": "navy blue, dark blue | midnight blue, indigo",
        "purple": "violet | dark purple, plum, aubergine",
        "lilac": "lavender, mauve, light purple | pale purple",
        "brown": "chocolate, tawny | bronze",
        "beige": "tan, sand-coloured | khaki, sand, camel, light beige",
        "cream": "ivory, off-white | cream-coloured, cream-colored, eggshell",
    },
    "pattern": {
        "striped": "stripy, banded | stripes, with stripes, stripey",
        "pinstriped": "pinstripe, thinly striped | with pinstripes, pinstripes",
        "checked": "checkered, chequered | check, checks, gingham",
        "plaid": "tartan | lumberjack",
        "dotted": "polka-dot, spotted | polka dots, polka-dotted, dots, with dots",
        "flowered": "floral, flowery | flower, flowers, with flowers, flower-patterned",
        "printed": "graphic | with a print, print",
        "knitted": "knit, woollen | wool, woolen, woolly, cable-knit",
        "denim": "| jean",
    },
    "fit": {
        "wide": "| baggy, loose, loose-fitting, flared, wide-legged, wide-leg",
        "pleated": "| plisse, folded",
        "short": "| mini",
        "long": "| maxi, ankle-length",
        "long-sleeved": "| long-sleeve, with long sleeves",
    },
    "garment": {
        "t-shirt": "tee, tee shirt, tshirt | short-sleeved shirt, top, polo shirt, jersey",
        "long-sleeved shirt": "long-sleeve shirt, longsleeve | long-sleeved top, long-sleeve top, "
        "long-sleeved t-shirt, long-sleeve tee",
        "shirt": "button-up shirt, dress shirt | button-down shirt, button-up, collared shirt",
        "sweater": "pullover, jumper | sweatshirt, hoodie, hoody",
        "turtleneck": "roll-neck, polo neck | turtleneck sweater, rollneck, turtle neck",
        "tank top": "sleeveless top, singlet | vest top, sleeveless shirt, camisole, vest, "
        "undershirt, crop top",
        "blouse": "tunic | tunica",
        "trousers": "pants, slacks | chinos, cargo pants, suit trousers, breeches",
        "jeans": "denims, denim trousers | denim pants",
        "wide trousers": "baggy trousers, wide pants | baggy pants, flared trousers, "
        "bell-bottoms, palazzo pants, wide-legged trousers, wide-leg pants",
        "leggings": "tights, yoga pants | running tights, stockings",
        "sweatpants": "joggers, jogging pants | tracksuit bottoms, track pants, tracksuit",
        "shorts": "short trousers, short pants | bermudas, hot pants",
        "short skirt": "miniskirt, mini skirt |",
        "skirt": "knee-length skirt |",
        "pleated skirt": "plisse skirt | kilt",
        "long skirt": "maxi skirt, ankle-length skirt |",
        "jacket": "coat, bomber jacket | parka, anorak, overcoat, raincoat, windbreaker, "
        "trenchcoat",
        "blazer": "suit jacket, sports coat | suit, tuxedo, dinner jacket, sports jacket",
        "cardigan": "open cardigan, cardi | knit jacket, knitted jacket",
        "sneakers": "trainers, running shoes, gym shoes | tennis shoes, sports shoes, sneaker, "
        "sport shoes",
        "boots": "ankle boots, leather boots | boot, wellingtons",
        "shoes": "leather shoes, dress shoes | shoe, loafers, heels, high heels, flats, oxfords",
        "dress": "gown, frock | sundress, robe, evening dress",
        "beanie": "knit cap, woolly hat | knit hat, knitted hat, wool cap, bobble hat",
        "cap": "baseball cap, peaked cap | baseball hat, trucker cap",
        "brimmed hat": "sun hat, wide-brimmed hat | hat, fedora, straw hat, cowboy hat, panama hat",
    },
    "action": {
        "standing": "standing still, standing upright | stands, stood, stand",
        "with raised arms": "arms up, hands in the air, with arms up | raised arms, arms raised, "
        "hands up, with hands up, with arms raised, with hands in the air, raising her arms, "
        "raising his arms, raising both arms, with both arms raised, arms in the air",
        "with crossed arms": "arms crossed, with folded arms | arms folded, folded arms, "
        "crossed arms, with arms crossed, with arms folded",
        "waving": "waving hello, waving a hand | waves, wave, greeting, saying hello",
        "with hands on hips": "hands on hips, hands on the hips | with arms akimbo, arms akimbo, "
        "hands on her hips, hands on his hips, with hands on the hips",
        "pointing": "pointing forward, pointing at something | points, point, pointing ahead",
        "with clenched fists": "with balled fists, fists clenched | clenched fists, fists, "
        "with fists, fighting stance, boxing",
        "in a T-pose": "t-pose, with arms stretched out | in t-pose, arms outstretched, tpose, "
        "with arms outstretched, arms stretched out, with outstretched arms, arms out",
        "walking": "strolling, taking a step | walks, walk, running, jogging, striding, marching, "
        "stepping, hiking, runs",
        "sitting": "seated, sitting down | sits, sit, on a chair, sitting on a chair",
        "dancing": "in a dance, doing a dance | dances, dance, in a dance move",
    },
    "framing": {
        "full body": "full length, whole body | entire body, from head to toe, head to toe, "
        "full figure, full shot, full body shot",
        "upper body": "half length, from the waist up | waist up, half body, torso, bust, "
        "upper half, medium shot, upper-body shot",
        "lower body": "from the waist down, legs only | waist down, lower half, only legs",
        "only head": "head and shoulders, portrait, headshot | close-up, closeup, head shot, "
        "head only, face only, only face, only the head, of the head, of the face, head",
    },
    "side": {
        "front view": "seen from the front, frontal view | from the front, from front, "
        "facing the camera, facing forward, looking at the camera, viewed from the front, frontal",
        "back view": "rear view, from behind, seen from behind | from the back, from back, "
        "seen from the back, viewed from behind, facing away, from the rear, view from behind",
        "left side view": "seen from the left, left profile | from the left, from left, "
        "from the left side, left view, view from the left, viewed from the left, left side, "
        "from her left, from his left, side view, profile, profile view, in profile, "
        "from the side, seen from the side, seen from the left side",
        "right side view": "seen from the right, right profile | from the right, from right, "
        "from the right side, right view, view from the right, viewed from the right, "
        "right side, from her right, from his right, seen from the right side",
        "three-quarter view": "| three-quarters view, three-quarter, three quarters, semi-profile",
    },
    "domain": {
        "normal map": "| normals, surface normals, normal maps",
        "depth map": "| depth, depth image, depth maps",
        "photo": "| photograph, rgb, colour picture, color picture, photo of, rgb picture",
    },
    "background": {"background": "| black background, grey background, gray background"},
}  # fmt: skip
"""Canonical words, synonyms that training puts in their place, and after | others understood."""

DOMAINS: dict[str, Shows] = {"normal map": "normal", "depth map": "depth", "photo": "rgb"}
AZIMUTHS = {
    "front view": 0.0,
    "three-quarter view": 0.7,
    "left side view": math.pi / 2,
    "back view": math.pi,
    "right side view": -math.pi / 2,
}
PLURAL = ("trousers", "jeans", "leggings", "sweatpants", "shorts", "sneakers", "boots", "shoes")
"""Garments that take no article."""
PLACES: dict[str, float] = {
    "dress": 0, "trousers": 2, "jeans": 2, "wide trousers": 2, "leggings": 2, "sweatpants": 2,
    "shorts": 2, "short skirt": 2, "skirt": 2, "pleated skirt": 2, "long skirt": 2, "jacket": 2.5,
    "blazer": 2.5, "cardigan": 2.5, "sneakers": 3, "boots": 3, "shoes": 3, "beanie": 4, "cap": 4,
    "brimmed hat": 4,
}  # fmt: skip
"""In which order captions name garments; tops, which are not named here, are 1."""
TINTS = {
    "dark grey": "grey", "burgundy": "red", "orange": "red", "yellow": "blond", "beige": "blond",
    "cream": "blond", "light blue": "blue", "navy": "blue", "teal": "blue", "purple": "pink",
    "lilac": "pink", "black": "black", "grey": "grey", "white": "white", "red": "red",
    "pink": "pink", "blue": "blue", "brown": "brown", "dark brown": "dark brown",
    "light brown": "light brown", "blond": "blond",
}  # fmt: skip
"""The shade of hair nearest to a colour; there is none for the greens."""
DYES = {"dark brown": "brown", "light brown": "brown", "blond": "yellow"}
"""The colour of cloth nearest to a shade of hair."""
BREAKS = frozenset(", in with wearing wears wear dressed who has having is are".split())
COPULAS = frozenset(("is", "are"))
NEGATIONS = frozenset(("without", "no"))
STOP = frozenset(
    "a an the s of on at to by for and or it its her his their she he they this that these those "
    "picture image render rendering showing shows show seen view viewed from looking while very "
    "one some as clothes clothing outfit colored coloured body both all wide-angle".split()
)
OTHERS = frozenset(
    "sport sports while write where shore shops share shirk paint plant plants print blank bleak "
    "block brand bread beard brace grass greek crowd shout shorter tallest bones boats roots "
    "caps cups warm wings wing walls dream dress-up stranger string strings hairy heavens "
    "bright blind bloom glass glasses gloves scarf skull skill stars shield sword shot".split()
)
"""Words of their own, which are not taken for misspelt ones of the vocabulary."""
