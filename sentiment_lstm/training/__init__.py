"""From a recipe to a finished model folder."""

from ..extras import require

require("train")  # before a run begins, and not when it comes to the pictures
