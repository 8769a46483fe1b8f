"""Draws the default avatars: one mango, eighteen moods.

Run it from anywhere; it writes next to itself, the same bytes every time for the same Pillow:

    python3 -m venv venv && venv/bin/pip install "pillow>=11,<14"
    venv/bin/python assets/avatars/make.py

Every avatar becomes a folder `mango-NN` with the four files a photo of a user has: `original.jpeg` (512x512),
`400x400.webp`, `100x100.webp` and `50x50.webp`. The drawings are made of plain shapes, four times too large and
scaled down afterwards, because Pillow's own edges are not smooth. To add one, add a line to `AVATARS`.
The script needs no network and reads no file.
"""

import math
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIDE = 512
SCALE = 4
FULL = SIDE * SCALE
INK = (74, 38, 28)
WHITE = (255, 255, 255)

# The outline of the fruit around (0, 0), in units of about half its height: full shoulders, and the small beak
# at the lower left that makes it a mango and not an egg.
OUTLINE = [
    (-0.04, -0.94), (0.36, -0.96), (0.74, -0.72), (0.95, -0.26), (0.93, 0.22), (0.70, 0.66), (0.30, 0.92),
    (-0.12, 1.04), (-0.46, 1.09), (-0.70, 0.92), (-0.83, 0.54), (-0.93, 0.06), (-0.87, -0.40), (-0.57, -0.77),
]
CENTRE = (256, 290)
RADIUS = 158

# Skins: top, bottom, blush on the shoulder, edge.
SKINS = {
    "golden": ((255, 214, 76), (255, 150, 38), (255, 98, 60), (196, 92, 16)),
    "sunset": ((255, 178, 60), (246, 92, 52), (224, 40, 70), (168, 40, 30)),
    "green": ((196, 222, 84), (255, 200, 64), (120, 190, 72), (112, 140, 26)),
    "rosy": ((255, 196, 110), (255, 128, 112), (236, 62, 110), (184, 58, 76)),
    "honey": ((255, 232, 130), (255, 184, 60), (255, 140, 70), (200, 120, 20)),
}
LEAF = ((124, 200, 86), (46, 140, 76))
MINT_LEAF = ((150, 220, 120), (40, 150, 100))


# --- shapes ---------------------------------------------------------------------------------------------------

def spline(points, closed=True, steps=24):
    """A Catmull-Rom curve through the points."""
    count = len(points)
    curve = []
    for index in range(count if closed else count - 1):
        if closed:
            p = [points[(index + offset) % count] for offset in (-1, 0, 1, 2)]
        else:
            p = [points[min(max(index + offset, 0), count - 1)] for offset in (-1, 0, 1, 2)]
        for step in range(steps):
            t = step / steps
            curve.append(tuple(
                0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t ** 3)
                for a, b, c, d in zip(*p)))
    if not closed:
        curve.append(points[-1])
    return curve


def turned(points, angle, around=(0, 0)):
    """The points turned clockwise by degrees."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return [(around[0] + (x - around[0]) * cosine - (y - around[1]) * sine,
             around[1] + (x - around[0]) * sine + (y - around[1]) * cosine) for x, y in points]


def star(x, y, outer, inner, tips=5, turn=-90):
    """The corners of a star."""
    return [(x + (outer if i % 2 == 0 else inner) * math.cos(math.radians(turn + i * 180 / tips)),
             y + (outer if i % 2 == 0 else inner) * math.sin(math.radians(turn + i * 180 / tips)))
            for i in range(tips * 2)]


def heart(x, y, size):
    """The outline of a heart, `size` wide."""
    return [(x + size / 34 * 16 * math.sin(t) ** 3,
             y - size / 34 * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)))
            for t in (i * math.tau / 72 for i in range(72))]


def mix(one, other, share):
    """A colour between two."""
    return tuple(round(a + (b - a) * share) for a, b in zip(one, other))


class Canvas:
    """A large drawing addressed in the small one's pixels."""

    def __init__(self, colour):
        self.image = Image.new("RGB", (FULL, FULL), colour)

    @staticmethod
    def _scaled(points):
        return [(x * SCALE, y * SCALE) for x, y in points]

    def mask(self, points=None, ellipse=None, box=None, radius=0, blur=0):
        """A mask of one polygon, ellipse (x, y, rx, ry) or rounded box (x0, y0, x1, y1)."""
        mask = Image.new("L", (FULL, FULL), 0)
        draw = ImageDraw.Draw(mask)
        if points:
            draw.polygon(self._scaled(points), fill=255)
        if ellipse:
            x, y, rx, ry = ellipse
            draw.ellipse([(x - rx) * SCALE, (y - ry) * SCALE, (x + rx) * SCALE, (y + ry) * SCALE], fill=255)
        if box:
            draw.rounded_rectangle([side * SCALE for side in box], radius=radius * SCALE, fill=255)
        return self.soft(mask, blur)

    @staticmethod
    def soft(mask, blur):
        """Blurs a mask. It is done on a small copy: nobody sees the difference, and it is much quicker."""
        if not blur:
            return mask
        small = mask.resize((SIDE, SIDE), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(blur))
        return small.resize((FULL, FULL), Image.Resampling.BICUBIC)

    def paint(self, mask, colour, opacity=1.0, within=None):
        """Lays a colour, or a picture, through a mask."""
        if within is not None:
            mask = ImageChops.multiply(mask, within)
        if opacity < 1:
            mask = mask.point(lambda value: round(value * opacity))
        self.image.paste(colour, (0, 0), mask)

    def polygon(self, points, colour, opacity=1.0, within=None):
        if opacity == 1 and within is None:
            ImageDraw.Draw(self.image).polygon(self._scaled(points), fill=colour)
        else:
            self.paint(self.mask(points=points), colour, opacity, within)

    def ellipse(self, x, y, rx, ry, colour, opacity=1.0, within=None, turn=0):
        points = [(x + rx * math.cos(t), y + ry * math.sin(t)) for t in (i * math.tau / 120 for i in range(120))]
        self.polygon(turned(points, turn, (x, y)), colour, opacity, within)

    def box(self, x0, y0, x1, y1, radius, colour):
        ImageDraw.Draw(self.image).rounded_rectangle(
            [side * SCALE for side in (x0, y0, x1, y1)], radius=radius * SCALE, fill=colour)

    def line(self, points, colour, width, opacity=1.0, within=None):
        """A line with round ends and joints."""
        mask = None
        if opacity < 1 or within is not None:
            mask = Image.new("L", (FULL, FULL), 0)
        draw = ImageDraw.Draw(mask or self.image)
        fill = 255 if mask else colour
        scaled = self._scaled(points)
        draw.line(scaled, fill=fill, width=round(width * SCALE), joint="curve")
        half = width * SCALE / 2
        for x, y in (scaled[0], scaled[-1]):
            draw.ellipse([x - half, y - half, x + half, y + half], fill=fill)
        if mask:
            self.paint(mask, colour, opacity, within)

    def arc(self, x, y, rx, ry, start, end, colour, width):
        steps = 40
        angles = (math.radians(start + (end - start) * i / steps) for i in range(steps + 1))
        self.line([(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles], colour, width)


def gradient(top, bottom, start, end):
    """A picture running from one colour to the other between two heights."""
    strip = Image.new("RGB", (1, SIDE))
    for y in range(SIDE):
        strip.putpixel((0, y), mix(top, bottom, min(max((y - start) / (end - start), 0), 1)))
    return strip.resize((FULL, FULL), Image.Resampling.BICUBIC)


# --- background -----------------------------------------------------------------------------------------------

def background(canvas, colour, pattern):
    """A glow behind the fruit and a quiet pattern; both stay calm enough for 50 pixels."""
    light, dark = mix(colour, WHITE, 0.34), mix(colour, (30, 20, 60), 0.10)
    canvas.image.paste(dark, (0, 0, FULL, FULL))
    canvas.paint(canvas.mask(ellipse=(256, 262, 190, 190), blur=62), light)
    tone, strength = mix(colour, WHITE, 0.6), 0.34
    if pattern == "dots":
        for row in range(-1, 10):
            for column in range(-1, 10):
                canvas.ellipse(column * 60 + (row % 2) * 30 + 10, row * 56 + 6, 7, 7, tone, strength)
    elif pattern == "rays":
        for index in range(12):
            points = [(256 + 460 * math.cos(math.radians(index * 30 + side)),
                       290 + 460 * math.sin(math.radians(index * 30 + side))) for side in (-7.5, 7.5)]
            canvas.polygon([(256, 290), *points], tone, strength * 0.62)
    elif pattern == "rings":
        for radius in (206, 258, 312):
            ring = ImageChops.subtract(canvas.mask(ellipse=(256, 280, radius, radius)),
                                       canvas.mask(ellipse=(256, 280, radius - 13, radius - 13)))
            canvas.paint(ring, tone, strength * 0.8)
    elif pattern == "waves":
        for row in range(8):
            wave = [(x, row * 70 + 22 + 10 * math.sin(x / 29 + row * 1.6)) for x in range(-10, 523, 6)]
            canvas.line(wave, tone, 8, strength * 0.9)
    elif pattern == "stars":
        for x, y, size in ((60, 70, 20), (452, 92, 24), (36, 232, 13), (478, 250, 15), (130, 30, 11), (372, 36, 13),
                           (54, 404, 20), (464, 420, 18), (112, 478, 11), (404, 484, 12)):
            canvas.polygon(star(x, y, size, size * 0.46), tone, strength * 1.7)
    elif pattern == "hearts":
        for x, y, size in ((64, 84, 40), (448, 76, 46), (34, 226, 26), (482, 236, 30), (146, 34, 22), (366, 30, 24),
                           (54, 400, 40), (462, 408, 36), (118, 480, 22), (400, 484, 24)):
            canvas.polygon(heart(x, y, size), tone, strength * 1.6)
    elif pattern == "confetti":
        for index in range(46):
            x, y = (index * 197 + 31) % 512, (index * 131 + 17 + index * index * 7) % 512
            piece = turned([(x - 9, y - 4), (x + 9, y - 4), (x + 9, y + 4), (x - 9, y + 4)], index * 47, (x, y))
            canvas.polygon(piece, (tone, (255, 226, 130), (255, 170, 180))[index % 3], 0.62)
    elif pattern == "bubbles":
        for x, y, size in ((60, 90, 30), (110, 40, 13), (456, 70, 22), (420, 130, 10), (482, 190, 28), (28, 200, 12),
                           (40, 330, 18), (70, 440, 34), (470, 380, 16), (450, 462, 30), (130, 494, 12), (382, 30, 12)):
            canvas.ellipse(x, y, size, size, tone, strength * 1.1)
            canvas.ellipse(x - size * 0.3, y - size * 0.35, size * 0.24, size * 0.24, WHITE, 0.6)
    elif pattern == "hills":
        canvas.ellipse(432, 74, 40, 40, (255, 244, 190), 0.85)
        canvas.ellipse(90, 560, 300, 200, mix(colour, (70, 150, 90), 0.55))
        canvas.ellipse(430, 580, 300, 190, mix(colour, (50, 130, 90), 0.62))
        for x, y in ((86, 84), (452, 226), (58, 300)):
            cloud = canvas.mask(box=(x - 42, y + 2, x + 44, y + 24), radius=11)
            for dx, dy, r in ((-22, 4, 17), (2, -6, 24), (26, 6, 16)):
                cloud = ImageChops.lighter(cloud, canvas.mask(ellipse=(x + dx, y + dy, r, r)))
            canvas.paint(cloud, WHITE, 0.8)
    elif pattern == "leaves":
        for x, y, turn in ((58, 70, 30), (452, 70, 120), (34, 250, 80), (480, 260, 20), (60, 440, 140), (456, 440, 60),
                           (160, 26, 70), (356, 24, 10)):
            canvas.polygon(leaf_outline(x, y, 54, turn), tone, strength * 1.2)
    elif pattern == "snow":
        for index in range(34):
            x, y, size = (index * 173 + 20) % 512, (index * 97 + index * index * 5) % 512, 4 + index % 4 * 2
            canvas.ellipse(x, y, size, size, WHITE, 0.7)


# --- the fruit ------------------------------------------------------------------------------------------------

def body_outline():
    return [(CENTRE[0] + x * RADIUS, CENTRE[1] + y * RADIUS) for x, y in spline(OUTLINE)]


def body(canvas, skin):
    """The fruit with its light; returns its mask, for what is painted on it."""
    top, bottom, blush, edge = SKINS[skin]
    outline = body_outline()
    canvas.paint(canvas.mask(ellipse=(244, 456, 116, 16), blur=9), (60, 24, 50), 0.34)
    shape = canvas.mask(points=outline)
    canvas.paint(shape, gradient(top, bottom, 150, 440))
    canvas.paint(canvas.mask(ellipse=(372, 200, 92, 104), blur=40), blush, 0.72, shape)
    canvas.paint(canvas.mask(ellipse=(184, 244, 84, 100), blur=44), mix(top, WHITE, 0.5), 0.55, shape)
    # Shade along the lower right edge, a line of light along the left one.
    inner = canvas.soft(canvas.mask(points=[(x - 20, y - 22) for x, y in outline]), 15)
    canvas.paint(ImageChops.subtract(shape, inner), edge, 0.46)
    lit = canvas.soft(canvas.mask(points=[(x + 9, y + 8) for x, y in outline]), 5)
    canvas.paint(ImageChops.subtract(shape, lit), mix(top, WHITE, 0.62), 0.62)
    canvas.paint(canvas.mask(points=turned(ellipse_points(176, 196, 19, 34), 34, (176, 196)), blur=2), WHITE, 0.74)
    canvas.paint(canvas.mask(ellipse=(146, 244, 8, 11), blur=1), WHITE, 0.66)
    for x, y in ((356, 196), (382, 226), (336, 172), (392, 262), (368, 252)):
        canvas.ellipse(x, y, 3, 3, mix(top, WHITE, 0.4), 0.75)
    return shape


def ellipse_points(x, y, rx, ry):
    return [(x + rx * math.cos(t), y + ry * math.sin(t)) for t in (i * math.tau / 90 for i in range(90))]


def leaf_outline(x, y, length, turn):
    """A leaf beginning at (x, y), pointing right before it is turned."""
    half = length * 0.23
    upper = [(0, 0), (length * 0.22, -half * 0.9), (length * 0.55, -half), (length * 0.85, -half * 0.42), (length, 0)]
    lower = [(length * 0.8, half * 0.62), (length * 0.5, half), (length * 0.2, half * 0.72)]
    return turned([(x + px, y + py) for px, py in spline(upper + lower)], turn, (x, y))


def leaf(canvas, x, y, length, turn, colours=LEAF):
    light, dark = colours
    outline = leaf_outline(x, y, length, turn)
    canvas.polygon(outline, dark)
    tip = turned([(x + length * 0.88, y)], turn, (x, y))[0]
    half = leaf_outline(x, y, length, turn)
    upper = [point for point, flat in zip(half, turned(half, -turn, (x, y))) if flat[1] <= y + 0.4]
    canvas.polygon(upper, light)
    canvas.line([(x, y), tip], mix(light, WHITE, 0.45), max(length / 34, 2))
    for share, reach in ((0.3, 0.15), (0.52, 0.16), (0.72, 0.11)):
        root = (x + length * share, y)
        for side in (-1, 1):
            end = (x + length * (share + 0.12), y + side * length * reach)
            canvas.line(turned([root, end], turn, (x, y)), mix(light, WHITE, 0.3), max(length / 70, 1.2))


def stem(canvas):
    canvas.line([(271, 152), (268, 136), (274, 118)], (104, 66, 38), 13)
    canvas.line([(268, 148), (265, 136), (270, 121)], (150, 104, 62), 4)


def top(canvas, kind):
    """What grows out of the fruit."""
    if kind == "none":
        return
    if kind == "one":
        leaf(canvas, 272, 126, 124, -24)
    elif kind == "two":
        leaf(canvas, 270, 128, 96, 205)
        leaf(canvas, 273, 126, 116, -26)
    elif kind == "three":
        leaf(canvas, 270, 128, 92, 194)
        leaf(canvas, 273, 126, 104, -14)
        leaf(canvas, 272, 122, 92, -74)
    elif kind == "drop":
        leaf(canvas, 270, 128, 122, 168, MINT_LEAF)
    elif kind == "sprout":
        leaf(canvas, 272, 116, 82, -140, MINT_LEAF)
        leaf(canvas, 274, 116, 82, -40, MINT_LEAF)
    elif kind == "flower":
        leaf(canvas, 270, 130, 96, 198)
    stem(canvas)
    if kind == "flower":
        flower(canvas, 284, 118, 27, (255, 255, 255), (255, 196, 60))


def flower(canvas, x, y, size, petals, middle, count=5):
    for index in range(count):
        angle = math.radians(index * 360 / count - 90)
        px, py = x + size * 0.72 * math.cos(angle), y + size * 0.72 * math.sin(angle)
        canvas.ellipse(px, py, size * 0.58, size * 0.58, mix(petals, (120, 60, 90), 0.16))
        canvas.ellipse(px, py - size * 0.04, size * 0.52, size * 0.52, petals)
    canvas.ellipse(x, y, size * 0.42, size * 0.42, middle)
    canvas.ellipse(x - size * 0.1, y - size * 0.12, size * 0.15, size * 0.15, mix(middle, WHITE, 0.6))


# --- the face -------------------------------------------------------------------------------------------------

EYES = ((200, 286), (312, 286))


def round_eye(canvas, x, y, look=(0, 0), size=1.0):
    canvas.ellipse(x, y, 22 * size, 27 * size, INK)
    canvas.ellipse(x + look[0] - 6 * size, y + look[1] - 10 * size, 8.5 * size, 9.5 * size, WHITE)
    canvas.ellipse(x + look[0] + 8 * size, y + look[1] + 10 * size, 4.2 * size, 4.6 * size, WHITE)


def eyes(canvas, kind):
    for index, (x, y) in enumerate(EYES):
        if kind == "round":
            round_eye(canvas, x, y)
        elif kind == "aside":
            canvas.ellipse(x, y, 27, 31, WHITE)
            canvas.ellipse(x + 9, y - 2, 17, 21, INK)
            canvas.ellipse(x + 13, y - 10, 6, 7, WHITE)
        elif kind == "happy" or (kind == "wink" and index == 1):
            canvas.arc(x, y + 10, 25, 25, 200, 340, INK, 11)
        elif kind == "wink":
            round_eye(canvas, x, y)
        elif kind == "sleepy":
            canvas.arc(x, y - 4, 25, 20, 20, 160, INK, 10)
        elif kind == "star":
            canvas.polygon(star(x, y, 36, 18), mix(INK, (120, 40, 20), 0.3))
            canvas.polygon(star(x, y, 28, 14), (255, 240, 150))
        elif kind == "heart":
            canvas.polygon(heart(x, y + 2, 66), (170, 20, 60))
            canvas.polygon(heart(x, y + 1, 54), (255, 64, 104))
            canvas.ellipse(x - 11, y - 9, 6, 5, WHITE, 0.85)
        elif kind == "lashes":
            round_eye(canvas, x, y)
            side = -1 if index == 0 else 1
            for angle in (20, 44, 68):
                reach = [(x + side * r * math.cos(math.radians(angle)), y - r * 1.2 * math.sin(math.radians(angle)))
                         for r in (20, 34)]
                canvas.line(reach, INK, 6)


def brows(canvas, kind):
    if kind == "up":
        canvas.arc(200, 252, 26, 20, 215, 315, INK, 7)
        canvas.arc(312, 252, 26, 20, 215, 315, INK, 7)
    elif kind == "cheeky":
        canvas.line([(178, 246), (220, 250)], INK, 8)
        canvas.arc(312, 246, 26, 20, 215, 320, INK, 8)


def cheeks(canvas, shape):
    for x in (162, 350):
        canvas.paint(canvas.mask(ellipse=(x, 330, 25, 16), blur=5), (255, 84, 92), 0.55, shape)


def mouth(canvas, kind, shape):
    x, y = 256, 334
    if kind == "smile":
        canvas.arc(x, y - 14, 40, 38, 25, 155, INK, 10)
    elif kind in ("open", "laugh"):
        wide, deep = (46, 50) if kind == "laugh" else (36, 40)
        points = [(x + wide * math.cos(t), y - 8 + deep * math.sin(t)) for t in (i * math.pi / 60 for i in range(61))]
        canvas.polygon(points, (120, 28, 36))
        within = canvas.mask(points=points)
        canvas.ellipse(x, y - 8 + deep, wide * 0.66, deep * 0.48, (255, 112, 120), within=within)
        if kind == "laugh":
            canvas.paint(canvas.mask(box=(x - 34, y - 20, x + 34, y + 4), radius=6), WHITE, within=within)
        canvas.line([points[0], *points, points[0]], INK, 7)
    elif kind == "grin":
        points = spline([(x - 44, y - 10), (x, y - 3), (x + 44, y - 10), (x + 30, y + 20), (x, y + 29), (x - 30, y + 20)])
        canvas.polygon(points, WHITE)
        canvas.line(spline([(x - 40, y + 6), (x, y + 12), (x + 40, y + 6)], closed=False), (214, 196, 196), 3)
        canvas.line([*points, points[0]], INK, 7)
    elif kind == "oh":
        canvas.ellipse(x, y + 10, 18, 22, INK)
        canvas.ellipse(x, y + 18, 11, 10, (255, 112, 120))
    elif kind == "cat":
        canvas.arc(x - 20, y - 4, 20, 18, 8, 172, INK, 9)
        canvas.arc(x + 20, y - 4, 20, 18, 8, 172, INK, 9)
    elif kind == "tongue":
        tongue = [(x + 2, y + 14), (x + 2, y + 34), (x + 17, y + 48), (x + 32, y + 34), (x + 30, y + 8)]
        canvas.polygon(spline(tongue), (255, 104, 118))
        canvas.line([(x + 17, y + 20), (x + 17, y + 34)], (214, 60, 84), 4)
        canvas.arc(x, y - 14, 42, 36, 22, 158, INK, 10)
    elif kind == "smirk":
        canvas.line(spline([(x - 30, y + 10), (x, y + 17), (x + 26, y + 8), (x + 40, y - 8)], closed=False), INK, 10)


# --- what it wears --------------------------------------------------------------------------------------------

def glasses(canvas, shape):
    frame = (58, 52, 92)
    for x, y in EYES:
        canvas.ellipse(x, y, 47, 47, WHITE, 0.26)
    for x, y in EYES:
        ring = ImageChops.subtract(canvas.mask(ellipse=(x, y, 51, 51)), canvas.mask(ellipse=(x, y, 42, 42)))
        canvas.paint(ring, frame)
        canvas.line([(x - 26, y - 14), (x - 12, y - 29)], WHITE, 6, 0.8)
    canvas.arc(256, 284, 9, 9, 200, 340, frame, 9)
    canvas.line([(149, 280), (112, 268)], frame, 9, within=shape)
    canvas.line([(363, 280), (400, 268)], frame, 9, within=shape)


def sunglasses(canvas, shape):
    frame = (34, 30, 48)
    canvas.line([(150, 268), (104, 256)], frame, 11, within=shape)
    canvas.line([(362, 268), (408, 256)], frame, 11, within=shape)
    canvas.line([(230, 266), (282, 266)], frame, 13)
    for side in (-1, 1):
        lens = spline([(256 + side * 20, 258), (256 + side * 64, 250), (256 + side * 112, 258),
                       (256 + side * 106, 302), (256 + side * 66, 324), (256 + side * 28, 302)])
        canvas.polygon(lens, frame)
        within = canvas.mask(points=lens)
        x = 256 + side * 64
        canvas.paint(canvas.mask(ellipse=(x, 322, 52, 30), blur=10), (126, 92, 210), 0.75, within)
        canvas.line([(x - 26, 312), (x + 6, 250)], WHITE, 10, 0.42, within)
        canvas.line([(x - 6, 316), (x + 24, 256)], WHITE, 5, 0.34, within)


def headphones(canvas, shape):
    band = (66, 70, 120)
    canvas.arc(256, 268, 160, 150, 188, 352, band, 20)
    canvas.arc(256, 266, 163, 153, 200, 340, mix(band, WHITE, 0.4), 5)
    for x in (98, 414):
        canvas.box(x - 27, 226, x + 27, 322, 25, mix(band, (0, 0, 0), 0.2))
        canvas.box(x - 20, 234, x + 20, 314, 20, (255, 104, 120))
        canvas.box(x - 11, 246, x - 3, 292, 4, (255, 190, 196))


def party_hat(canvas, shape):
    hat = [(186, 164), (326, 158), (262, 22)]
    canvas.polygon(hat, (255, 92, 138))
    within = canvas.mask(points=hat)
    for offset in (0, 52, 104, 156):
        canvas.line([(150, 176 - offset), (360, 120 - offset)], (255, 226, 92), 15, within=within)
    canvas.polygon([(326, 158), (262, 22), (288, 160)], (140, 20, 80), 0.18)
    for index in range(8):
        canvas.ellipse(190 + index * 19.4, 164 - index * 0.9, 13, 13, ((110, 214, 236), WHITE)[index % 2])
    for index in range(9):
        angle = math.radians(index * 40)
        canvas.ellipse(262 + 12 * math.cos(angle), 24 + 12 * math.sin(angle), 10, 10, (110, 214, 236))
    canvas.ellipse(260, 22, 13, 13, (170, 236, 248))


def chef_hat(canvas, shape):
    shade, cloth = (222, 222, 236), (252, 252, 255)
    for x, y, r in ((190, 92, 45), (256, 66, 56), (322, 92, 45)):
        canvas.ellipse(x, y + 4, r, r, shade)
    for x, y, r in ((190, 90, 42), (256, 63, 53), (322, 90, 42)):
        canvas.ellipse(x, y, r, r, cloth)
    canvas.polygon([(184, 86), (328, 86), (334, 176), (178, 176)], cloth)
    band = spline([(176, 148), (256, 136), (336, 148), (336, 182), (256, 172), (176, 182)])
    canvas.polygon(band, shade)
    for x in (222, 256, 290):
        canvas.line([(x, 98), (x + (x - 256) * 0.05, 132)], shade, 5)


def beanie(canvas, shape):
    knit, trim = (70, 130, 214), (240, 246, 255)
    dome = spline([(124, 206), (134, 142), (186, 92), (256, 74), (326, 92), (380, 142), (390, 206), (256, 190)])
    canvas.polygon(dome, knit)
    within = canvas.mask(points=dome)
    for x in (160, 208, 256, 304, 352):
        canvas.line(spline([(256 + (x - 256) * 0.3, 70), (256 + (x - 256) * 0.85, 120), (x, 220)], closed=False),
                    mix(knit, (20, 40, 110), 0.28), 7, within=within)
    canvas.paint(canvas.mask(ellipse=(196, 122, 46, 32), blur=15), WHITE, 0.36, within)
    brim = spline([(114, 196), (180, 172), (256, 166), (334, 172), (400, 196), (402, 230), (332, 208), (256, 202),
                   (182, 208), (112, 230)])
    canvas.polygon(brim, mix(trim, knit, 0.25))
    canvas.polygon([(x, y - 4) for x, y in brim], trim)
    for index in range(10):
        angle = math.radians(index * 36)
        canvas.ellipse(256 + 20 * math.cos(angle), 62 + 20 * math.sin(angle), 15, 15, mix(trim, knit, 0.14))
    canvas.ellipse(254, 60, 23, 23, trim)


def crown(canvas, shape):
    gold, deep = (255, 208, 64), (226, 150, 30)
    points = [(168, 178), (152, 88), (206, 132), (256, 62), (306, 132), (360, 88), (344, 178)]
    base = spline([(344, 178), (256, 164), (168, 178)], closed=False)
    canvas.polygon([(x, y + 5) for x, y in points[:-1] + base], deep)
    canvas.polygon(points[:-1] + base, gold)
    canvas.polygon([(256, 62), (306, 132), (360, 88), (344, 178), (256, 165)], deep, 0.28)
    canvas.line([(x, y - 12) for x, y in base], mix(gold, WHITE, 0.5), 6)
    for x, y, colour in ((152, 86, (255, 92, 120)), (256, 58, (92, 200, 255)), (360, 86, (255, 92, 120))):
        canvas.ellipse(x, y, 14, 14, mix(colour, (60, 0, 60), 0.2))
        canvas.ellipse(x - 1, y - 2, 12, 12, colour)
        canvas.ellipse(x - 4, y - 6, 4, 4, WHITE, 0.9)
    canvas.polygon([(256, 112), (270, 130), (256, 148), (242, 130)], (255, 92, 120))


def graduate(canvas, shape):
    cloth = (50, 52, 92)
    cap = spline([(158, 128), (256, 118), (354, 128), (352, 186), (256, 172), (160, 186)])
    canvas.polygon(cap, mix(cloth, (0, 0, 0), 0.25))
    canvas.polygon([(256, 62), (430, 112), (256, 160), (82, 112)], mix(cloth, (0, 0, 0), 0.12))
    canvas.polygon([(256, 54), (430, 104), (256, 152), (82, 104)], cloth)
    canvas.polygon([(256, 54), (430, 104), (256, 104)], mix(cloth, WHITE, 0.12))
    canvas.line(spline([(256, 103), (330, 112), (384, 128), (388, 176)], closed=False), (255, 204, 70), 6)
    canvas.polygon([(380, 170), (396, 170), (402, 214), (374, 214)], (255, 204, 70))
    canvas.box(378, 164, 398, 180, 6, (232, 160, 40))
    canvas.ellipse(256, 103, 8, 6, (255, 204, 70))


def flower_crown(canvas, shape):
    blossoms = ((150, 184, 24, (255, 255, 255)), (192, 152, 28, (255, 150, 180)), (244, 134, 31, (255, 255, 255)),
                (302, 138, 29, (190, 150, 255)), (350, 164, 27, (255, 255, 255)), (386, 206, 22, (255, 150, 180)))
    for x, y, turn in ((168, 170, 200), (216, 142, 250), (274, 132, 300), (328, 148, 320), (370, 184, 350), (132, 200, 170)):
        leaf(canvas, x, y, 50, turn)
    for x, y, size, petals in blossoms:
        flower(canvas, x, y, size, petals, (255, 200, 70), 6)


def bow(canvas, shape):
    ribbon, dark = (255, 92, 140), (206, 40, 96)
    for side in (-1, 1):
        loop = spline([(338, 152), (338 + side * 40, 116), (338 + side * 70, 132), (338 + side * 68, 178),
                       (338 + side * 40, 186)])
        loop = turned(loop, 20, (338, 152))
        canvas.polygon(loop, ribbon)
        fold = turned([(338, 154), (338 + side * 46, 142), (338 + side * 44, 164)], 20, (338, 152))
        canvas.polygon(fold, dark, 0.6)
    canvas.ellipse(338, 154, 20, 22, dark)
    canvas.ellipse(336, 151, 17, 19, mix(ribbon, WHITE, 0.2))


def bow_tie(canvas, shape):
    cloth, dark = (60, 110, 220), (34, 66, 150)
    y = 432
    for side in (-1, 1):
        wing = spline([(256 + side * 8, y), (256 + side * 42, y - 30), (256 + side * 76, y - 30),
                       (256 + side * 78, y + 28), (256 + side * 44, y + 28)])
        canvas.polygon(wing, cloth)
        for dx, dy in ((34, -6), (56, -14), (60, 10), (40, 14)):
            canvas.ellipse(256 + side * dx, y + dy, 5, 5, WHITE, 0.85)
    canvas.box(236, y - 20, 276, y + 20, 12, dark)
    canvas.box(240, y - 17, 262, y + 12, 10, mix(cloth, WHITE, 0.15))


def scarf(canvas, shape):
    wool, stripe = (226, 60, 74), (255, 240, 226)
    canvas.polygon(spline([(318, 408), (366, 402), (384, 476), (334, 490)]), mix(wool, (60, 0, 20), 0.2))
    for index in range(4):
        canvas.line([(342 + index * 13, 486 - index * 4), (345 + index * 13, 501 - index * 4)], stripe, 7)
    loop = spline([(120, 376), (190, 402), (256, 410), (330, 402), (394, 372), (392, 414), (330, 446), (256, 454),
                   (184, 446), (124, 416)])
    canvas.polygon(loop, wool)
    within = canvas.mask(points=loop)
    for x in (146, 202, 258, 314, 370):
        canvas.line([(x + 8, 360), (x - 8, 466)], stripe, 13, within=within)
    canvas.line(spline([(120, 378), (190, 404), (256, 412), (330, 404), (394, 374)], closed=False),
                (120, 10, 40), 7, 0.22, within)


def headband(canvas, shape):
    band = spline([(92, 232), (256, 196), (420, 224), (420, 190), (256, 160), (92, 198)])
    within = ImageChops.multiply(canvas.mask(points=band), shape)
    canvas.paint(within, (250, 250, 255))
    stripe = spline([(92, 218), (256, 182), (420, 210)], closed=False)
    canvas.line(stripe, (240, 70, 80), 11, within=within)


def diving_mask(canvas, shape):
    strap, rim = (40, 60, 110), (255, 206, 62)
    canvas.line([(92, 272), (150, 284)], strap, 24, within=shape)
    canvas.line([(420, 272), (360, 284)], strap, 24, within=shape)
    canvas.line(spline([(404, 180), (424, 240), (420, 300)], closed=False), (255, 120, 90), 20)
    canvas.line([(404, 180), (406, 96)], (255, 120, 90), 20)
    canvas.line([(406, 126), (406, 92)], (255, 240, 230), 20)
    lens = spline([(150, 250), (256, 232), (362, 250), (366, 300), (316, 330), (256, 310), (196, 330), (146, 300)])
    canvas.polygon(lens, (180, 236, 250), 0.42)
    canvas.line([*lens, lens[0]], rim, 13)
    canvas.line([(180, 304), (216, 254)], WHITE, 9, 0.6)
    canvas.line([(204, 310), (226, 280)], WHITE, 5, 0.6)


def moustache(canvas, shape):
    for side in (-1, 1):
        points = [(256, 330), (256 + side * 26, 318), (256 + side * 56, 330), (256 + side * 84, 314),
                  (256 + side * 68, 346), (256 + side * 34, 352), (256 + side * 6, 344)]
        canvas.polygon(spline(points), (96, 52, 34))
    canvas.line(spline([(266, 328), (286, 326), (308, 334)], closed=False), (150, 92, 62), 4)
    canvas.line(spline([(246, 328), (226, 326), (204, 334)], closed=False), (150, 92, 62), 4)


def cowboy_hat(canvas, shape):
    felt, dark = (164, 104, 60), (112, 66, 36)
    crown_part = spline([(176, 170), (182, 96), (214, 70), (256, 84), (298, 70), (330, 96), (338, 170), (256, 186)])
    canvas.polygon(crown_part, felt)
    within = canvas.mask(points=crown_part)
    canvas.paint(canvas.mask(ellipse=(216, 112, 30, 40), blur=13), WHITE, 0.28, within)
    canvas.line(spline([(170, 150), (256, 166), (344, 150)], closed=False), (240, 90, 80), 22, within=within)
    brim = spline([(72, 132), (112, 158), (180, 166), (256, 172), (334, 166), (402, 158), (442, 132), (420, 190),
                   (340, 210), (256, 214), (172, 210), (94, 190)])
    canvas.polygon([(x, y + 5) for x, y in brim], dark)
    canvas.polygon(brim, mix(felt, WHITE, 0.08))
    canvas.polygon(star(256, 150, 15, 7), (255, 220, 110))


def detective(canvas, shape):
    canvas.line([(400, 404), (438, 462)], (104, 66, 38), 20)
    glass = canvas.mask(ellipse=(372, 356, 50, 50))
    canvas.paint(glass, (214, 244, 255), 0.55)
    ring = ImageChops.subtract(canvas.mask(ellipse=(372, 356, 56, 56)), canvas.mask(ellipse=(372, 356, 45, 45)))
    canvas.paint(ring, (90, 96, 120))
    canvas.line([(346, 362), (366, 328)], WHITE, 8, 0.8)


# --- the family -----------------------------------------------------------------------------------------------

# background colour, pattern, skin, what grows on top, eyes, mouth, brows, what it wears
AVATARS = [
    ((88, 190, 176), "rays", "golden", "two", "round", "open", "", []),
    ((250, 132, 108), "waves", "honey", "one", "none", "grin", "", [sunglasses]),
    ((150, 118, 226), "rings", "golden", "none", "happy", "smile", "", [headphones]),
    ((92, 166, 236), "dots", "sunset", "one", "round", "smile", "", [glasses]),
    ((110, 204, 214), "confetti", "rosy", "none", "happy", "laugh", "", [party_hat]),
    ((255, 184, 92), "dots", "green", "sprout", "wink", "tongue", "", []),
    ((130, 176, 222), "snow", "sunset", "none", "round", "cat", "", [beanie, scarf]),
    ((244, 134, 170), "hearts", "honey", "three", "heart", "open", "", []),
    ((118, 192, 112), "leaves", "rosy", "none", "lashes", "smile", "", [flower_crown]),
    ((104, 110, 206), "stars", "golden", "none", "round", "smirk", "cheeky", [crown]),
    ((240, 112, 104), "rings", "honey", "none", "happy", "none", "", [moustache, chef_hat]),
    ((120, 200, 244), "hills", "sunset", "none", "aside", "grin", "", [cowboy_hat]),
    ((64, 168, 206), "bubbles", "green", "drop", "round", "oh", "", [diving_mask]),
    ((172, 206, 96), "rays", "sunset", "two", "star", "laugh", "", [bow_tie]),
    ((84, 176, 150), "stars", "honey", "none", "round", "open", "up", [graduate]),
    ((196, 142, 226), "hearts", "rosy", "drop", "lashes", "cat", "", [bow]),
    ((246, 178, 70), "rays", "rosy", "flower", "happy", "open", "", [headband]),
    ((110, 128, 160), "dots", "green", "one", "aside", "smirk", "cheeky", [detective]),
]


def avatar(colour, pattern, skin, growth, eye, lips, brow, wears):
    """One avatar, in its final size."""
    canvas = Canvas(colour)
    background(canvas, colour, pattern)
    top(canvas, growth)
    shape = body(canvas, skin)
    cheeks(canvas, shape)
    eyes(canvas, eye)
    brows(canvas, brow)
    mouth(canvas, lips, shape)
    for piece in wears:
        piece(canvas, shape)
    return canvas.image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def main():
    here = Path(__file__).resolve().parent
    for number, recipe in enumerate(AVATARS, 1):
        folder = here / f"mango-{number:02}"
        folder.mkdir(exist_ok=True)
        picture = avatar(*recipe)
        picture.save(folder / "original.jpeg", quality=87, progressive=True, optimize=True)
        for side in (400, 100, 50):
            small = picture.resize((side, side), Image.Resampling.LANCZOS)
            small.save(folder / f"{side}x{side}.webp", quality=80, method=6)


if __name__ == "__main__":
    main()
