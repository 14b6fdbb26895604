"""All animals, in the order in which they are shown."""

from zoo.animal import Animal
from zoo.astray import ASTRAY
from zoo.right import RIGHT
from zoo.unruly import UNRULY
from zoo.wrong import WRONG

ANIMALS: tuple[Animal, ...] = (*RIGHT, *WRONG, *UNRULY, *ASTRAY)
