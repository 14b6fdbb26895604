"""All animals, by name."""

from zoo.animal import Animal
from zoo.right import RIGHT
from zoo.wrong import WRONG

ANIMALS: tuple[Animal, ...] = (*RIGHT, *WRONG)
