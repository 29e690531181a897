"""The wrappers around a family's program, by the name that the parameter `wrapper` gives."""

from .building import Building
from .manners import Alternating, Threads

WRAPPERS = {"alternating": Alternating, "threads": Threads, "building": Building}
PARAMETERS = ("wrapper", "threads", "cold")  # of wrappers and runner, unknown to a family
