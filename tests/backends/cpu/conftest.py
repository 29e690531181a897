"""Tests here import `tape_frames`; those of the pool do so in other processes too."""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
